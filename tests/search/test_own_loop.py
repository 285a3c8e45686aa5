import contextlib
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.names import variable_names
from tf_tickets.search.training import refuse_non_finite

L = keras.layers
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(32, 8)).astype("float32")
TARGETS = INPUTS[:, :1]
POOL = 8 * 16 + 16
SCHEDULE = tt.IterativeSparsity(0.25, 3)


def build():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8,)), L.Dense(16, "relu", name="first"), L.Dense(1, name="last")], name="net"
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False)
    return model


def batches():
    return tf.data.Dataset.from_tensor_slices((INPUTS, TARGETS)).batch(8)


def fit(model, data):
    model.fit(data, epochs=2, shuffle=False, verbose=0)


def by_hand(model, data):
    """A loop that Keras does not know: its own tape, optimizer and compiled step."""
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)

    @tf.function
    def step(inputs, targets):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(inputs, training=True) - targets) ** 2)
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for _ in range(2):
        for inputs, targets in data:
            step(inputs, targets)


@pytest.mark.parametrize("train", [fit, by_hand])
def test_every_round_starts_from_the_same_weights_with_fewer_of_them(train):
    model = build()
    initial = {name: kernel.numpy() for name, kernel in tt.prunable(model).items()}
    search = tt.search.LoopedPruning(model, batches(), train, schedule=SCHEDULE, rounds=3)
    tickets = search.run()
    kept = [ticket.masks.num_kept for ticket in tickets]
    assert kept == [round(0.75**number * POOL) for number in (1, 2, 3)]
    assert tickets[2].masks <= tickets[1].masks <= tickets[0].masks
    for ticket in tickets:
        for path, mask in ticket.masks.items():
            np.testing.assert_array_equal(ticket.weights[path], initial[path] * mask)
    for name, kernel in tt.prunable(model).items():
        mask = tickets[2].masks[name]
        assert not kernel.numpy()[~mask].any()
        assert np.any(kernel.numpy()[mask] != initial[name][mask])
        assert kernel.constraint is None


@pytest.mark.parametrize("rewind_step", [None, 0, 3])
def test_every_training_begins_with_the_weights_of_its_ticket(rewind_step):
    rewind = rewind_step is not None and tt.callbacks.RewindPoint(rewind_step)
    begun = []

    def train(model, data):
        begun.append({name: v.numpy() for name, v in variable_names(model).items()})
        model.fit(data, epochs=2, callbacks=[rewind] if rewind else [], shuffle=False, verbose=0)

    tickets = tt.search.LoopedPruning(
        build(), batches(), train, schedule=SCHEDULE, rounds=3, rewind_point=rewind or None
    ).run()
    assert len(begun) == 4
    for ticket, weights in zip(tickets, begun[1:], strict=True):
        assert ticket.weights.keys() == weights.keys()
        for path, value in weights.items():
            np.testing.assert_array_equal(value, ticket.weights[path])


def test_what_is_pruned_is_what_the_round_before_has_trained():
    model, seen = build(), []

    def train(model, data):
        fit(model, data)
        seen.append({name: kernel.numpy() for name, kernel in tt.prunable(model).items()})

    search = tt.search.LoopedPruning(model, batches(), train, schedule=SCHEDULE, rounds=2)
    first, second = search.run()
    magnitudes = [{path: np.abs(value) for path, value in each.items()} for each in seen]
    assert first.masks == tt.global_masks(magnitudes[0], 0.25)
    assert second.masks == tt.global_masks(magnitudes[1], 1 - 0.75**2, within=first.masks)


def test_survivors_return_to_the_rewind_point():
    rewind = tt.callbacks.RewindPoint(step=3)

    def train(model, data):
        model.fit(data, epochs=2, callbacks=[rewind], shuffle=False, verbose=0)

    search = tt.search.LoopedPruning(
        build(), batches(), train, schedule=SCHEDULE, rounds=2, rewind_point=rewind
    )
    for ticket in search.run():
        assert ticket.config["rewind_step"] == 3
        for path, mask in ticket.masks.items():
            np.testing.assert_array_equal(ticket.weights[path], rewind.weights[path] * mask)


@pytest.mark.parametrize(
    "optimizer",
    [
        keras.optimizers.Adam(0.01),
        keras.optimizers.Adagrad(0.01, initial_accumulator_value=0.3),
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, momentum=0.9)),
    ],
    ids=lambda optimizer: type(optimizer).__name__,
)
def test_optimizers_begin_every_round_anew(optimizer):
    states = []

    def train(model, data):
        if model.optimizer.built:
            states.append([variable.numpy() for variable in model.optimizer.variables])
        assert model.optimizer.iterations.numpy() == 0
        fit(model, data)

    model = build()
    model.compile(optimizer, "mse", jit_compile=False)
    fit(model, batches())
    tt.search.LoopedPruning(model, batches(), train, schedule=SCHEDULE, rounds=2).run()
    assert len(states) == 3
    for values in zip(*states, strict=True):
        for later in values[1:]:
            np.testing.assert_array_equal(values[0], later)


class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that Keras could not make from a config: it is registered nowhere."""

    def __init__(self, peak):
        self.peak = peak

    def __call__(self, step):
        return self.peak * tf.minimum(1.0, tf.cast(step, tf.float32) / 4)


class Momentum(keras.optimizers.SGD):
    """An optimizer that Keras could not make from its config: that has a name."""

    def __init__(self, rate):
        super().__init__(rate, momentum=0.9)


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.optimizers.Adagrad(WarmUp(0.1), initial_accumulator_value=0.3),
        lambda: Momentum(0.01),
        lambda: keras.optimizers.LossScaleOptimizer(Momentum(0.01), initial_scale=4.0),
    ],
    ids=["schedule", "optimizer", "nested"],
)
def test_an_optimizer_of_ones_own_needs_no_config_to_begin_anew(make):
    states = []

    def train(model, data):
        if model.optimizer.built:
            states.append([variable.numpy() for variable in model.optimizer.variables])
        fit(model, data)
        assert model.optimizer.iterations.numpy() == 8

    model, fresh = build(), make()
    fresh.build(model.trainable_variables)
    model.compile(make(), "mse", jit_compile=False)
    tt.search.LoopedPruning(model, batches(), train, schedule=SCHEDULE, rounds=2).run()
    assert len(states) == 2
    for state in states:
        for value, initial in zip(state, fresh.variables, strict=True):
            np.testing.assert_array_equal(value, initial.numpy())


def test_a_trained_optimizer_of_ones_own_begins_anew_too():
    model = build()
    model.compile(Momentum(0.01), "mse", jit_compile=False)
    fit(model, batches())

    def train(model, data):
        assert int(model.optimizer.iterations) == 0
        assert not any(np.any(slot.numpy()) for slot in model.optimizer.momentums)
        fit(model, data)
        assert any(np.any(slot.numpy()) for slot in model.optimizer.momentums)

    tickets = tt.search.LoopedPruning(model, batches(), train, schedule=SCHEDULE, rounds=1).run()
    assert len(tickets) == 1


def test_an_optimizer_that_cannot_be_made_anew_is_refused_before_any_training():
    model, trainings = build(), []
    optimizer = Momentum(0.01)
    optimizer.lock = threading.Lock()  # which cannot be copied
    model.compile(optimizer, "mse", jit_compile=False)
    fit(model, batches())
    search = tt.search.LoopedPruning(
        model, None, lambda *_: trainings.append(1), schedule=SCHEDULE, rounds=1
    )
    with pytest.raises(tt.SettingError, match="Compile the model with a new one") as caught:
        search.run()
    assert not trainings and "\n" not in str(caught.value)


class Pair(keras.Model):
    """Two networks, each trained by an optimizer of its own, which the model builds itself."""

    def __init__(self):
        super().__init__(name="pair")
        self.maker = keras.Sequential([keras.Input((8,)), L.Dense(4, name="d")], name="maker")
        self.judge = keras.Sequential([keras.Input((4,)), L.Dense(1, name="d")], name="judge")

    def compile(self):
        super().compile(jit_compile=False)
        self.maker_optimizer = keras.optimizers.Adam(WarmUp(0.1))
        self.judge_optimizer = Momentum(0.1)

    def call(self, inputs):
        return self.judge(self.maker(inputs))

    def train_step(self, data):
        inputs, targets = data
        for network, optimizer in (
            (self.maker, self.maker_optimizer),
            (self.judge, self.judge_optimizer),
        ):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(inputs) - targets) ** 2)
            variables = network.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


def test_optimizers_of_two_networks_are_built_by_the_model_and_begin_anew():
    def train(model, data):
        for optimizer in (model.maker_optimizer, model.judge_optimizer):
            if optimizer.built:
                assert not any(np.any(value) for value in optimizer.variables[-2:])
            assert optimizer.iterations.numpy() == 0
        fit(model, data)

    model = Pair()
    model(INPUTS)
    model.compile()
    tt.search.LoopedPruning(model, batches(), train, schedule=SCHEDULE, rounds=2).run()
    assert [v.shape for v in model.judge_optimizer.variables[2:]] == [(4, 1), (1,)]
    assert model.maker_optimizer.iterations.numpy() == 8


def test_layers_by_themselves():
    search = tt.search.LoopedPruning(
        build(), batches(), fit, schedule=SCHEDULE, rounds=1, pool="layer"
    )
    (ticket,) = search.run()
    assert [mask.mean() for mask in ticket.masks.values()] == [0.75, 0.75]


def test_a_training_that_diverges_is_not_pruned_on():
    def train(model, data):
        model.get_layer("first").kernel.assign(np.full((8, 16), np.nan))

    search = tt.search.LoopedPruning(build(), None, train, schedule=SCHEDULE, rounds=1)
    with pytest.raises(tt.DivergedError, match="first/kernel is NaN or infinite") as caught:
        search.run()
    assert search.tickets == [] and "--" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("bad", [None, np.nan, np.inf, -np.inf])
def test_weights_are_finite_one_by_one_and_not_in_sum(dtype, bad):
    model = keras.Sequential([keras.Input((300,)), L.Dense(300, dtype=dtype, name="wide")])
    values = np.ones((300, 300), "float32")
    if bad is not None:
        values[7, 11] = bad
    model.layers[0].kernel.assign(values)
    diverged = pytest.raises(tt.DivergedError, match="wide/kernel is NaN or infinite")
    with contextlib.nullcontext() if bad is None else diverged:
        refuse_non_finite(model)


def test_what_was_found_before_a_training_diverges_stays():
    rounds = iter(range(10))

    def train(model, data):
        fit(model, data)
        if next(rounds) == 2:
            model.get_layer("last").bias.assign([np.inf])

    search = tt.search.LoopedPruning(build(), batches(), train, schedule=SCHEDULE, rounds=3)
    with pytest.raises(tt.DivergedError):
        search.run()
    assert [ticket.config["round"] for ticket in search.tickets] == [1, 2]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("rounds", 0, "`rounds` must be at least 1"),
        ("rounds", 2.5, r"`rounds` must be a whole number. Received: rounds=2\.5"),
        ("rounds", 4, "`schedule` must prune in each of the 4 rounds.*nothing in round 4"),
        ("schedule", 0.8, "`schedule` must be a PruningSchedule"),
        ("pool", "component", "`pool` must be 'model' or 'layer'"),
    ],
)
def test_what_cannot_be_meant_is_refused(name, value, message):
    options = {"schedule": SCHEDULE, "rounds": 1, name: value}
    with pytest.raises(tt.SettingError, match=message):
        tt.search.LoopedPruning(build(), None, fit, **options)


# Early-bird tickets


def normalised():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = L.BatchNormalization(name="bn")(L.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, L.Conv2D(1, 2)(x))
    model.get_layer("bn").gamma.assign(np.linspace(0.5, 1.5, 8))
    return model


def noise():
    random = np.random.default_rng(0)
    return random.normal(size=(16, 4, 4, 1)), random.normal(size=(16, 1, 1, 1))


def test_an_early_bird_is_drawn_when_the_masks_have_settled():
    model = normalised()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    search = tt.search.LoopedEarlyBird(
        model,
        noise(),
        lambda model, data: model.fit(*data, verbose=0),
        channel_sparsity=0.5,
        look_back=3,
    )
    masks = search.run(max_epochs=20)
    assert masks == tt.channel_masks(model, 0.5)
    assert search.epoch == 4 and search.history == [[], [0.0], [0.0] * 2, [0.0] * 3]


def test_one_that_does_not_settle_is_none():
    def shuffle_scales(model, data):
        model.get_layer("bn").gamma.assign(np.random.default_rng(next(seeds)).random(8))

    seeds = iter(range(10))
    search = tt.search.LoopedEarlyBird(
        normalised(), None, shuffle_scales, channel_sparsity=0.5, scale_penalty=0
    )
    assert search.run(max_epochs=10) is None and search.epoch is None
    assert len(search.history) == 10


def test_each_run_says_for_itself_when_the_ticket_was_drawn():
    model, seeds = normalised(), iter(range(10))
    search = tt.search.LoopedEarlyBird(
        model, None, lambda *_: None, channel_sparsity=0.5, look_back=2, scale_penalty=0
    )
    assert search.run(max_epochs=5) is not None and search.epoch == 3
    gamma = model.get_layer("bn").gamma
    search.train = lambda *_: gamma.assign(np.random.default_rng(next(seeds)).random(8))
    assert search.run(max_epochs=3) is None and search.epoch is None


@pytest.mark.parametrize("max_epochs", [0, 2.5])
def test_epochs_are_counted(max_epochs):
    search = tt.search.LoopedEarlyBird(normalised(), None, lambda *_: None, channel_sparsity=0.5)
    with pytest.raises(tt.SettingError, match="`max_epochs` must be"):
        search.run(max_epochs)


def test_a_loop_that_leaves_the_penalty_out_is_warned_of_once():
    search = tt.search.LoopedEarlyBird(normalised(), None, lambda *_: None, channel_sparsity=0.5)
    with pytest.warns(UserWarning, match=r"add sum\(model\.losses\)") as warned:
        search.run(max_epochs=5)
    assert sum("model.losses" in str(each.message) for each in warned) == 1


def test_an_early_bird_that_diverges_is_not_drawn():
    model = normalised()

    def train(model, data):
        model.layers[-1].kernel.assign(np.full((2, 2, 8, 1), np.inf))  # no scale shows it

    search = tt.search.LoopedEarlyBird(model, None, train, channel_sparsity=0.5, scale_penalty=0)
    with pytest.raises(tt.DivergedError, match="kernel is NaN or infinite"):
        search.run(max_epochs=9)
    assert search.epoch is None and search.history == []


def test_a_loop_by_hand_sees_the_penalty_in_the_models_losses():
    penalties = []

    def train(model, data):
        penalties.append(float(sum(model.losses)))

    model = normalised()
    search = tt.search.LoopedEarlyBird(model, None, train, channel_sparsity=0.5, scale_penalty=0.1)
    search.run(max_epochs=1)
    assert penalties == [pytest.approx(0.1 * np.linspace(0.5, 1.5, 8).sum())]
    assert not model.losses


def test_a_last_round_that_leaves_too_little_is_refused_before_any_training():
    def train(model, data):
        pytest.fail("it was trained")

    search = tt.search.LoopedPruning(
        build(), None, train, schedule=tt.IterativeSparsity(0.9, 3), rounds=3
    )
    with pytest.raises(tt.SettingError, match="fewer than the 2 variables"):
        search.run()
