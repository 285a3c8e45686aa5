"""The GANs of residual networks: ResNet-DCGAN, and the SNGAN of Chen et al., arXiv:2106.00134."""

import functools

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.dcgan import SNGAN_RECIPE
from tf_tickets.lab.models.families import GAN

keras = LazyModule("keras")


def resnet_gan(image_shape, width=128, latent_dim=100, generator_factor=1, spectral=False):
    """Return residual networks without transposed convolutions.

    2,200,963 parameters (1,147,139 and 1,053,824) for 32x32x3, of the 2.2 M that Kalibhat et al.
    give ResNet-DCGAN; with `generator_factor` 2 and codes of 128 numbers 5,330,563, the SNGAN of
    Chen et al.

    Args:
        image_shape: (height, width, channels) of a square whose side is a multiple of 8.
        width: filters of all layers of the discriminator.
        latent_dim: numbers in a code.
        generator_factor: how many times as many all layers of the generator have.
        spectral: whether the discriminator's kernels are spectrally normalised.

    Source: Miyato et al., 2018, arXiv:1802.05957, table 4.
    """
    blocks.require_multiple_of_8(image_shape)
    conv = functools.partial(blocks.conv, spectral=spectral)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = _first_block(conv, inputs, width, "discriminator_block1")
    x = _shrinking_block(conv, x, width, "discriminator_block2")
    for name in ("discriminator_block3", "discriminator_block4"):
        x = keras.layers.Add(name=f"{name}_add")([x, _two_convs(conv, x, width, name)])
    x = keras.layers.ReLU(name="discriminator_relu")(x)
    # A sum over the image, as a mean: Keras has no layer that sums.
    side = x.shape[1]
    x = keras.layers.GlobalAveragePooling2D(keepdims=True, name="discriminator_pool")(x)
    x = keras.layers.Rescaling(side * side, name="discriminator_sum")(x)
    x = conv(x, 1, 1, "discriminator_conv", use_bias=False)
    generator = _resnet_generator(image_shape, generator_factor * width, latent_dim)
    return generator, blocks.discriminator_network(inputs, x)


def _resnet_generator(image_shape, width, latent_dim):
    name, side = "generator", image_shape[0] // 8
    inputs = keras.Input((latent_dim,), name=f"{name}_input")
    x = keras.layers.Dense(side * side * width, name=f"{name}_dense")(inputs)
    x = keras.layers.Reshape((side, side, width), name=f"{name}_reshape")(x)
    for i in range(1, 4):
        x = _growing_block(x, width, f"{name}_block{i}")
    x = blocks.batch_norm_relu(x, name)
    x = blocks.conv(x, image_shape[-1], 3, f"{name}_conv", padding=1)
    return blocks.image_network(inputs, x, name)


def _growing_block(x, filters, name):
    """Return a residual block that doubles the size, normalising before each convolution."""
    y = blocks.batch_norm_relu(x, f"{name}_in")
    y = blocks.resize_conv(y, filters, f"{name}_conv1")
    y = blocks.batch_norm_relu(y, f"{name}_conv1")
    y = blocks.conv(y, filters, 3, f"{name}_conv2", padding=1)
    x = keras.layers.UpSampling2D(2, name=f"{name}_shortcut_resize")(x)
    x = blocks.conv(x, filters, 1, f"{name}_shortcut")
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _first_block(conv, x, filters, name):
    """Return the discriminator's first block, which halves the image and rectifies no pixels."""
    y = conv(x, filters, 3, f"{name}_conv1", padding=1)
    y = keras.layers.ReLU(name=f"{name}_conv1_relu")(y)
    y = _halve(conv(y, filters, 3, f"{name}_conv2", padding=1), f"{name}_conv2")
    x = conv(_halve(x, f"{name}_shortcut"), filters, 1, f"{name}_shortcut")
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _shrinking_block(conv, x, filters, name):
    """Return a residual block that halves the size."""
    y = _halve(_two_convs(conv, x, filters, name), f"{name}_conv2")
    x = _halve(conv(x, filters, 1, f"{name}_shortcut"), f"{name}_shortcut")
    return keras.layers.Add(name=f"{name}_add")([x, y])


def _two_convs(conv, x, filters, name):
    for i in (1, 2):
        x = keras.layers.ReLU(name=f"{name}_in{i}_relu")(x)
        x = conv(x, filters, 3, f"{name}_conv{i}", padding=1)
    return x


def _halve(x, name):
    return keras.layers.AveragePooling2D(2, name=f"{name}_pool")(x)


RESNET_DCGAN = ModelCard(
    name="resnet-dcgan",
    title="ResNet-DCGAN",
    family=GAN,
    networks=resnet_gan,
    recipe=SNGAN_RECIPE,
    paper_params=2_200_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    departures=(
        "The networks are those of Miyato et al. at 128 filters, with codes of 100 numbers, which "
        "have the paper's count (Kalibhat et al., Table 1).",
    ),
)

SNGAN_RESNET = ModelCard(
    name="sngan-resnet",
    title="ResNet-SNGAN",
    family=GAN,
    networks=resnet_gan,
    options={
        "latent_dim": 128,
        "generator_factor": 2,
        "spectral": True,
        "loss": "hinge",
        "critic_steps": 5,
        "ema_decay": 0.999,
    },
    recipe=SNGAN_RECIPE,
    recipes_on={"digits": {"network": {"width": 8, "critic_steps": 1, "ema_decay": 0.98}}},
    paper_params=5_330_563,
    paper="Chen et al., arXiv:2106.00134, the authors' code",
    departures=(
        "An update of the generator sees as many codes as one of the discriminator sees images, "
        "64; the authors take 128, as `generator_batch_factor` 2 does (code of Chen et al.).",
        "Scales of batch normalization begin at 1; the authors draw them by N(1, 0.02), as "
        "`initializer` sngan does (code of Chen et al.).",
        "The discriminator ends in a convolution of 1x1 in place of a dense layer of the same "
        "weights; it is pruned even with `skip_dense` (code of Chen et al.).",
        "Both networks are pruned together and ranked in one pool by default; the authors prune "
        "the generator alone, or each network by a threshold of its own, as `component` generator "
        "and `pool` component do (code of Chen et al.).",
        "Trainings of 200 epochs are shorter than the authors' 320 (code of Chen et al.).",
    ),
)
