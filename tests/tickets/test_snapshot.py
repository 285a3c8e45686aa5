import keras
import numpy as np
import pytest

from tf_tickets import Masks, SettingError, Ticket, restore_snapshot, take_snapshot

L = keras.layers
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(32, 6)).astype("float32")
TARGETS = RANDOM.normal(size=(32, 1)).astype("float32")


def build(seed=1, units=16, optimizer=None):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            L.Dense(units, name="first"),
            L.BatchNormalization(name="bn"),
            L.Dropout(0.5, name="dropout"),
            L.GaussianNoise(0.1, name="noise"),
            L.Dense(1, name="last"),
        ],
        name="net",
    )
    model.compile(optimizer or keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    return model


def fit(model):
    model.fit(INPUTS, TARGETS, batch_size=8, epochs=2, shuffle=False, verbose=0)


def bits(snapshot):
    return {path: (value.dtype, value.shape, value.tobytes()) for path, value in snapshot.items()}


def test_holds_weights_statistics_and_random_states_but_no_metrics():
    model = build()
    fit(model)
    paths = set(take_snapshot(model))
    assert {"first/kernel", "bn/gamma", "bn/moving_variance"} <= paths
    assert {"random_state/0", "random_state/1"} <= paths
    assert len(paths) == 2 * 2 + 4 + 2


def test_a_snapshot_is_a_copy():
    model = build()
    snapshot = take_snapshot(model)
    before = bits(snapshot)
    fit(model)
    assert bits(snapshot) == before
    assert bits(take_snapshot(model)) != before


@pytest.mark.parametrize("optimizer", [False, True])
def test_restoring_is_exact(optimizer):
    model = build()
    fit(model)
    snapshot = take_snapshot(model, optimizer=optimizer)
    fit(model)
    changed = {
        path
        for path, value in take_snapshot(model, optimizer=optimizer).items()
        if value.tobytes() != snapshot[path].tobytes()
    }
    assert {"bn/moving_mean", "random_state/0", "last/kernel"} <= changed
    restore_snapshot(model, snapshot)
    assert bits(take_snapshot(model, optimizer=optimizer)) == bits(snapshot)


def test_training_from_a_snapshot_repeats_itself():
    """Dropout, noise, statistics and the optimizer go the same way again."""
    model = build()
    fit(model)
    snapshot = take_snapshot(model, optimizer=True)
    fit(model)
    once = bits(take_snapshot(model, optimizer=True))
    restore_snapshot(model, snapshot)
    fit(model)
    assert bits(take_snapshot(model, optimizer=True)) == once


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_optimizer",
    [
        lambda name: keras.optimizers.Adam(0.01, name=name),
        lambda name: keras.optimizers.LossScaleOptimizer(
            keras.optimizers.SGD(0.01, momentum=0.9), name=name
        ),
    ],
    ids=["adam", "loss-scaled"],
)
def test_another_models_optimizer_takes_the_state(make_optimizer):
    """Keras numbers optimizers over the process: `adam` here may be `adam_7` after a resume."""
    first = build(optimizer=make_optimizer("adam"))
    fit(first)
    snapshot = take_snapshot(first, optimizer=True)
    second = build(seed=2, optimizer=make_optimizer("adam_7"))
    second.optimizer.build(second.trainable_variables)
    restore_snapshot(second, snapshot)
    assert bits(take_snapshot(second, optimizer=True)) == bits(snapshot)
    fit(first)
    fit(second)
    assert bits(take_snapshot(second)) == bits(take_snapshot(first))


def test_special_values_survive():
    model = build()
    kernel = model.get_layer("first").kernel
    value = kernel.numpy().copy()
    value[0, :5] = [-0.0, np.nan, np.inf, 1e-45, -np.inf]
    kernel.assign(value)
    snapshot = take_snapshot(model)
    kernel.assign(np.zeros_like(value))
    restore_snapshot(model, snapshot)
    assert kernel.numpy().tobytes() == value.tobytes()


def test_a_snapshot_of_another_network_names_the_first_difference():
    model = build()
    before = bits(take_snapshot(model))
    with pytest.raises(SettingError, match=r": first/kernel is \(6, 16\) in the model and \(6, 8"):
        restore_snapshot(model, take_snapshot(build(units=8)))
    with pytest.raises(SettingError, match=": extra is absent in the model"):
        restore_snapshot(model, {**take_snapshot(model), "extra": np.zeros(1)})
    with pytest.raises(SettingError, match=r": last/bias is .* absent in the weights"):
        snapshot = take_snapshot(model)
        del snapshot["last/bias"]
        restore_snapshot(model, snapshot)
    assert bits(take_snapshot(model)) == before, "nothing was restored by halves"


def test_variables_that_share_a_path_are_kept_apart():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__(name="twins")
            self.first, self.second = L.Dense(4, name="same"), L.Dense(4, name="same")

        def call(self, inputs):
            return self.second(self.first(inputs))

    twins = Twins()
    twins(np.zeros((1, 4), "float32"))
    snapshot = take_snapshot(twins)
    assert list(snapshot) == ["first/kernel", "first/bias", "second/kernel", "second/bias"]
    np.testing.assert_array_equal(snapshot["second/kernel"], twins.second.kernel.numpy())
    for variable in twins.variables:
        variable.assign(variable + 1)
    restore_snapshot(twins, snapshot)
    assert bits(take_snapshot(twins)) == bits(snapshot)


def test_there_is_no_optimizer_before_compile():
    model = keras.Sequential([keras.Input((4,)), L.Dense(4, name="only")], name="bare")
    with pytest.raises(SettingError, match="bare has no optimizer yet"):
        take_snapshot(model, optimizer=True)


class TwoOptimizers(keras.Model):
    """A model that names several optimizers, as a GAN does."""

    def __init__(self):
        super().__init__(name="two")
        self.layer = L.Dense(4, name="layer")
        self.layer.build((4,))
        self.built = True

    @property
    def optimizers(self):
        return [self.optimizer, self.second_optimizer]

    def compile(self):
        super().compile(keras.optimizers.Adam(0.01))
        self.second_optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        for optimizer in self.optimizers:
            optimizer.build(self.trainable_variables)

    def update(self):
        for optimizer in self.optimizers:
            gradients = [keras.ops.ones(v.shape) for v in self.trainable_variables]
            optimizer.apply(gradients, self.trainable_variables)


def test_every_optimizer_that_a_model_names_is_taken_and_restored():
    keras.utils.set_random_seed(0)
    model = TwoOptimizers()
    model.compile()
    model.update()
    snapshot = take_snapshot(model, optimizer=True)
    # Adam: two moments for each of two variables; SGD: a momentum; both: iterations and rate.
    assert len([path for path in snapshot if path.startswith("optimizer/")]) == 2 * 2 + 2 + 2 * 2
    model.update()
    changed = bits(take_snapshot(model, optimizer=True))
    after_both = {path for path in changed if changed[path] != bits(snapshot)[path]}
    assert {int(path.split("/")[1]) for path in after_both if "iteration" in path} == {0, 6}
    restore_snapshot(model, snapshot)
    assert bits(take_snapshot(model, optimizer=True)) == bits(snapshot)
    model.update()
    assert bits(take_snapshot(model, optimizer=True)) == changed


# --- what is no weight


def reading(words, seed=0):
    """Return a model that begins with a vocabulary, and with numbers in bins beside it."""
    keras.utils.set_random_seed(seed)
    lookup, bins = L.StringLookup(), L.Discretization(num_bins=3)
    lookup.adapt(np.array(words))
    bins.adapt(np.linspace(0, len(words), 30))
    words_in, numbers = keras.Input((1,), dtype="string"), keras.Input((1,))
    both = [keras.ops.cast(lookup(words_in), "float32"), keras.ops.cast(bins(numbers), "float32")]
    return keras.Model([words_in, numbers], L.Dense(2)(L.Concatenate()(both)), name="reading")


def test_weights_for_another_vocabulary_or_other_bins_are_refused():
    model = reading(["a", "b", "c"])
    ticket = Ticket.of_model(model, Masks({}), {})
    same, other = reading(["a", "b", "c"], seed=1), reading(["x", "y", "z"], seed=1)
    before = other.get_weights()
    ticket.apply(same)
    for expected, received in zip(model.get_weights(), same.get_weights(), strict=True):
        assert np.array_equal(expected, received)
    with pytest.raises(SettingError, match=r"A StringLookup of reading has adapted to something"):
        ticket.apply(other)
    assert all(map(np.array_equal, before, other.get_weights())), "nothing is set by halves"
    with pytest.raises(SettingError, match="has adapted to something else"):
        restore_snapshot(build(), {**take_snapshot(build()), **ticket.weights})


def test_a_vocabulary_is_the_same_from_a_file_and_from_adapt(tmp_path):
    model = reading(["a", "b"])
    model.save(tmp_path / "reading.keras")
    loaded = keras.models.load_model(tmp_path / "reading.keras")
    snapshot = take_snapshot(model)
    assert sum(name.startswith("adapted/") for name in snapshot) == 2
    restore_snapshot(loaded, snapshot)
    Ticket(Masks({}), snapshot, {}).save(tmp_path / "ticket.safetensors")
    Ticket.load(tmp_path / "ticket.safetensors").apply(loaded)


def test_a_restored_normalization_normalises_by_what_was_restored():
    def normalizing(scale):
        adapted = L.Normalization(axis=-1)
        adapted.adapt(scale * INPUTS)
        model = keras.Sequential([keras.Input((6,)), adapted, L.Dense(1)])
        model.compile("sgd", "mse")
        return model

    first, second = normalizing(1.0), normalizing(7.0)
    second.fit(INPUTS, TARGETS, verbose=0)
    before = second.evaluate(INPUTS, TARGETS, verbose=0)  # traced by the old constants
    restore_snapshot(second, take_snapshot(first))
    np.testing.assert_allclose(second(INPUTS), first(INPUTS), rtol=1e-6)
    losses = [each.evaluate(INPUTS, TARGETS, verbose=0) for each in (first, second)]
    assert losses[0] == pytest.approx(losses[1]) and losses[1] != before


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_another_precision_are_not_cast_in_silence(dtype):
    model = build()
    snapshot, before = take_snapshot(model), take_snapshot(model)
    name = "first/kernel"
    snapshot[name] = snapshot[name].astype(dtype)
    if dtype == "float64":
        snapshot[name][0, 0] = 0.1
        message = f"{name} is float32 in the model and float64 in the weights"
        with pytest.raises(SettingError, match=message):
            restore_snapshot(model, snapshot)
        assert bits(take_snapshot(model)) == bits(before), "nothing was set before it was seen"
        snapshot[name] = before[name].astype("float64")
        snapshot[name][0, 0] = np.nan
    restore_snapshot(model, snapshot)  # float32 holds all of these values
    found = take_snapshot(model)[name]
    np.testing.assert_array_equal(found, np.asarray(snapshot[name], "float32"))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_model_of_16_bits_refuses_weights_of_32(dtype):
    model = keras.Sequential([keras.Input((6,)), L.Dense(4, name="first", dtype=dtype)])
    weights = {name: value.astype("float32") for name, value in take_snapshot(model).items()}
    restore_snapshot(model, weights)
    weights["first/kernel"] = weights["first/kernel"] + np.float32(1e-6)
    with pytest.raises(SettingError, match=f"{dtype} in the model and float32 in the weights"):
        restore_snapshot(model, weights)
    weights["first/kernel"][:] = 1e30
    with pytest.raises(SettingError, match=dtype):
        restore_snapshot(model, weights)
