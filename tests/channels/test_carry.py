"""A slim model is all that the model was: class, attributes, state, and how it is trained."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tf_tickets as tt
from tests.channels.masked_twin import check_slim, mask_scales
from tf_tickets.optimizers import nested_optimizers, optimizers_of

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(8, 4, 4, 2)).astype("float32")
TARGETS = RANDOM.normal(size=(8, 3)).astype("float32")


def graph(first=None, **head):
    """Return input and output of a network of eight channels that a normalisation scales."""
    x = inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(8, 1, use_bias=False, name="conv")(first(x) if first else x)
    x = norm = layers.BatchNormalization(name="bn")(x)
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    outputs = layers.Dense(3, name="head", **head)(x)
    keras.Model(inputs, norm).get_layer("bn").gamma.assign(np.linspace(0.5, 1.5, 8))
    return inputs, outputs


def slim(model, sparsity=0.5):
    slimmed = tt.slim(model, tt.channel_masks(model, sparsity))
    assert slimmed.count_params() < model.count_params()
    return slimmed


def check_equal(model, x=IMAGES):
    """Slim a model; it answers as the masked one does, and is smaller."""
    masks = tt.channel_masks(model, 0.5)
    slimmed = check_slim(model, masks, x, 1e-5, mask_scales, modes=(False,))
    assert slimmed.count_params() < model.count_params()
    return slimmed


# --- a class of the user's own


class Weighted(keras.Model):
    """Functional, with a constructor, attributes and a training step of its own."""

    def __init__(self, inputs, outputs, strength):
        super().__init__(inputs, outputs, name="weighted")
        self.strength = strength
        self.head = self.get_layer("head")
        self.parts = {"all": [self.get_layer("conv"), self.head]}
        self.tracker = keras.metrics.Mean(name="my_loss")
        self.seeds = keras.random.SeedGenerator(3)
        self.steps = self.add_weight(shape=(), name="steps", trainable=False, initializer="zeros")
        self.measure = self.distance
        self.teacher = keras.Sequential([keras.Input((4, 4, 2)), layers.Flatten()], name="teacher")
        self.extractor = keras.Model(self.input, self.get_layer("bn").output, name="extractor")

    def distance(self, first, second):
        return self.strength * tf.reduce_mean((first - second) ** 2)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.measure(self(x, training=True), y)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.steps.assign_add(1.0)
        keras.random.uniform((), seed=self.seeds)
        self.tracker.update_state(loss)
        return {"my_loss": self.tracker.result()}


def test_a_functional_class_of_ones_own_trains_by_its_own_step():
    model = Weighted(*graph(), strength=0.1)
    model.compile("adam", "mse")
    before = model.fit(IMAGES, TARGETS, verbose=0).history
    slimmed = slim(model)
    assert type(slimmed) is Weighted and slimmed.name == "weighted" and slimmed.strength == 0.1
    assert slimmed.head is slimmed.get_layer("head") is not model.head
    assert slimmed.parts["all"] == [slimmed.get_layer("conv"), slimmed.head]
    assert slimmed.measure.__self__ is slimmed
    assert slimmed.teacher is model.teacher, "what is not trained is shared"
    assert slimmed.extractor.layers[-1] is slimmed.get_layer("bn")
    assert slimmed.extractor(IMAGES).shape[-1] == 4
    assert slimmed.steps is not model.steps and float(slimmed.steps) == 1.0
    states = [each.seeds.state.numpy() for each in (model, slimmed)]
    assert np.array_equal(*states) and slimmed.seeds is not model.seeds
    after = slimmed.fit(IMAGES, TARGETS, verbose=0).history
    assert list(after) == list(before) == ["my_loss"]
    assert float(slimmed.steps) == 2.0 and float(model.steps) == 1.0, "the model is left alone"


class OfAWidth(keras.Model):
    """Functional, and makes its own graph."""

    def __init__(self, width):
        x = inputs = keras.Input((3,))
        x = layers.BatchNormalization(name="bn")(layers.Dense(width, name="hidden")(x))
        super().__init__(inputs, layers.Dense(2, name="out")(x))
        self.width = width


class Doubling(keras.Sequential):
    """Sequential, with a loss of its own, and an `__init__` that takes anything."""

    def __init__(self, *parts, factor=1.0, **options):
        super().__init__(list(parts), **options)
        self.factor = factor

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return self.factor * keras.ops.mean((y - y_pred) ** 2)


@pytest.mark.parametrize(
    "build",
    [
        lambda: OfAWidth(6),
        lambda: Doubling(
            keras.Input((3,)), layers.Dense(6), layers.BatchNormalization(), layers.Dense(2),
            factor=2.0,
        ),
    ],
    ids=["makes its own graph", "sequential"],
)  # fmt: skip
def test_other_classes_of_ones_own(build):
    model = build()
    model.compile("sgd", "mse")
    x, y = IMAGES[:, 0, :1, :].repeat(3, -1)[:, 0, :3], TARGETS[:, :2]
    slimmed = check_equal(model, x)
    assert type(slimmed) is type(model)
    assert getattr(slimmed, "factor", 6) == getattr(model, "factor", model.weights[0].shape[-1])
    results = [each.evaluate(x, y, verbose=0) for each in (model, slimmed)]
    np.testing.assert_allclose(*results, rtol=1e-4)


def test_a_class_with_a_call_of_its_own_is_not_followed_by_its_graph():
    class Doubled(keras.Model):
        def call(self, inputs, training=None):
            return 2 * super().call(inputs, training=training)

    model = Doubled(*graph())
    with pytest.raises(tt.SettingError, match=r"cannot be followed.*Received: a Doubled"):
        tt.channel_masks(model, 0.5)
    assert "conv/kernel" in tt.prunable(model).names


class TwoStep(keras.Model):
    """Functional; its own `compile` takes a second optimizer, and no config says so."""

    def compile(self, first, second, **options):
        super().compile(optimizer=first, **options)
        self.second = second
        self.optimizers = [first, second]
        second.build(self.get_layer("head").trainable_variables)

    def train_step(self, data):
        logs = super().train_step(data)
        head = self.get_layer("head").trainable_variables
        self.second.apply([tf.ones(variable.shape) for variable in head], head)
        return logs


def test_a_compile_of_ones_own_needs_no_config():
    model = TwoStep(*graph())
    momentum = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(keras.optimizers.Adam(), momentum, loss="mse", run_eagerly=True)
    model.fit(IMAGES, TARGETS, verbose=0)
    slimmed = slim(model)
    assert slimmed.second is optimizers_of(slimmed)[1] is not momentum
    assert slimmed.optimizers[0] is slimmed.optimizer
    assert [int(each.iterations) for each in slimmed.optimizers] == [1, 1]
    assert slimmed.second.momentums[0].shape == slimmed.get_layer("head").kernel.shape
    slimmed.fit(IMAGES, TARGETS, verbose=0)
    assert int(momentum.iterations) == 1, "the model's own optimizer stands still"


def test_a_trained_layer_beside_the_graph_is_copied():
    model = TwoStep(*graph())
    model.compile("sgd", keras.optimizers.SGD(), loss="mse")
    model.projection = layers.Dense(2, name="projection")
    model.projection.build((None, 3))
    model.tower = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    slimmed = slim(model)
    for name in ("projection", "tower"):
        old, new = (getattr(each, name) for each in (model, slimmed))
        assert new is not old
        np.testing.assert_array_equal(new.get_weights()[0], old.get_weights()[0])


def test_what_cannot_be_carried_is_named():
    class NoConfig(layers.Dense):
        def get_config(self):
            raise NotImplementedError("my layer has no config")

    model = TwoStep(*graph())
    model.extra = NoConfig(2)
    model.extra.build((None, 3))
    with pytest.raises(tt.SettingError, match=r"\.extra cannot be carried.*my layer has no config"):
        slim(model)


# --- adapted layers


def lookup(vocabulary, **options):
    layer = layers.StringLookup(name="lookup", **options)
    layer.adapt(vocabulary)
    return layer


WORDS = np.array(["a", "b", "b", "c", "c", "c"])


def integer_lookup():
    layer = layers.IntegerLookup(name="lookup")
    layer.adapt(np.array([5, 5, 7, 9]))
    return layer


def vectorization(**options):
    layer = layers.TextVectorization(output_sequence_length=3, name="text", **options)
    layer.adapt(np.array(["one two", "two three"]))
    return layer


def discretization():
    layer = layers.Discretization(num_bins=4, name="bins")
    layer.adapt(np.linspace(0, 1, 50))
    return layer


ADAPTED = {
    "string": (lambda: lookup(WORDS), "string", WORDS[:4].reshape(4, 1)),
    "multi hot": (lambda: lookup(WORDS, output_mode="multi_hot"), "string", WORDS[:4, None]),
    "tf-idf": (lambda: lookup(WORDS, output_mode="tf_idf"), "string", WORDS[:4, None]),
    "integer": (integer_lookup, "int64", np.array([[5], [9], [1]])),
    "text": (vectorization, "string", np.array([["two one"], ["three"]])),
    "text, by a function": (
        lambda: vectorization(standardize=lambda text: tf.strings.lower(text)),
        "string",
        np.array([["two one"], ["THREE"]]),
    ),
    "bins": (discretization, "float32", np.array([[0.1], [0.5], [0.9]], "float32")),
    "hashing": (lambda: layers.Hashing(7, salt=3), "string", WORDS[:4, None]),
    "category": (lambda: layers.CategoryEncoding(4), "int64", np.array([[0], [3]])),
}


@pytest.mark.parametrize("name", ADAPTED)
def test_what_a_layer_has_adapted_to_is_carried(name):
    build, dtype, x = ADAPTED[name]
    inputs = keras.Input((1,), dtype=dtype)
    hidden = keras.ops.cast(build()(inputs), "float32")
    hidden = layers.BatchNormalization(name="bn")(layers.Dense(6, name="hidden")(hidden))
    model = keras.Model(inputs, layers.Dense(2, name="out")(hidden))
    check_equal(model, tf.constant(x))


@pytest.mark.parametrize("axis", [-1, None])
@pytest.mark.parametrize("given", [False, True], ids=["adapted", "given"])
def test_an_adapted_normalization_normalises_as_before(axis, given):
    data = RANDOM.normal(100, 25, size=(32, 4, 4, 2)).astype("float32")
    options = {"mean": [90.0, 80.0], "variance": [400.0, 500.0]} if given and axis else {}
    options = {"mean": 90.0, "variance": 400.0} if given and not axis else options
    normalization = layers.Normalization(axis=axis, name="normalization", **options)
    if not given:
        normalization.adapt(data)
    check_equal(keras.Model(*graph(normalization)), data)


def test_a_normalization_in_the_midst_loses_channels_too():
    x = inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(8, 1, name="conv")(x)
    normalization = layers.Normalization(name="normalization")
    normalization.adapt(RANDOM.normal(2, 3, size=(32, 4, 4, 8)))
    x = layers.BatchNormalization(name="bn")(normalization(x))
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="last")(x))
    model.get_layer("bn").gamma.assign(np.linspace(0.5, 1.5, 8))
    slimmed = check_equal(model)
    assert slimmed.get_layer("normalization").mean.shape[-1] == 4


def test_an_adapted_layer_within_ones_own_is_carried():
    class Reading(layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.lookup = layers.StringLookup(name="lookup")

        def call(self, x):
            return keras.ops.cast(self.lookup(x), "float32")

    reading = Reading(name="reading")
    reading.lookup.adapt(WORDS)
    inputs = keras.Input((1,), dtype="string")
    hidden = layers.BatchNormalization(name="bn")(layers.Dense(6)(reading(inputs)))
    check_equal(keras.Model(inputs, layers.Dense(2)(hidden)), tf.constant(WORDS[:, None]))


# --- what an optimizer was told


def excluding():
    optimizer = keras.optimizers.AdamW(1e-2, weight_decay=0.5, epsilon=1e-2)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def parts():
    inner = {"head/.*": keras.optimizers.SGD(0.5, momentum=0.9)}
    default = keras.optimizers.Adam(1e-2, epsilon=1e-2)
    return keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(default_optimizer=default, optimizer_map=inner)
    )


def chosen_parts():
    first, second = keras.optimizers.SGD(0.5, momentum=0.9), keras.optimizers.Adam(1e-2)
    return keras.optimizers.MultiOptimizer(lambda v: first if "head" in v.path else second)


TOLD = {
    "clipping": lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1),
    "averages": lambda: keras.optimizers.Adam(1e-2, use_ema=True, ema_overwrite_frequency=2),
    "accumulation": lambda: keras.optimizers.Adam(1e-2, gradient_accumulation_steps=3),
    "schedule": lambda: keras.optimizers.SGD(keras.optimizers.schedules.CosineDecay(0.1, 9)),
    "exclusion": excluding,
    "parts": parts,
    "chosen parts": chosen_parts,
    "lion": lambda: keras.optimizers.Lion(1e-3),
    "muon": lambda: keras.optimizers.Muon(1e-3),
    "schedule-free": lambda: keras.optimizers.ScheduleFreeAdamW(1e-2),
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(excluding(), initial_scale=32.0),
}


@pytest.mark.parametrize("name", TOLD)
def test_the_slim_model_trains_as_the_masked_one_does(name):
    model = keras.Model(*graph())
    model.compile(TOLD[name](), "mse", run_eagerly=True)
    model.fit(IMAGES, TARGETS, epochs=2, verbose=0)
    masks = tt.channel_masks(model, 0.5)
    slimmed = tt.slim(model, masks)
    plain = [
        {key: value for key, value in vars(each).items() if isinstance(value, int | float | str)}
        for each in (model.optimizer, slimmed.optimizer)
    ]
    assert plain[0] == plain[1]
    if name == "muon":  # a step depends on the whole matrix
        assert np.isfinite(slimmed.fit(IMAGES, TARGETS, verbose=0).history["loss"]).all()
        return
    with tt.hold(model, tt.weight_masks(model, masks)):
        for each in (model, slimmed):
            each.fit(IMAGES, TARGETS, epochs=2, shuffle=False, verbose=0)
        masked = tt.slim(model, masks)
    if name in ("clipping", "lion"):  # by a norm that knows no masks; by signs of what is nearly 0
        return
    for expected, received in zip(masked.weights, slimmed.weights, strict=True):
        np.testing.assert_allclose(received, expected, rtol=1e-3, atol=1e-5)


def test_variables_that_were_excluded_by_object_and_rates_by_variable():
    class Rated(keras.optimizers.SGD):
        """Has a rate for each variable, and a config that does not know of them."""

        def __init__(self, frozen):
            super().__init__(0.1, weight_decay=0.1)
            self.rates = {id(variable): 0.0 for variable in frozen}
            self.frozen = list(frozen)

        def apply(self, gradients, trainable_variables=None):
            assert {id(variable) for variable in self.frozen} == set(self.rates)
            pairs = zip(gradients, trainable_variables, strict=True)
            rated = [gradient * self.rates.get(id(v), 1.0) for gradient, v in pairs]
            super().apply(rated, trainable_variables)

    model = keras.Model(*graph())
    head = model.get_layer("head")
    optimizer = Rated([head.bias])
    optimizer.exclude_from_weight_decay(var_list=[head.bias])
    model.compile(optimizer, "mse")
    slimmed = slim(model)
    bias = slimmed.get_layer("head").bias
    bias.assign([1.0, 2.0, 3.0])
    kernel = slimmed.get_layer("head").kernel.numpy()
    slimmed.fit(IMAGES, TARGETS, verbose=0)
    assert bias.numpy().tolist() == [1.0, 2.0, 3.0]
    assert np.all(slimmed.get_layer("head").kernel.numpy() != kernel)


def test_parts_of_a_multi_optimizer_go_on_with_their_state():
    for build in (parts, chosen_parts):
        model = keras.Model(*graph())
        model.compile(build(), "mse")
        model.fit(IMAGES, TARGETS, verbose=0)
        slimmed = slim(model)
        slimmed.fit(IMAGES, TARGETS, verbose=0)
        old, new = (list(nested_optimizers(each.optimizer)) for each in (model, slimmed))
        assert [int(each.iterations) for each in old] == [1] * len(old)
        assert [int(each.iterations) for each in new] == [2] * len(new)
        assert [type(each) for each in old] == [type(each) for each in new]


def test_how_it_was_compiled_is_carried():
    model = keras.Model(*graph())
    model.compile(
        "adam",
        {"head": "mse"},
        loss_weights={"head": 3.0},
        metrics={"head": ["mae"]},
        weighted_metrics=[keras.metrics.MeanSquaredError(name="weighted")],
        steps_per_execution=2,
        jit_compile=False,
    )
    weights = np.linspace(0, 1, 8)
    slimmed = check_equal(model)
    assert slimmed.steps_per_execution == 2 and not slimmed.jit_compile
    expected, received = (
        each.evaluate(IMAGES, TARGETS, sample_weight=weights, return_dict=True, verbose=0)
        for each in (model, slimmed)
    )
    assert list(expected) == list(received) and len(expected) == 3
    np.testing.assert_allclose(list(received.values()), list(expected.values()), rtol=1e-4)
    model.run_eagerly = True
    assert slim(model).run_eagerly


def test_a_model_of_16_bits_keeps_its_loss_scale_when_the_policy_has_changed():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Model(*graph())
        model.compile("adam", "mse")
    finally:
        keras.config.set_dtype_policy("float32")
    slimmed = slim(model)
    assert isinstance(slimmed.optimizer, keras.optimizers.LossScaleOptimizer)
    assert slimmed.get_layer("conv").compute_dtype == "float16"


def test_dropout_goes_on_with_the_same_seeds():
    x = inputs = keras.Input((4,))
    x = layers.BatchNormalization(name="bn")(layers.Dense(6)(x))
    x = layers.Dense(3, name="mix")(x)
    model = keras.Model(inputs, layers.Dropout(0.5, seed=1)(x))
    model(np.ones((2, 4)), training=True)
    slimmed = slim(model)
    state = [each.layers[-1].seed_generator.state.numpy().tolist() for each in (model, slimmed)]
    assert state[0] == state[1]


# --- quantised layers, and those of low rank


def dense_model():
    x = inputs = keras.Input((8,))
    x = layers.BatchNormalization(name="bn")(layers.Dense(6, name="hidden")(x))
    x = layers.Dense(4, name="mix")(layers.ReLU()(x))
    x = layers.BatchNormalization(name="bn2")(layers.Dense(8, name="quantised")(x))
    return keras.Model(inputs, layers.Dense(2, name="out")(x))


@pytest.mark.parametrize("mode", ["int8", "int4", "lora", "int8 and lora"])
def test_a_quantised_layer_is_left_whole_and_copied(mode):
    model = dense_model()
    layer = model.get_layer("quantised")
    layer.kernel.assign(RANDOM.normal(size=layer.kernel.shape))
    if mode.startswith("int"):
        layer.quantize(mode[:4])
    if mode.endswith("lora"):
        layer.enable_lora(2)
        layer.lora_kernel_b.assign(RANDOM.normal(size=layer.lora_kernel_b.shape))
    x = RANDOM.normal(size=(5, 8)).astype("float32")
    assert list(tt.channel_masks(model, 0.5)) == ["bn/gamma"]
    rows = {row.name: row for row in check_equal(model, x).slim_report.layers}
    assert rows["hidden"].after < rows["hidden"].before
    assert rows["mix"].after == rows["mix"].before and "quantised (Dense)" in rows["mix"].reason
    assert ("(int" if "int" in mode else "LoRA") in rows["quantised"].reason


def test_methods_that_are_attributes_are_bound_anew():
    model = TwoStep(*graph())
    model.helper = types.MethodType(lambda self: self.name, model)
    model.compiled_step = tf.function(model.test_step)
    slimmed = slim(model)
    assert slimmed.helper.__self__ is slimmed
    assert slimmed.compiled_step.python_function.__self__ is slimmed
