"""Counts, geometry and names of the GANs' networks."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab import models
from tf_tickets.lab.models import SpectralConv2D

GANS = (
    "dcgan",
    "dcgan-table2",
    "dcgan-shared",
    "sngan",
    "wgan",
    "resnet-dcgan",
    "sngan-resnet",
)
# A test of one with batch norm in its discriminator, one spectral, and one residual.
VARIED = ("dcgan-shared", "sngan", "sngan-resnet")


def count(network):
    return sum(int(np.prod(variable.shape)) for variable in network.trainable_variables)


@pytest.mark.parametrize(
    ("name", "generator", "discriminator", "table"),
    [
        ("dcgan", 3_576_323, 2_935_873, 6_500_000),
        ("dcgan-table2", 2_887_232, 2_764_352, 5_651_584),  # Table 2 of the paper, exactly
        ("dcgan-shared", 2_824_003, 2_760_513, None),
        ("sngan", 3_805_699, 2_935_873, 6_700_000),
        ("wgan", 3_576_323, 2_935_873, 6_500_000),
        ("resnet-dcgan", 1_147_139, 1_053_824, 2_200_000),
        ("sngan-resnet", 4_276_739, 1_053_824, 5_330_000),
    ],
)
def test_component_counts(name, generator, discriminator, table):
    model = models.build(name, (32, 32, 3))
    counts = {part: count(network) for part, network in model.components.items()}
    assert counts == {"generator": generator, "discriminator": discriminator}
    assert count(model) == generator + discriminator
    if table is not None:
        assert abs(count(model) / table - 1) <= 0.025
    if name == "dcgan-table2":
        assert count(model) == table


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("image_shape", [(32, 32, 3), (64, 64, 1)], ids=str)
def test_shapes_ranges_and_names(name, image_shape):
    model = models.build(name, image_shape, width=2)
    codes = 10 * np.random.default_rng(0).normal(size=(3, model.latent_dim)).astype("float32")
    images = model.generator(codes)
    assert images.shape == (3, *image_shape) and np.abs(images).max() <= 1
    assert np.ptp(images) > 0
    assert model.discriminator(images).shape == (3, 1)
    for part, network in model.components.items():
        layers = [layer.name for layer in network.layers]
        assert len(set(layers)) == len(layers)
        assert all(layer.startswith(f"{part}_") for layer in layers)
        paths = [variable.path for variable in network.variables]
        assert len(set(paths)) == len(paths)


def test_every_kernel_of_a_spectral_discriminator_is_normalised():
    for name in ("sngan", "sngan-resnet"):
        discriminator = models.build(name, (32, 32, 3), width=2).discriminator
        with_kernel = [layer for layer in discriminator.layers if hasattr(layer, "kernel")]
        assert len(with_kernel) > 5
        assert {type(layer) for layer in with_kernel} == {SpectralConv2D}


def test_the_shared_generator_is_the_decoder_of_the_vae():
    for side in (16, 32):
        decoder = models.build("vae", (side, side, 3), width=4).decoder
        generator = models.build("dcgan-shared", (side, side, 3), width=4).generator
        assert described(decoder, "decoder_") == described(generator, "generator_")


def described(network, prefix):
    assert network.input_shape == (None, 32)
    layers = [(type(layer), layer.name.removeprefix(prefix)) for layer in network.layers]
    weights = [(v.path.removeprefix(prefix), tuple(v.shape)) for v in network.variables]
    return layers, weights


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("image_shape", [(28, 28, 1), (32, 16, 3), (4, 4, 3)], ids=str)
def test_sizes_that_do_not_fit_are_refused(name, image_shape):
    with pytest.raises(SettingError, match=f"{image_shape[0]}x{image_shape[1]}") as caught:
        models.build(name, image_shape, width=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "options", "generator", "discriminator"),
    [
        ("dcgan", {"width": 2, "latent_dim": 7}, 16, 16),
        ("dcgan-table2", {"width": 2, "latent_dim": 7}, 16, 16),
        ("dcgan-shared", {"width": 2, "latent_dim": 7}, 16, 16),
        ("sngan-resnet", {"width": 2, "latent_dim": 7, "generator_factor": 3}, 6, 2),
    ],
)
def test_options_of_the_networks(name, options, generator, discriminator):
    model = models.build(name, (32, 32, 3), **options)
    assert model.latent_dim == 7
    widest = {
        part: max(v.shape[-1] for v in network.variables if v.name in ("kernel", "gamma"))
        for part, network in model.components.items()
    }
    # The dense layer's units are filters at every pixel of 4x4.
    first = 16 if "resnet" in name else 1
    assert widest == {"generator": first * generator, "discriminator": discriminator}


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("dcgan", {"beta": 1.0}, "beta"),
        ("vae", {"critic_steps": 2}, "critic_steps"),
        ("dcgan-table2", {"spectral": True}, "spectral"),
        ("sngan-resnet", {"generator_factor": 0}, "generator_factor=0"),
        ("sngan", {"width": 0}, "width=0"),
    ],
)
def test_options_that_make_no_sense_are_refused(name, options, message):
    with pytest.raises(SettingError, match=message) as caught:
        models.build(name, (32, 32, 3), **options)
    assert "\n" not in str(caught.value)


def test_spectral_layers_are_an_option_of_the_other_gans():
    model = models.build("dcgan", (16, 16, 1), width=2, spectral=True)
    assert isinstance(model.discriminator.get_layer("discriminator_conv1"), SpectralConv2D)


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_outputs_are_float32_in_mixed_precision(name, policy):
    keras.mixed_precision.set_global_policy(policy)
    model = models.build(name, (16, 16, 1), width=2)
    images = model.generator(np.ones((2, model.latent_dim), "float32"))
    assert images.dtype == model.discriminator(images).dtype == tf.float32
    assert {variable.dtype for variable in model.trainable_variables} == {"float32"}
    convs = [layer for layer in model.discriminator.layers if hasattr(layer, "kernel")]
    assert {layer.compute_dtype for layer in convs} == {policy.removeprefix("mixed_")}


def test_the_residual_discriminator_sums_over_the_image():
    """Not a mean: the logit of an image is the sum of what its places say."""
    model = models.build("resnet-dcgan", (32, 32, 1), width=2)
    network = model.discriminator
    rectified = keras.Model(network.input, network.get_layer("discriminator_relu").output)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 1)).astype("float32")
    summed = np.sum(np.asarray(rectified(images), "float64"), axis=(1, 2))
    kernel = network.get_layer("discriminator_conv").kernel.numpy()[0, 0]
    np.testing.assert_allclose(network(images), summed @ kernel, rtol=1e-4, atol=1e-5)
