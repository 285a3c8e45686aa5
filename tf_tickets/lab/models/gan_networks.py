"""Generators and discriminators as Functional networks: recipes R5 to R8 and C13, C14.

Each function returns (generator, discriminator). Counts are those of 32x32x3 images and the default
widths. Where the papers' networks end in a dense layer, here a convolution over all of the image
that is left does the same, weight for weight.
"""

import functools

import keras
from keras import layers

from tf_tickets.lab.models import blocks as parts
from tf_tickets.lab.models.networks import (
    conv_decoder,
    image_network,
    require,
    require_power_of_two,
    require_square,
    strided_convs,
)
from tf_tickets.lab.models.spectral import SpectralConv2D


def cnn_gan(image_shape, width=64, latent_dim=100, spectral=False, slope=0.2):
    """Return recipes R5, R6a and R8: transposed convolutions against stacked convolutions.

    6,512,196 parameters (3,576,323 and 2,935,873), of Table 1's 6.5 M; with codes of 128 numbers,
    as SNGAN has them, 6,741,572 of 6.7 M. The discriminator has no batch norm.

    Args:
        image_shape: (height, width, channels) of a square whose side is a multiple of 8.
        width: filters of the outermost stage; each next one has twice as many.
        latent_dim: numbers in a code.
        spectral: whether the discriminator's kernels are spectrally normalised.
        slope: of its leaky rectifiers.

    Source: Miyato et al., 2018, arXiv:1802.05957, table 3.
    """
    _require_multiple_of_8(image_shape)
    conv = functools.partial(parts.conv, layer=SpectralConv2D if spectral else layers.Conv2D)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = inputs
    for i, factor in enumerate([1, 2, 4], 1):
        names = [f"discriminator_conv{2 * i - 1}", f"discriminator_conv{2 * i}"]
        filters = factor * width
        x = parts.leaky_relu(conv(x, filters, 3, names[0], padding=1), names[0], slope)
        x = parts.leaky_relu(conv(x, filters, 4, names[1], 2, padding=1), names[1], slope)
    x = conv(x, 8 * width, 3, "discriminator_conv7", padding=1)
    x = parts.leaky_relu(x, "discriminator_conv7", slope)
    x = conv(x, 1, x.shape[1], "discriminator_conv8")
    return _cnn_generator(image_shape, width, latent_dim), _discriminator(inputs, x)


def cnn_gan_without_biases(image_shape, width=64, latent_dim=16):
    """Return recipe R6c: 5,651,584 parameters (2,887,232 and 2,764,352), the count of Table 2.

    Table 1 gives the same model 6.5 M (K55). The layout was found by searching for the count.

    Args:
        image_shape: (height, width, channels) of a square whose side is a multiple of 8.
        width: filters of the outermost stage; each next one has twice as many.
        latent_dim: numbers in a code.
    """
    _require_multiple_of_8(image_shape)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = inputs
    for i, (kernel, stride) in enumerate([(3, 1), (4, 2), (4, 2), (4, 2)], 1):
        name = f"discriminator_conv{i}"
        x = parts.conv(x, width * 2 ** (i - 1), kernel, name, stride, padding=1, use_bias=False)
        x = _batch_norm_leaky_relu(x, name)
    x = parts.conv(x, 1, x.shape[1], "discriminator_conv5", use_bias=False)
    generator = _cnn_generator(image_shape, width, latent_dim, use_bias=False)
    return generator, _discriminator(inputs, x)


def vae_shaped_gan(image_shape, width=64, latent_dim=32):
    """Return recipe R6b: 5,584,516 parameters (2,824,003 and 2,760,513).

    The generator is the decoder of `networks.conv_vae`, so tickets move between the two; the
    discriminator is its encoder with one output. A DCGAN of Table 1's 6.5 M cannot share a decoder
    with a symmetric VAE of 5.6 M.

    Args:
        image_shape: (height, width, channels) of a square whose side is a power of two.
        width: as in `networks.conv_vae`.
        latent_dim: numbers in a code.
    """
    require_power_of_two("dcgan-shared", image_shape)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = strided_convs(inputs, width, 1, "discriminator", _batch_norm_leaky_relu)
    generator = conv_decoder(image_shape, width, latent_dim, "generator")
    return generator, _discriminator(inputs, x)


def resnet_gan(image_shape, width=128, latent_dim=100, generator_factor=1, spectral=False):
    """Return recipes R7 and C13, C14: residual networks without transposed convolutions.

    2,200,963 parameters (1,147,139 and 1,053,824), of Table 1's 2.2 M; with `generator_factor` 2
    and codes of 128 numbers 5,330,563, the SNGAN of paper C.

    Args:
        image_shape: (height, width, channels) of a square whose side is a multiple of 8.
        width: filters of all layers of the discriminator.
        latent_dim: numbers in a code.
        generator_factor: how many times as many all layers of the generator have.
        spectral: whether the discriminator's kernels are spectrally normalised.

    Source: Miyato et al., 2018, arXiv:1802.05957, table 4.
    """
    _require_multiple_of_8(image_shape)
    conv = functools.partial(parts.conv, layer=SpectralConv2D if spectral else layers.Conv2D)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = _first_block(conv, inputs, width, "discriminator_block1")
    x = _shrinking_block(conv, x, width, "discriminator_block2")
    for name in ("discriminator_block3", "discriminator_block4"):
        x = layers.Add(name=f"{name}_add")([x, _two_convs(conv, x, width, name)])
    x = layers.ReLU(name="discriminator_relu")(x)
    # A sum over the image, as a mean: Keras has no layer that sums.
    side = x.shape[1]
    x = layers.GlobalAveragePooling2D(keepdims=True, name="discriminator_pool")(x)
    x = layers.Rescaling(side * side, name="discriminator_sum")(x)
    x = conv(x, 1, 1, "discriminator_conv", use_bias=False)
    generator = _resnet_generator(image_shape, generator_factor * width, latent_dim)
    return generator, _discriminator(inputs, x)


def _cnn_generator(image_shape, width, latent_dim, use_bias=True):
    """Return the network that grows an image of an eighth of the size out of the code."""
    name = "generator"
    inputs = keras.Input((latent_dim,), name=f"{name}_input")
    x = layers.Reshape((1, 1, latent_dim), name=f"{name}_reshape")(inputs)
    kernel, stride, padding = image_shape[0] // 8, 1, 0
    for i, factor in enumerate([8, 4, 2, 1], 1):
        conv_name = f"{name}_conv{i}"
        x = parts.conv_transpose(x, factor * width, kernel, conv_name, stride, padding, use_bias)
        x = parts.batch_norm_relu(x, conv_name)
        kernel, stride, padding = 4, 2, 1
    x = parts.conv(x, image_shape[-1], 3, f"{name}_conv5", padding=1, use_bias=use_bias)
    return image_network(inputs, x, name)


def _resnet_generator(image_shape, width, latent_dim):
    name, side = "generator", image_shape[0] // 8
    inputs = keras.Input((latent_dim,), name=f"{name}_input")
    x = layers.Dense(side * side * width, name=f"{name}_dense")(inputs)
    x = layers.Reshape((side, side, width), name=f"{name}_reshape")(x)
    for i in range(1, 4):
        x = _growing_block(x, width, f"{name}_block{i}")
    x = parts.batch_norm_relu(x, name)
    x = parts.conv(x, image_shape[-1], 3, f"{name}_conv", padding=1)
    return image_network(inputs, x, name)


def _growing_block(x, filters, name):
    """Return a residual block that doubles the size, normalising before each convolution."""
    y = parts.batch_norm_relu(x, f"{name}_in")
    y = parts.resize_conv(y, filters, f"{name}_conv1")
    y = parts.batch_norm_relu(y, f"{name}_conv1")
    y = parts.conv(y, filters, 3, f"{name}_conv2", padding=1)
    x = layers.UpSampling2D(2, name=f"{name}_shortcut_resize")(x)
    x = parts.conv(x, filters, 1, f"{name}_shortcut")
    return layers.Add(name=f"{name}_add")([x, y])


def _first_block(conv, x, filters, name):
    """Return the discriminator's first block, which halves the image and rectifies no pixels."""
    y = conv(x, filters, 3, f"{name}_conv1", padding=1)
    y = layers.ReLU(name=f"{name}_conv1_relu")(y)
    y = _halve(conv(y, filters, 3, f"{name}_conv2", padding=1), f"{name}_conv2")
    x = conv(_halve(x, f"{name}_shortcut"), filters, 1, f"{name}_shortcut")
    return layers.Add(name=f"{name}_add")([x, y])


def _shrinking_block(conv, x, filters, name):
    """Return a residual block that halves the size."""
    y = _halve(_two_convs(conv, x, filters, name), f"{name}_conv2")
    x = _halve(conv(x, filters, 1, f"{name}_shortcut"), f"{name}_shortcut")
    return layers.Add(name=f"{name}_add")([x, y])


def _two_convs(conv, x, filters, name):
    for i in (1, 2):
        x = layers.ReLU(name=f"{name}_in{i}_relu")(x)
        x = conv(x, filters, 3, f"{name}_conv{i}", padding=1)
    return x


def _halve(x, name):
    return layers.AveragePooling2D(2, name=f"{name}_pool")(x)


def _batch_norm_leaky_relu(x, name):
    return parts.leaky_relu(parts.batch_norm(x, name), name, slope=0.2)


def _discriminator(inputs, x):
    return keras.Model(inputs, parts.logit_output(x, "discriminator_logit"), name="discriminator")


def _require_multiple_of_8(image_shape):
    require("This GAN", image_shape, lambda side: side % 8 == 0, "a multiple of 8")
    require_square("This GAN", image_shape)
