"""Models that `fit` builds at its first batch."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.callbacks.small_training import INPUTS, POOL, dense_net, fit, num_zeros
from tests.quick import slow_but
from tf_tickets.callbacks.training_callback import lacks_weights

L = keras.layers
SCHEDULE = tt.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=6, frequency=2)


class Late(keras.Model):
    """A subclassed model: no layer has a weight before it is called."""

    def __init__(self):
        super().__init__(name="late")
        self.first, self.last = L.Dense(32, "relu"), L.Dense(1)
        self.drop = L.Dropout(0.1)

    def call(self, inputs, training=None):
        return self.last(self.drop(self.first(inputs), training=training))


class LateStep(Late):
    """One with a step of its own."""

    def train_step(self, data):
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(inputs, training=True) - targets) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


class LateHead(keras.Model):
    """A built network and a head that is not built."""

    def __init__(self):
        super().__init__(name="late")
        self.net = keras.Sequential([keras.Input((8,)), L.Dense(32, "relu")])
        self.head = L.Dense(1)

    def call(self, inputs):
        return self.head(self.net(inputs))


def sequential():
    return keras.Sequential([L.Dense(32, "relu"), L.Dense(1)], name="late")


KINDS = {"subclass": Late, "own step": LateStep, "head": LateHead, "sequential": sequential}
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "lion": lambda: keras.optimizers.Lion(1e-3),
    "adamw": lambda: keras.optimizers.AdamW(
        0.01, weight_decay=0.1, use_ema=True, ema_momentum=0.9, gradient_accumulation_steps=2
    ),
}


def unbuilt(kind="subclass", optimizer="sgd", **options):
    keras.utils.set_random_seed(2)
    model = KINDS[kind]()
    model.compile(OPTIMIZERS[optimizer](), "mse", **{"jit_compile": False, **options})
    return model


@pytest.mark.parametrize(
    ("kind", "optimizer", "options"),
    slow_but(
        [
            ("subclass", "sgd", {}),
            ("subclass", "lion", {}),
            ("subclass", "adamw", {}),
            ("own step", "adamw", {}),
            ("head", "sgd", {}),
            ("sequential", "lion", {}),
            ("subclass", "sgd", {"jit_compile": True}),
            ("subclass", "sgd", {"run_eagerly": True}),
            ("subclass", "sgd", {"steps_per_execution": 2}),
        ],
        ("subclass", "sgd", {}),
        ("subclass", "adamw", {}),
        ("sequential", "lion", {}),
    ),
    ids=str,
)
def test_fit_prunes_a_model_that_it_builds(kind, optimizer, options):
    model = unbuilt(kind, optimizer, **options)
    report = tt.callbacks.PruningReport()
    history = fit(model, tt.callbacks.PruneLowMagnitude(SCHEDULE), report, epochs=4)
    assert abs(num_zeros(model) - 0.8 * POOL) <= 1
    assert history.history["weight_sparsity"][-1] == num_zeros(model) / POOL
    assert all(kernel.constraint is None for kernel in tt.prunable(model))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_rewind_point_at_step_0_is_before_any_update(kind):
    rewind = tt.callbacks.RewindPoint(0)
    model = unbuilt(kind)
    fit(model, rewind)
    trained = model.get_weights()
    called = unbuilt(kind)
    called(INPUTS[:8])
    rewind.rewind()
    for value, expected in zip(model.get_weights(), called.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected)
    fit(alone := unbuilt(kind))
    for value, expected in zip(trained, alone.get_weights(), strict=True):
        np.testing.assert_array_equal(value, expected, "the training is the same without it")


def test_masks_by_place_are_held_from_the_first_update():
    built = unbuilt()
    built(INPUTS)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(built)), 0.5)
    model = unbuilt()
    fit(model, tt.callbacks.HoldMasks(masks))
    for name, kernel in tt.prunable(model).items():
        assert not kernel.numpy()[~masks[name]].any() and kernel.numpy()[masks[name]].all()
    with pytest.raises(tt.SettingError, match="no variable other/kernel"):
        fit(unbuilt(), tt.callbacks.HoldMasks(tt.Masks({"other/kernel": np.ones(3, bool)})))


def test_an_early_bird_of_a_sequential_model_without_an_input():
    layers = [L.Dense(8), L.BatchNormalization(name="norm"), L.ReLU(), L.Dense(1)]
    model = keras.Sequential(layers, name="late")
    model.compile(keras.optimizers.SGD(1e-6), "mse", jit_compile=False)
    early_bird = tt.callbacks.EarlyBird(0.5, look_back=1)
    fit(model, early_bird, epochs=4)
    assert early_bird.epoch == 2 and early_bird.masks["norm/gamma"].sum() == 4
    assert model.get_layer("norm").gamma.regularizer is None


def test_what_is_refused_is_refused_before_the_first_update():
    model = unbuilt()
    too_much = tt.ConstantSparsity(0.999, begin_step=5, frequency=1)
    with pytest.raises(tt.SettingError, match="cannot be followed to its end"):
        fit(model, tt.callbacks.PruneLowMagnitude(too_much))
    assert model.optimizer.iterations.numpy() == 0


def test_a_training_that_ends_before_its_first_step_leaves_nothing_waiting():
    class Refuse(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            raise KeyboardInterrupt

    model = unbuilt()
    with pytest.raises(KeyboardInterrupt):
        fit(model, tt.callbacks.PruneLowMagnitude(SCHEDULE), Refuse())
    rewind = tt.callbacks.RewindPoint(0)
    fit(model, rewind)
    assert num_zeros(model) == 0 and rewind.weights


def test_an_eager_step_that_cannot_be_traced_asks_for_a_built_model():
    class Looks(Late):
        def train_step(self, data):
            assert float(tf.reduce_sum(data[0])) < 1e9
            return super().train_step(data)

    model = Looks()
    model.compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(tt.SettingError, match=r"late has no weights before .* call the model on"):
        fit(model, tt.callbacks.PruneLowMagnitude(SCHEDULE))
    model(INPUTS)
    fit(model, tt.callbacks.PruneLowMagnitude(SCHEDULE))
    assert abs(num_zeros(model) - 0.8 * POOL) <= 1


def test_only_what_has_weights_to_come_is_waited_for():
    class Gan(keras.Model):
        def __init__(self):
            super().__init__()
            self.networks = [dense_net(), dense_net()]
            self.drop = L.Dropout(0.1)

    assert lacks_weights(unbuilt()) and lacks_weights(unbuilt("head"))
    assert lacks_weights(unbuilt("sequential"))
    assert not lacks_weights(dense_net()) and not lacks_weights(Gan())


OURS = {
    "PruneLowMagnitude": lambda: tt.callbacks.PruneLowMagnitude(SCHEDULE),
    "HoldMasks": tt.callbacks.HoldMasks,
    "RewindPoint": lambda: tt.callbacks.RewindPoint(0),
    "EarlyBird": lambda: tt.callbacks.EarlyBird(0.5),
    "PruningReport": tt.callbacks.PruningReport,
}


@pytest.mark.parametrize("name", tt.callbacks.__all__)
def test_fit_of_tf_keras_is_refused_in_one_line(name):
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.layers.Dense(1, input_shape=(8,))])
    model.compile("sgd", "mse")
    with pytest.raises(tt.SettingError, match="a Sequential of tf_keras, which is Keras 2") as told:
        model.fit(INPUTS, np.zeros((len(INPUTS), 1)), callbacks=[OURS[name]()], verbose=0)
    assert "\n" not in str(told.value)
