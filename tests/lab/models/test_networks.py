"""Counts of the networks of autoencoders and VAEs, and the geometry they stand for."""

import keras
import numpy as np
import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import models


def count(model):
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


def row_counts(network):
    """Parameters by table row: a layer together with its batch normalisation."""
    rows = {}
    for variable in network.trainable_variables:
        layer = variable.path.split("/")[0].removesuffix("_bn")
        rows[layer] = rows.get(layer, 0) + int(np.prod(variable.shape))
    return list(rows.values())


@pytest.mark.parametrize(
    ("name", "image_shape", "options", "encoder", "decoder"),
    [
        ("linear-ae", (28, 28, 1), {}, 99_367, 100_148),
        ("conv-ae", (32, 32, 3), {}, 1_541_952, 1_395_555),
        ("conv-ae", (32, 32, 1), {}, 1_541_376, 1_395_297),
        ("vae", (32, 32, 3), {}, 2_889_600, 2_824_003),
        ("beta-vae", (32, 32, 3), {}, 2_889_600, 2_824_003),
        ("resnet-vae", (32, 32, 3), {}, 1_231_540, 1_572_771),
    ],
)
def test_component_counts(name, image_shape, options, encoder, decoder):
    model = models.build(name, image_shape, **options)
    counts = {part: count(network) for part, network in model.components.items()}
    assert counts == {"encoder": encoder, "decoder": decoder}
    assert count(model) == encoder + decoder


@pytest.mark.parametrize(
    ("name", "image_shape", "options", "total"),
    [
        ("linear-ae", (28, 28, 1), {}, 199_515),
        ("linear-ae", (28, 28, 1), {"widths": (128, 64, 12, 3)}, 219_891),
        ("linear-ae", (28, 28, 1), {"widths": (117, 64, 12, 3)}, 201_213),
        ("conv-ae", (32, 32, 3), {}, 2_937_507),
        ("vae", (32, 32, 3), {}, 5_713_603),
        ("vae", (32, 32, 3), {"latent_dim": 16}, 5_615_267),
        ("resnet-vae", (32, 32, 3), {}, 2_804_311),
        ("resnet-vae", (32, 32, 3), {"latent_dim": 32}, 2_821_251),
    ],
)
def test_total_counts(name, image_shape, options, total):
    assert count(models.build(name, image_shape, **options)) == total


@pytest.mark.parametrize(
    ("name", "image_shape", "table_1"),
    [
        ("linear-ae", (28, 28, 1), 200_000),
        ("conv-ae", (32, 32, 3), 3_000_000),
        ("vae", (32, 32, 3), 5_600_000),
        ("beta-vae", (32, 32, 3), 5_600_000),
        ("resnet-vae", (32, 32, 3), 2_800_000),
    ],
)
def test_defaults_are_within_2_5_percent_of_table_1(name, image_shape, table_1):
    assert abs(count(models.build(name, image_shape)) / table_1 - 1) <= 0.025


def test_rows_of_the_conv_ae():
    model = models.build("conv-ae", (32, 32, 3))
    assert row_counts(model.encoder) == [896, 32_832, 32_896, 295_168, 1_180_160]
    assert row_counts(model.decoder) == [1_179_904, 131_200, 32_832, 51_232, 387]


def test_rows_of_the_vae():
    model = models.build("vae", (32, 32, 3))
    assert row_counts(model.encoder) == [3_264, 131_456, 525_056, 2_098_688, 131_136]
    assert row_counts(model.decoder) == [67_072, 2_097_920, 524_672, 131_264, 3_075]


def sides(network):
    """The heights that a network's images go through, repeats left out."""
    heights = []
    for layer in network.layers:
        shape = layer.output.shape
        if len(shape) == 4 and shape[1] not in heights[-1:]:
            heights.append(shape[1])
    return heights


def test_geometry_of_the_conv_ae():
    model = models.build("conv-ae", (32, 32, 3), width=1)
    # 16 -> 20 is the padding of two zeros; 20 -> 18, 22 -> 20 and 40 -> 32 are crops.
    assert sides(model.encoder) == [32, 16, 20, 10, 5, 3, 2]
    assert sides(model.decoder) == [2, 5, 10, 20, 18, 22, 20, 40, 32]


def test_geometry_of_the_vae_at_two_sizes():
    small = models.build("vae", (32, 32, 3), width=2)
    assert sides(small.encoder) == [32, 16, 8, 4, 2, 1]
    assert sides(small.decoder) == [1, 2, 4, 8, 16, 32]
    large = models.build("vae", (64, 64, 3), width=64)
    widths = [layer.filters for layer in large.encoder.layers if hasattr(layer, "filters")]
    assert widths == [32, 64, 128, 256, 512, 64]
    widths = [layer.filters for layer in large.decoder.layers if hasattr(layer, "filters")]
    assert widths == [512, 256, 128, 64, 32, 3]


def test_padding_is_that_of_pytorch():
    """A convolution with stride 2 and one zero on each side centres its kernel on pixel 0."""
    model = models.build("resnet-vae", (16, 16, 1), width=1)
    kernel = model.encoder.get_layer("encoder_conv1")
    kernel.kernel.assign(np.eye(9)[4].reshape(3, 3, 1, 1))  # copies the pixel at its centre
    image = np.arange(256, dtype="float32").reshape(1, 16, 16, 1)
    first = keras.Model(model.encoder.inputs, kernel.output)([image])
    assert np.array_equal(first[0, :, :, 0], image[0, ::2, ::2, 0])


SIZES = {
    "linear-ae": (8, 28, 32, 64),
    "conv-ae": (16, 32, 48, 64),
    "vae": (8, 16, 32, 64, 128),
    "beta-vae": (32,),
    "resnet-vae": (16, 32, 48, 64),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_keep_their_shape(name, channels):
    options = {"widths": (8, 2)} if name == "linear-ae" else {"width": 2}
    for size in SIZES[name]:
        model = models.build(name, (size, size, channels), **options)
        images = np.zeros((2, size, size, channels), "float32")
        assert model.reconstruct(images).shape == images.shape


@pytest.mark.parametrize("name", ["conv-ae", "vae", "beta-vae", "resnet-vae"])
def test_a_size_that_does_not_close_is_refused(name):
    with pytest.raises(SettingError, match="28x28") as caught:
        models.build(name, (28, 28, 1))
    assert "\n" not in str(caught.value) and "32" in str(caught.value)


def test_images_that_are_not_square():
    assert models.build("conv-ae", (32, 64, 3), width=1).decoder.output_shape == (None, 32, 64, 3)
    for name in ("vae", "resnet-vae"):
        with pytest.raises(SettingError, match="square"):
            models.build(name, (32, 64, 3))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("nope", {}, "linear-ae, conv-ae, vae, beta-vae, resnet-vae"),
        ("conv-ae", {"beta": 2.0}, "width"),
        ("linear-ae", {"width": 2}, "widths"),
        ("linear-ae", {"widths": (8, 0)}, "at least 1"),
        ("linear-ae", {"widths": ()}, "widths"),
        ("vae", {"width": 0}, "width=0"),
        ("vae", {"latent_dim": 0}, "latent_dim=0"),
        ("vae", {"beta": -1.0}, "beta"),
    ],
)
def test_bad_settings_are_refused_in_one_line(name, options, message):
    with pytest.raises(SettingError, match=message) as caught:
        models.build(name, (32, 32, 1), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", models.MODELS)
def test_paths_are_the_same_in_every_build_and_all_different(name):
    options = {"widths": (8, 2)} if name == "linear-ae" else {"width": 1}
    paths = []
    for _ in range(2):
        keras.layers.Dense(1)  # counts up the automatic names
        model = models.build(name, (16, 16, 2 if name == "cyclegan" else 1), **options)
        model.compile(*["adam"] * models.MODELS[name].family.num_optimizers)
        paths.append([variable.path for variable in model.variables])
    parts = tuple(f"{part}_" for part in model.components)
    weights = [path for path in paths[0] if path.startswith(parts)]
    assert paths[0] == paths[1]
    assert len(set(weights)) == len(weights)
    assert len(weights) == sum(len(network.weights) for network in model.components.values())


def test_the_same_seed_gives_the_same_weights_and_noise():
    first, second, third = (build_with_seed(seed) for seed in (3, 3, 4))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one, other)
    assert any((one != other).any() for one, other in zip(first, third, strict=True))


def build_with_seed(seed):
    keras.utils.set_random_seed(seed)
    model = models.build("vae", (16, 16, 1), width=1)
    return [variable.numpy() for variable in model.variables]
