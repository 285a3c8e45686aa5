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
    model.compile("adam", "mse")
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


@pytest.mark.parametrize("name", slow_but(MODELS, "twins"))
@pytest.mark.parametrize("kind", [".keras", ".weights.h5", ".h5"])
def test_zeros_and_names_come_back_from_every_file(name, kind, tmp_path):
    model = build(name)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.6)
    with tt.hold(model, masks):
        path = tmp_path / f"model{kind}"
        if kind == ".keras" or (kind == ".h5" and name == "towers"):
            model.save(path)
            loaded = keras.models.load_model(path, compile=False)
        else:
            model.save_weights(tmp_path / "model.weights.h5")
            loaded = build(name, seed=1)
            loaded.load_weights(tmp_path / "model.weights.h5")
        snapshot = tt.take_snapshot(model)
    assert tt.variable_names(loaded).keys() == tt.variable_names(model).keys()
    assert tt.masks_of_zeros(loaded) == masks
    np.testing.assert_allclose(answers(loaded, name), answers(model, name), rtol=1e-5, atol=1e-6)
    tt.restore_snapshot(loaded, snapshot)  # and what is taken of one goes into the other
    tt.restore_snapshot(model, tt.take_snapshot(loaded))
    loaded.compile("adam", "mse")
    loaded.fit(inputs_of(name), Y, callbacks=[tt.callbacks.HoldMasks()], verbose=0)
    assert tt.masks_of_zeros(loaded) == masks


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
