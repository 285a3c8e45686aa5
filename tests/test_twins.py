"""Models that hold several networks of the same layers go the whole way, and through every file."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tf_tickets as tt
from tests.quick import slow_but

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 6, 6, 1)).astype("float32")
Y = RANDOM.normal(size=(16, 2)).astype("float32")


def backbone(name=None):
    """Return a network whose layers are called the same, whatever its own name is."""
    x = image = keras.Input((6, 6, 1))
    x = layers.Conv2D(6, 3, name="first")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Conv2D(4, 1, name="second")(layers.ReLU(name="relu")(x))
    return keras.Model(image, layers.GlobalAveragePooling2D(name="pool")(x), name=name)


@keras.saving.register_keras_serializable("twins")
class Twins(keras.Model):
    """Two backbones, told apart by their attributes alone."""

    def __init__(self, **options):
        super().__init__(**options)
        self.left, self.right = backbone("backbone"), backbone("backbone")
        self.head = layers.Dense(2)

    def call(self, x, training=False):
        sides = [self.left(x, training=training), self.right(x, training=training)]
        return self.head(keras.ops.concatenate(sides, axis=-1))


@keras.saving.register_keras_serializable("twins")
class Ensemble(keras.Model):
    """A list of backbones."""

    def __init__(self, **options):
        super().__init__(**options)
        self.members = [backbone("backbone") for _ in range(3)]
        self.head = layers.Dense(2)

    def call(self, x, training=False):
        return self.head(sum(member(x, training=training) for member in self.members) / 3)


@keras.saving.register_keras_serializable("twins")
class Averaged(keras.Model):
    """A network, and the moving average of its weights as a clone."""

    def __init__(self, **options):
        super().__init__(**options)
        self.network = keras.Sequential([backbone("backbone"), layers.Dense(2, name="head")])
        self.ema_network = keras.models.clone_model(self.network)
        self.ema_network.trainable = False

    @property
    def averages(self):
        return list(zip(self.network.weights, self.ema_network.weights, strict=True))

    def call(self, x, training=False):
        used = self.network if training else self.ema_network
        return used(x, training=training)

    def build(self, shape):
        for each in (self.network, self.ema_network):
            each.build(shape)
        self.ema_network.set_weights(self.network.get_weights())

    def train_step(self, data):
        logs = super().train_step(data)
        for weight, average in self.averages:
            average.assign(0.5 * average + 0.5 * weight)
        return logs


def towers():
    """Return a Functional model of two towers, whose layers are called the same."""
    inputs = [keras.Input((6, 6, 1)) for _ in range(2)]
    sides = [backbone(name)(x) for name, x in zip(("one", "two"), inputs, strict=True)]
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Concatenate()(sides)))


MODELS = {"twins": Twins, "ensemble": Ensemble, "averaged": Averaged, "towers": towers}


def build(name, seed=0):
    keras.utils.set_random_seed(seed)
    model = MODELS[name]()
    if name == "averaged":
        model.build((None, 6, 6, 1))
    elif name != "towers":
        model(X[:1])
    for variable in model.trainable_variables:
        if variable.name == "gamma":
            variable.assign(RANDOM.uniform(0.5, 1.5, variable.shape))
    model.compile("adam", "mse", jit_compile=False)  # XLA takes longer than the trainings
    return model


def inputs_of(name):
    return [X, X[::-1]] if name == "towers" else X


def answers(model, name):
    return keras.ops.convert_to_numpy(model(inputs_of(name)))


@pytest.mark.parametrize("name", slow_but(MODELS, "twins"))
def test_callbacks_rewind_points_and_tickets(name):
    model = build(name)
    schedule = tt.PolynomialDecay(0.0, 0.5, begin_step=1, end_step=4, frequency=1)
    rewind = tt.callbacks.RewindPoint(step=1)
    pruning = tt.callbacks.PruneLowMagnitude(schedule)
    model.fit(inputs_of(name), Y, batch_size=4, epochs=2, callbacks=[rewind, pruning], verbose=0)
    masks = pruning.masks
    assert masks.sparsity == pytest.approx(0.5, abs=0.01)
    assert len(masks) == len(tt.prunable(model)) and tt.masks_of_zeros(model) == masks
    ticket = rewind.ticket(masks)
    other = build(name, seed=1)
    ticket.apply(other)
    with tt.hold(other, ticket.masks):
        other.fit(inputs_of(name), Y, epochs=1, verbose=0)
    assert tt.masks_of_zeros(other) == masks
    if name == "averaged":
        pairs = zip(other.network.weights, other.ema_network.weights, strict=True)
        for weight, average in pairs:
            if weight.name == "kernel":
                assert not np.any(average.numpy()[weight.numpy() == 0])
    assert tt.count_flops(model).forward > 0
    told = tt.report(model, measure=False)
    assert told.sparsity == pytest.approx(masks.sparsity)
    assert len({row.path for row in told.weights}) == len(told.weights)


# A legacy .h5 file calls variables by their paths, of which no two may be equal within a layer.
IN_LEGACY_FILES = ("towers",)
LEGACY = (".h5", "weights of .h5")
FILES = [
    (name, kind)
    for name in MODELS
    for kind in (".keras", ".weights.h5", *LEGACY)
    if kind not in LEGACY or name in IN_LEGACY_FILES
]


def through_file(model, name, kind, folder):
    """Save a model, and return what its file brings back."""
    path = folder / f"model{kind.removeprefix('weights of ')}"
    if kind == ".weights.h5":
        model.save_weights(path)
    else:  # of two towers the states of the optimizer have equal paths, too
        model.save(path, include_optimizer=kind not in LEGACY)
    if kind in (".keras", ".h5"):
        return keras.models.load_model(path, compile=False)
    loaded = build(name, seed=1)
    loaded.optimizer.build(loaded.trainable_variables)  # or else Keras does not load its state
    loaded.load_weights(path)
    return loaded


@pytest.mark.parametrize(("name", "kind"), slow_but(FILES, ("averaged", ".keras")))
def test_what_is_ours_goes_both_ways_through_a_file(name, kind, tmp_path):
    """Zeros, names, snapshots, rewind points and tickets, made before loading or after."""
    model, before = build(name), tt.callbacks.RewindPoint(step=1)
    model.fit(inputs_of(name), Y, batch_size=8, callbacks=[before], verbose=0)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.6)
    with tt.hold(model, masks):
        loaded = through_file(model, name, kind, tmp_path)
    assert list(tt.variable_names(loaded)) == list(tt.variable_names(model))
    assert tt.masks_of_zeros(loaded) == masks
    np.testing.assert_allclose(answers(loaded, name), answers(model, name), rtol=1e-5, atol=1e-6)
    tt.restore_snapshot(loaded, tt.take_snapshot(model))
    tt.restore_snapshot(model, tt.take_snapshot(loaded))

    after = tt.callbacks.RewindPoint(step=0)
    loaded.compile("adam", "mse", jit_compile=False)
    loaded.fit(inputs_of(name), Y, callbacks=[after, tt.callbacks.HoldMasks()], verbose=0)
    assert tt.masks_of_zeros(loaded) == masks
    for made, other in ((before, loaded), (after, model)):
        made.ticket(masks).save(tmp_path / "ticket.safetensors")
        tt.Ticket.load(tmp_path / "ticket.safetensors").apply(other)
        for path, variable in tt.variable_names(other).items():
            kept = masks.get(path, True)
            np.testing.assert_array_equal(variable.numpy(), made.weights[path] * kept)
        with tt.hold(other, masks):
            other.fit(inputs_of(name), Y, verbose=0)
        assert tt.masks_of_zeros(other) == masks


@pytest.mark.parametrize("name", [name for name in MODELS if name not in IN_LEGACY_FILES])
def test_keras_itself_writes_no_legacy_file_of_two_variables_of_one_path(name, tmp_path):
    with pytest.raises(ValueError, match="name already exists"):
        build(name).save(tmp_path / "model.h5", include_optimizer=False)


def test_keras_itself_writes_no_legacy_file_of_the_optimizer_of_two_towers(tmp_path):
    model = build("towers")
    model.fit(inputs_of("towers"), Y, verbose=0)
    with pytest.raises(ValueError, match="name already exists"):
        model.save(tmp_path / "model.h5")


def test_towers_are_slimmed_each_by_its_own_scales():
    model = build("towers")
    masks = tt.channel_masks(model, 0.5)
    assert set(masks) == {"one/norm/gamma", "two/norm/gamma"}
    slimmed = tt.slim(model, masks)
    assert type(slimmed) is type(model) and slimmed.count_params() < model.count_params()
    held = tt.weight_masks(model, slimmed.slim_report.masks)
    with tt.hold(model, held):
        np.testing.assert_allclose(
            answers(slimmed, "towers"), answers(model, "towers"), rtol=1e-4, atol=1e-5
        )


def test_a_backbone_that_serves_twice_is_slimmed_once():
    shared = backbone("shared")
    inputs = [keras.Input((6, 6, 1)) for _ in range(2)]
    model = keras.Model(inputs, layers.Subtract()([shared(x) for x in inputs]))
    gamma = shared.get_layer("norm").gamma
    gamma.assign(np.linspace(0.5, 1.5, 6))
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    assert slimmed.count_params() == slimmed.get_layer("shared").count_params()
    with tt.hold(model, tt.weight_masks(model, slimmed.slim_report.masks)):
        expected, received = (each([X, X[::-1]]).numpy() for each in (model, slimmed))
    np.testing.assert_allclose(received, expected, rtol=1e-4, atol=1e-5)


def test_twins_are_exported_with_the_weights_of_each(tmp_path):
    model = build("twins")
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.9)
    with tt.hold(model, masks):
        tt.export_saved_model(model, tmp_path / "export")
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    answer = loaded.signatures["serving_default"](inputs=tf.constant(X))["outputs"]
    np.testing.assert_allclose(answer, answers(model, "twins"), atol=1e-5)
