"""The slim model answers as the channel-masked one does."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import layers

import tf_tickets as tt
from tests.channels.masked_twin import (
    MODES,
    answers,
    check_alike,
    check_slim,
    in_float64,
    inputs_of,
    mask_scales,
    shake,
)
from tests.quick import slow_but

OURS_WITH_BATCH_NORM = (
    *("vae", "resnet-vae", "dcgan", "dcgan-table2", "dcgan-shared"),
    *("sngan", "resnet-dcgan", "sngan-resnet"),
)


def check_equal(model, masks=None, tolerance=1e-5, whole_groups=False, x=None, **options):
    """Slim a model by its scales, and hold its answers against those of the masked one."""
    masks = tt.channel_masks(model, 0.5, whole_groups) if masks is None else masks
    return check_slim(model, masks, x, tolerance, mask_scales, **options)


@pytest.fixture
def float64():
    with in_float64():
        yield


@pytest.mark.parametrize("name", slow_but(OURS_WITH_BATCH_NORM, "vae", "resnet-vae"))
@pytest.mark.parametrize("whole_groups", [False, True])
def test_networks_of_ours(name, whole_groups, float64):
    model = shake(tt.models.build(name, (32, 32, 3), width=4))
    masks = tt.channel_masks(model, 0.5, whole_groups)
    slimmed = tt.slim(model, masks)
    assert slimmed.slim_report.masks == masks
    assert slimmed.count_params() < model.count_params()
    mask_scales(model, masks)
    for part, network in model.components.items():
        check_alike(network, slimmed.components[part], inputs_of(network), 1e-10)


@pytest.mark.parametrize("name", slow_but(OURS_WITH_BATCH_NORM, "vae"))
def test_networks_of_ours_in_float32(name):
    keras.utils.set_random_seed(0)
    model = shake(tt.models.build(name, (32, 32, 3), width=4))
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    mask_scales(model, slimmed.slim_report.masks)
    for part, network in model.components.items():
        assert_equal_up_to_rounding(network, slimmed.components[part], inputs_of(network))


def assert_equal_up_to_rounding(masked, slimmed, x):
    """Assert answers within 1e-5, or where a network magnifies rounding more, as near as its own.

    That is measured: the masked network in float32 against the same one in float64.
    """
    exact = keras.models.clone_model(masked, clone_function=as_float64)
    exact.set_weights(masked.get_weights())
    for training in MODES:
        (expected,), (received,), (reference,) = (
            answers(each, x, training) for each in (masked, slimmed, exact)
        )
        scale = np.abs(expected).max()
        rounding = np.abs(expected - reference).max() / scale
        assert np.abs(expected - received).max() / scale <= max(1e-5, 4 * rounding)


def as_float64(layer):
    return type(layer).from_config({**layer.get_config(), "dtype": "float64"})


def unet():
    inputs = x = keras.Input((16, 16, 3))
    skips = []
    for width in (6, 8):
        x = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    for width, skip in zip((8, 6), reversed(skips), strict=True):
        x = layers.Conv2DTranspose(width, 4, 2, padding="same")(x)
        x = layers.LeakyReLU()(layers.BatchNormalization()(x))
        x = layers.Concatenate()([x, skip])
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


def by_operators():
    inputs = x = keras.Input((8, 8, 3))
    for _ in range(2):
        y = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x))
        x = y if x is inputs else keras.ops.concatenate([x + y, x * y], axis=-1)
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


def one_dimensional():
    return keras.Sequential(
        [
            *(keras.Input((32, 2)), layers.Conv1D(6, 5), layers.BatchNormalization()),
            *(layers.PReLU(shared_axes=[1]), layers.MaxPooling1D()),
            *(layers.SeparableConv1D(8, 3, depth_multiplier=2), layers.BatchNormalization()),
            *(layers.ReLU(), layers.Flatten(), layers.Dense(6), layers.BatchNormalization()),
            *(layers.Activation("gelu"), layers.Dense(3)),
        ]
    )


def three_dimensional():
    return keras.Sequential(
        [
            *(keras.Input((8, 8, 8, 2)), layers.ZeroPadding3D(1), layers.Conv3D(6, 3)),
            *(layers.BatchNormalization(), layers.ELU(), layers.AveragePooling3D(2)),
            *(layers.Conv3DTranspose(8, 2, 2), layers.BatchNormalization(), layers.Cropping3D(1)),
            *(layers.Activation("relu"), layers.GlobalAveragePooling3D(), layers.Dense(3)),
        ]
    )


def from_codes():
    inputs = keras.Input((5,))
    x = layers.Dense(4 * 4 * 6, use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(layers.Reshape((4, 4, 6))(x)))
    x = layers.Conv2D(8, 3, padding="same")(layers.UpSampling2D()(x))
    x = layers.GroupNormalization(4)(x)
    return keras.Model(inputs, layers.Conv2D(3, 3)(layers.Activation("tanh")(x)))


def squeeze_and_excite():
    inputs = keras.Input((8, 8, 3))
    x = layers.Activation("silu")(layers.BatchNormalization()(layers.Conv2D(8, 1)(inputs)))
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.Activation("silu")(layers.BatchNormalization()(x))
    share = layers.GlobalAveragePooling2D()(x)
    share = layers.Dense(8, activation="sigmoid")(layers.Dense(4, activation="silu")(share))
    x = layers.Multiply()([x, layers.Reshape((1, 1, 8))(share)])
    return keras.Model(inputs, layers.Dense(2, activation="softmax")(layers.Flatten()(x)))


def nested_and_shared():
    inner = keras.Sequential(
        [keras.Input((8, 8, 4)), layers.BatchNormalization(), layers.ReLU(), layers.Conv2D(5, 3)]
    )
    shared = layers.Conv2D(4, 3, padding="same")
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    x = layers.Concatenate()([inner(shared(first)), inner(shared(second))])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model([first, second], layers.Conv2D(2, 1)(x))


@pytest.mark.parametrize(
    "build",
    [unet, by_operators, one_dimensional, three_dimensional, from_codes, squeeze_and_excite],
)
def test_graphs_of_other_kinds(build):
    model = shake(build())
    slimmed = check_equal(model, whole_groups=True)
    assert slimmed.count_params() < 0.8 * model.count_params()


def test_nested_models_and_shared_layers_stay_shared():
    model = shake(nested_and_shared())
    x = inputs_of(model)
    slimmed = check_equal(model, whole_groups=True, x=x)
    assert len(slimmed.layers) == len(model.layers)
    assert slimmed.count_params() < model.count_params()


def test_a_network_of_keras_within_another(float64):
    inputs = keras.Input((32, 32, 3))
    base = keras.applications.MobileNetV2(
        input_shape=(32, 32, 3), alpha=0.35, include_top=False, weights=None
    )
    x = layers.GlobalAveragePooling2D()(base(inputs))
    model = shake(keras.Model(inputs, layers.Dense(3)(x)))
    slimmed = check_equal(model, whole_groups=True, tolerance=1e-10)
    assert slimmed.count_params() < 0.7 * model.count_params()
    assert slimmed.get_layer(base.name).input.name == base.input.name


def test_inputs_of_a_nested_model_keep_names_types_and_structure():
    tokens, image = keras.Input((4,), dtype="int32", name="tokens"), keras.Input((6,), name="image")
    words = layers.Flatten()(layers.Embedding(5, 3)(tokens))
    inner = keras.Model(
        {"tokens": tokens, "image": image},
        layers.Dense(2)(layers.Concatenate()([words, image])),
        name="inner",
    )
    outer = keras.Input((4,), dtype="int32"), keras.Input((5,))
    hidden = layers.BatchNormalization()(layers.Dense(6)(outer[1]))
    model = shake(keras.Model(outer, inner({"tokens": outer[0], "image": hidden})))
    x = [np.ones((2, 4), "int32"), np.random.default_rng(0).normal(size=(2, 5)).astype("float32")]
    inputs = check_equal(model, x=x).get_layer("inner").input
    assert {name: tensor.shape[1] for name, tensor in inputs.items()} == {"tokens": 4, "image": 3}
    assert inputs["tokens"].dtype == "int32"


APPLICATIONS = ("MobileNetV2", "ResNet50V2", "DenseNet121", "EfficientNetV2B0")


def application(name, size):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
    )

    def clone(layer):
        config = layer.get_config()
        # Two tensors of different widths cannot drop the same values.
        return type(layer).from_config(config | ({"rate": 0.0} if "rate" in config else {}))

    return shake(keras.models.clone_model(model, clone_function=clone))


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
@pytest.mark.parametrize("whole_groups", [False, True])
def test_networks_of_keras(name, whole_groups, float64):
    model = application(name, 64)
    slimmed = check_equal(model, tolerance=1e-10, whole_groups=whole_groups)
    assert slimmed.count_params() < 0.7 * model.count_params()


@pytest.mark.slow
@pytest.mark.parametrize("name", APPLICATIONS)
def test_networks_of_keras_in_float32(name):
    model = application(name, 96)
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    mask_scales(model, slimmed.slim_report.masks)
    assert_equal_up_to_rounding(model, slimmed, inputs_of(model, batch=16))


def flatten_twice():
    """Return one Flatten that is called on two widths."""
    flatten, inputs = layers.Flatten(), keras.Input((8, 8, 3))
    wide = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2)(inputs))
    narrow = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2)(wide))
    x = layers.Concatenate()([flatten(wide), flatten(layers.ReLU()(narrow))])
    return keras.Model(inputs, layers.Dense(2)(x))


def with_constants():
    """Return sums and products with constants, of layers and of operators."""
    constant = np.random.default_rng(0).normal(size=(1, 8, 8, 6)).astype(keras.config.floatx())
    x = inputs = keras.Input((8, 8, 3))
    for combine in (
        *(lambda x: layers.Add()([x, constant]), lambda x: layers.Multiply()([x, constant])),
        *(lambda x: x + constant, lambda x: keras.ops.maximum(x, constant)),
        *(lambda x: 2.0 * keras.ops.relu(x), lambda x: layers.Add()([x, constant[..., :1]])),
    ):
        x = layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x))
        x = combine(layers.BatchNormalization()(layers.Conv2D(6, 3, padding="same")(x)))
    return keras.Model(inputs, layers.Conv2D(2, 1)(x))


@pytest.mark.parametrize("build", [flatten_twice, with_constants])
def test_graphs_that_make_others_fall_over(build, float64):
    model = shake(build())
    assert check_equal(model, tolerance=1e-10).count_params() < 0.9 * model.count_params()


def test_a_small_network_of_keras(float64):
    model = keras.applications.MobileNetV2(
        alpha=0.35, weights=None, input_shape=(32, 32, 3), classes=10, classifier_activation=None
    )
    check_equal(shake(model), tolerance=1e-10)


# --- by filters


def check_equal_by_norm(model, channel_sparsity=0.4, **options):
    return check_slim(model, tt.channel_masks(model, channel_sparsity, by="norm", **options))


def vgg():
    """Return convolutions without normalisations, and dense layers behind them."""
    x = inputs = keras.Input((8, 8, 3))
    for width in (4, 6):
        for _ in range(2):
            x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(12, "relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(3, "softmax")(x))


def critic():
    """Return the discriminator of a DCGAN, which has no normalisation at its first layer."""
    x = inputs = keras.Input((16, 16, 3))
    for width in (4, 6, 8):
        x = layers.LeakyReLU(0.2)(layers.Conv2D(width, 5, strides=2, padding="same")(x))
        x = layers.Dropout(0.0)(x)
    return keras.Model(inputs, layers.Dense(1)(layers.Flatten()(x)))


def inception():
    """Return branches that are put beside each other, with normalisations without scales."""
    x = inputs = keras.Input((8, 8, 3))
    for _ in range(2):
        branches = []
        for size in (1, 3):
            y = layers.Conv2D(4, size, padding="same", use_bias=False)(x)
            branches.append(layers.ReLU()(layers.BatchNormalization(scale=False)(y)))
        branches.append(layers.AveragePooling2D(3, 1, "same")(x))
        x = layers.Concatenate()(branches)
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def convnext():
    """Return blocks that normalise over their channels, which can lose none but hidden ones."""
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 2, strides=2)(x)
    for _ in range(2):
        y = layers.LayerNormalization()(layers.DepthwiseConv2D(3, padding="same")(x))
        x = layers.Add()([x, layers.Dense(6)(layers.Dense(24, "gelu")(y))])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def modulated():
    """Return a block whose features codes scale and shift, as AdaIN does."""
    image, codes = keras.Input((8, 8, 3)), keras.Input((4,))
    x = layers.Conv2D(6, 3, padding="same")(image)
    x = layers.GroupNormalization(-1, scale=False, center=False)(x)
    scale, shift = (layers.Reshape((1, 1, 6))(layers.Dense(6)(codes)) for _ in range(2))
    return keras.Model([image, codes], layers.Conv2D(3, 1)(layers.ReLU()(x * scale + shift)))


def repeated():
    """Return codes that every step of a sequence is given."""
    codes = keras.Input((4,))
    x = layers.RepeatVector(3)(layers.Dense(8, "relu")(codes))
    x = layers.Conv1D(6, 2, activation="relu")(
        keras.ops.pad(x, [[0, 0], [1, 1], [0, 0]], "reflect")
    )
    return keras.Model(codes, layers.Dense(2)(x))


WITHOUT_SCALES = (
    *(vgg, critic, inception, convnext, unet, from_codes, squeeze_and_excite, repeated),
)


@pytest.mark.parametrize("build", WITHOUT_SCALES)
def test_channels_go_by_their_filters(build, float64):
    model = shake(build())
    slimmed = check_equal_by_norm(model)
    assert slimmed.count_params() < 0.9 * model.count_params()


def test_whole_groups_go_by_their_filters(float64):
    model = shake(residual())
    slimmed = check_equal_by_norm(model, whole_groups=True)
    assert slimmed.count_params() < 0.7 * model.count_params()


def residual():
    x = inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, padding="same")(x)
    for _ in range(2):
        y = layers.Conv2D(6, 3, padding="same", activation="relu")(x)
        x = layers.Add()([x, layers.Conv2D(6, 3, padding="same")(y)])
    return keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))


def test_features_that_codes_modulate_go_with_both(float64):
    model = shake(modulated())
    slimmed = check_equal_by_norm(model, 0.5, whole_groups=True)
    assert slimmed.count_params() < 0.7 * model.count_params()


def test_channels_go_by_what_a_loss_says(float64):
    model = shake(vgg())
    x = inputs_of(model)
    losses = [lambda: keras.ops.mean(keras.ops.square(model(x, training=True)))]
    before = [np.array(variable.numpy()) for variable in model.variables]
    masks = tt.channel_masks(model, 0.4, by="taylor", losses=losses)
    after = [variable.numpy() for variable in model.variables]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))
    check_slim(model, masks, x)


def test_a_model_held_to_its_filters_trains_as_the_slim_one():
    model = shake(inception())
    masks = tt.channel_masks(model, 0.4, by="norm")
    slimmed = tt.slim(model, masks)
    x = inputs_of(model, batch=8)
    y = np.random.default_rng(2).normal(size=(8, 3)).astype("float32")
    with tt.hold(model, tt.weight_masks(model, masks)):
        for each in (model, slimmed):
            each.compile(keras.optimizers.SGD(0.01, momentum=0.9), "mse")
            each.fit(x, y, epochs=2, shuffle=False, verbose=0)
    again = tt.slim(model, tt.channel_masks_of_zeros(model))
    for pair in zip(again.variables, slimmed.variables, strict=True):
        np.testing.assert_allclose(*(each.numpy() for each in pair), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("round_to", "width"), [(1, 6), (4, 8), (16, 10)])
def test_widths_by_filters_are_rounded_up(round_to, width):
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(10, 1, activation="relu", name="a")(inputs)
    model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    model.get_layer("a").kernel.assign(np.full((1, 1, 2, 10), np.arange(1, 11)))
    masks = tt.channel_masks(model, 0.4, by="norm")
    slimmed = tt.slim(model, masks, round_to=round_to)
    assert slimmed.get_layer("a").filters == width
    back = slimmed.slim_report.masks["a/kernel"] & ~masks["a/kernel"]
    assert np.flatnonzero(back).tolist() == list(range(10 - width, 4)), "the largest filters"


def test_a_mask_of_a_kernel_may_have_its_shape():
    model = vgg()
    masks = tt.channel_masks(model, 0.4, by="norm")
    whole = {name: mask for name, mask in tt.weight_masks(model, masks).items() if name in masks}
    first = {"conv2d/kernel": whole["conv2d/kernel"]}
    assert tt.slim(model, tt.Masks(first)).slim_report.masks["conv2d/kernel"].shape == (4,)
    first["conv2d/kernel"] = first["conv2d/kernel"].copy()
    first["conv2d/kernel"][0, 0, 0] = [True, False, True, False]
    with pytest.raises(tt.SettingError, match="conv2d/kernel removes single weights"):
        tt.slim(model, tt.Masks(first))


def test_the_report_by_filters_gives_reasons_of_filters():
    inputs = keras.Input((4,))
    x = layers.Dense(4, "relu", name="a")(inputs)
    x = layers.Dense(4, "softplus", name="b")(x)
    model = keras.Model(inputs, layers.Dense(2, name="c")(x))
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5, by="norm"))
    rows = {row.name: row for row in slimmed.slim_report.layers}
    assert (rows["a"].before, rows["a"].after) == (4, 2)
    assert rows["b"].reason == "softplus of b makes something else than zero of zeros"


def test_a_report_takes_masks_of_filters():
    model = vgg()
    masks = tt.channel_masks(model, 0.5, by="norm")
    flops = tt.report(model, channel_masks=masks, measure=False).flops
    assert flops["slim"] < 0.7 * flops["dense"]


# --- what is left whole


def small(**norm):
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 1, name="a")(inputs)
    x = layers.BatchNormalization(name="bn", **norm)(x)
    return keras.Model(inputs, layers.Conv2D(3, 1, name="b")(x), name="small")


def test_the_report_says_what_was_left_whole_and_why():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 1, name="a")(inputs))
    x = layers.LayerNormalization(name="over_channels")(layers.Conv2D(3, 1, name="b")(x))
    model = keras.Model(inputs, layers.Conv2D(1, 1, name="c")(x))
    masks = tt.channel_masks(model, 0.5)
    report = tt.slim(model, masks).slim_report
    rows = {each.name: each for each in report.layers}
    assert (rows["a"].before, rows["a"].after, rows["a"].reason) == (4, 2, "")
    assert "over_channels (LayerNormalization)" in rows["b"].reason
    assert rows["c"].reason == "it is an output of the network"
    assert rows["over_channels"].reason == "is of a kind that cannot be slimmed"
    assert "a " in str(report) and f"{report.params_after:,} trainable" in str(report)


def test_a_layer_is_never_emptied():
    model = shake(small())
    largest = int(np.argmax(model.get_layer("bn").gamma.numpy()))
    slimmed = check_equal(model, tt.Masks({"bn/gamma": np.zeros(4, bool)}))
    assert slimmed.get_layer("a").filters == 1
    assert np.flatnonzero(slimmed.slim_report.masks["bn/gamma"]).tolist() == [largest]


def test_a_masked_channel_that_cannot_go_is_zero_all_the_same():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="one")(layers.Conv2D(3, 1)(inputs))
    y = layers.BatchNormalization(name="two")(layers.Conv2D(3, 1)(x))
    model = shake(keras.Model(inputs, layers.Conv2D(1, 1)(layers.Add()([x, y]))))
    slimmed = check_equal(model, tt.Masks({"two/gamma": np.array([True, False, True])}))
    assert slimmed.count_params() == model.count_params()


@pytest.mark.parametrize(("round_to", "width"), [(1, 3), (2, 4), (4, 4), (8, 8), (16, 10)])
def test_widths_are_rounded_up(round_to, width):
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(10, 1, name="a")(inputs))
    model = shake(keras.Model(inputs, layers.Conv2D(3, 1)(x)))
    slimmed = check_equal(model, tt.channel_masks(model, 0.7), round_to=round_to)
    assert slimmed.get_layer("a").filters == width


@pytest.mark.parametrize(("round_to", "width"), [(1, 2), (2, 2), (4, 4), (3, 6), (8, 8), (16, 8)])
def test_widths_are_filters_where_these_go_in_groups(round_to, width):
    inputs = keras.Input((4, 4, 2))
    x = layers.GroupNormalization(4, name="gn")(layers.Conv2D(8, 1, name="a")(inputs))
    model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    model.get_layer("gn").gamma.assign([1, 1, 2, 2, 3, 3, 4, 4])
    masks = tt.channel_masks(model, 0.75, whole_groups=True)
    slimmed = check_equal(model, masks, round_to=round_to)
    assert slimmed.get_layer("a").filters == width
    kept = slimmed.slim_report.masks["gn/gamma"]
    assert kept.tolist() == [index >= 8 - width for index in range(8)], "the largest scales"


@pytest.mark.parametrize(("round_to", "width"), [(1, 1), (2, 2), (4, 4)])
def test_units_that_become_an_image_are_rounded_to_its_channels(round_to, width):
    inputs = keras.Input((3,))
    x = layers.Reshape((2, 2, 6), name="image")(layers.Dense(24, name="units")(inputs))
    x = layers.BatchNormalization()(x)
    model = shake(keras.Model(inputs, layers.Conv2D(3, 1)(x)))
    slimmed = check_equal(model, tt.channel_masks(model, 5 / 6), round_to=round_to)
    assert slimmed.get_layer("image").target_shape == (2, 2, width)
    assert slimmed.get_layer("units").units == 4 * width


def test_what_comes_back_for_one_layer_widens_another_as_far_as_it_must():
    """Groups of two channels: two of "a" alone, one of "a" and "b", and two of "b" alone."""
    inputs = keras.Input((4, 4, 2))
    both = [layers.Conv2D(5, 1, name=name)(inputs) for name in "ab"]
    x = layers.GroupNormalization(5, name="gn")(layers.Concatenate()(both))
    model = keras.Model(inputs, layers.Conv2D(3, 1)(x))
    model.get_layer("gn").gamma.assign(np.repeat([1, 2, 5, 4, 3], 2))
    masks = tt.Masks({"gn/gamma": np.arange(10) < 2})
    slimmed = check_equal(model, masks, round_to=2)
    # "b" must not be empty, so all of it comes back; that makes "a" three wide, which is odd.
    assert [slimmed.get_layer(name).filters for name in "ab"] == [5, 5]
    slimmed = check_equal(model, masks)
    assert [slimmed.get_layer(name).filters for name in "ab"] == [3, 1]


@pytest.mark.parametrize("round_to", [0, -4, 2.5, "8"])
def test_what_cannot_be_rounded_to_is_refused(round_to):
    model = small()
    with pytest.raises(tt.SettingError, match=rf"`round_to` must be .*round_to={round_to!r}"):
        tt.slim(model, tt.channel_masks(model, 0.5), round_to=round_to)


def test_an_output_of_a_nested_model_that_nothing_reads_stays_whole():
    codes = keras.Input((4,))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(8)(codes)))
    heads = [layers.Dense(2, name=name)(x) for name in ("mean", "log_variance")]
    encoder = keras.Model(codes, heads, name="encoder")
    inputs = keras.Input((4,))
    mean, _ = encoder(inputs)
    slimmed = check_equal(shake(keras.Model(inputs, layers.Dense(3)(mean))))
    rows = {row.name: row for row in slimmed.slim_report.layers}
    assert rows["log_variance"].reason == "nothing reads what it makes"
    assert rows["log_variance"].after == rows["mean"].after == 2
    assert rows["mean"].reason.startswith("no normalisation scales it right before")


def test_the_model_itself_is_left_as_it_is():
    model = shake(small())
    before = [np.array(variable.numpy()) for variable in model.variables]
    tt.slim(model, tt.channel_masks(model, 0.5))
    after = [variable.numpy() for variable in model.variables]
    assert all(np.array_equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("norm", [{"center": False}, {"scale": True, "momentum": 0.5}])
def test_normalisations_with_other_options(norm):
    check_equal(shake(small(**norm)))


def test_a_rate_that_was_set_since_is_carried():
    inputs = keras.Input((4,))
    x = layers.BatchNormalization()(layers.Dense(6)(inputs))
    dropout = layers.Dropout(0.5)
    model = keras.Model(inputs, layers.Dense(2)(dropout(x)))
    dropout.rate = 0.0
    check_equal(shake(model))


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ({"other/gamma": np.ones(4, bool)}, "no variable other/gamma"),
        ({"bn/gamma": np.ones(3, bool)}, "has shape"),
        ({"a/bias": np.ones(4, bool)}, "is not the scale of a normalisation"),
    ],
)
def test_masks_for_another_model_are_refused(masks, message):
    with pytest.raises(tt.SettingError, match=message):
        tt.slim(small(), tt.Masks(masks))


def test_a_spectrally_normalised_layer_has_the_norm_of_what_is_left():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 1)(inputs))
    x = tt.models.SpectralConv2D(5, 3, padding="same", name="spectral")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="bn2")(x))
    model = shake(keras.Model(inputs, layers.Conv2D(1, 1)(x)))
    masks = tt.channel_masks(model, 0.5)
    slimmed = tt.slim(model, masks)
    with tt.hold(model, tt.weight_masks(model, masks)):
        model.get_layer("spectral").settle()
        check_alike(model, slimmed, inputs_of(model), 1e-5)


# --- training goes on


@pytest.mark.parametrize("frozen", [False, True], ids=["whole", "frozen since"])
@pytest.mark.parametrize(
    "optimizer",
    [
        # Rounding is magnified where a gradient is divided by one that is nearly zero.
        lambda: keras.optimizers.Adam(1e-2, epsilon=1e-2),
        lambda: keras.optimizers.AdamW(1e-2, weight_decay=0.1, epsilon=1e-2, use_ema=True),
        lambda: keras.optimizers.RMSprop(1e-2, momentum=0.5, epsilon=1e-2),
        lambda: keras.optimizers.SGD(1e-2, momentum=0.9),
        lambda: keras.optimizers.Adafactor(1e-3),
    ],
    ids=["adam", "adamw", "rmsprop", "sgd", "adafactor"],
)
def test_training_goes_on_as_that_of_the_masked_model_does(optimizer, frozen):
    """Slimming and then training gives what training under the masks and then slimming gives."""
    model = shake(small())
    x = inputs_of(model, batch=8)
    y = np.random.default_rng(2).normal(size=(8, 4, 4, 3)).astype("float32")
    model.compile(optimizer(), "mse", run_eagerly=True)
    model.fit(x, y, epochs=2, shuffle=False, verbose=0)
    masks = tt.channel_masks(model, 0.5)
    model.layers[-1].trainable = not frozen
    with tt.hold(model, tt.weight_masks(model, masks)):
        slimmed = tt.slim(model, masks)
        assert slimmed.optimizer.iterations == 2
        if isinstance(
            slimmed.optimizer, keras.optimizers.Adafactor
        ):  # factored moments start anew: no more to compare
            return
        for each in (model, slimmed):
            each.fit(x, y, epochs=2, shuffle=False, verbose=0)
    for expected, received in zip(
        tt.slim(model, masks).trainable_variables, slimmed.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(received.numpy(), expected.numpy(), rtol=1e-4, atol=1e-5)


def test_a_gan_goes_on_with_both_optimizers_and_its_averages():
    images = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 3)).astype("float32")
    model = tt.models.build("dcgan-shared", (8, 8, 3), width=4, ema_decay=0.5)
    model.compile(run_eagerly=True)
    model.fit(images, batch_size=8, verbose=0)
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    for optimizer in slimmed.optimizers:
        assert optimizer.iterations == 1
        assert any(np.any(slot.numpy()) for slot in optimizer._momentums)
    for weight, average in slimmed.averages:
        assert weight.shape == average.shape
    before = slimmed.sample(2, seed=0)
    slimmed.fit(images, batch_size=8, verbose=0)
    assert np.abs(before - slimmed.sample(2, seed=0)).max() > 0


def test_a_loss_scale_goes_on():
    model = small()
    model.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=64.0), "mse"
    )
    x = np.ones((2, 4, 4, 2), "float32")
    model.fit(x, np.ones((2, 4, 4, 3), "float32"), verbose=0)
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    assert float(slimmed.optimizer.dynamic_scale) == 64.0
    old, new = (each.optimizer.inner_optimizer._momentums[0] for each in (model, slimmed))
    assert np.isin(new.numpy(), old.numpy()).all() and new.shape != old.shape


class Halving(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.1 * 0.5**step

    def get_config(self):
        return {}


def test_what_is_registered_nowhere_goes_on_too():
    """A loss, a metric, a learning rate and an activation of the user's own, and lambdas."""
    inputs = keras.Input((4, 4, 2))
    x = layers.Conv2D(4, 1, activation=lambda x: x**2)(inputs)
    x = layers.BatchNormalization(name="bn")(x)
    x = layers.Activation(lambda x: keras.ops.maximum(x, 0.1 * x))(x)
    x = layers.Conv2D(3, 1)(x)
    model = shake(keras.Model(inputs, layers.Lambda(lambda x, by: by * x, arguments={"by": 2})(x)))

    def loss(y, outputs):
        return keras.ops.mean((y - outputs) ** 2)

    metrics = [lambda y, outputs: keras.ops.max(outputs), keras.metrics.MeanAbsoluteError()]
    model.compile(keras.optimizers.SGD(Halving(), momentum=0.9), loss, metrics=metrics)
    x, y = inputs_of(model), np.zeros((4, 4, 4, 3), "float32")
    model.fit(x, y, verbose=0)
    slimmed = check_equal(model)
    assert slimmed.loss is loss and slimmed.optimizer.iterations == 1
    assert float(slimmed.optimizer.learning_rate) == pytest.approx(0.05)
    assert model.compiled, "the model is left as it is"
    expected, received = (each.evaluate(x, y, verbose=0) for each in (model, slimmed))
    np.testing.assert_allclose(received, expected, rtol=1e-5)
    assert np.isfinite(slimmed.fit(x, y, verbose=0).history["loss"]).all()


@pytest.mark.slow
def test_its_file_loads_where_this_package_is_not(tmp_path):
    model = shake(unet())
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    slimmed.save(tmp_path / "slim.keras")
    x = inputs_of(slimmed)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", *answers(slimmed, x, False))
    script = (
        "import sys; sys.modules['tf_tickets'] = None\n"
        "import keras, numpy as np\n"
        f"model = keras.models.load_model(r'{tmp_path / 'slim.keras'}')\n"
        f"y = model(np.load(r'{tmp_path / 'x.npy'}'))\n"
        f"np.testing.assert_allclose(y, np.load(r'{tmp_path / 'y.npy'}'), rtol=1e-5, atol=1e-6)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, timeout=120)


def test_a_ticket_that_was_not_drawn_is_told_of():
    inputs = keras.Input((4, 4, 2))
    model = keras.Model(inputs, layers.BatchNormalization()(inputs))
    with pytest.raises(tt.SettingError, match="no early-bird ticket was drawn"):
        tt.slim(model, None)
