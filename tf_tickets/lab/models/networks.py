"""Encoders and decoders as Functional networks: recipes R1 to R4 of the papers' first author.

Each function returns (encoder, decoder). At the paper's image size and the default widths
their parameters are those of Table 1 of Kalibhat et al., arXiv:2010.02350, to within 2.1 %.
"""

import math

import keras
from keras import layers

from tf_tickets.errors import SettingError
from tf_tickets.lab.models import blocks as parts


def linear_autoencoder(image_shape, widths=(116, 64, 12, 3)):
    """Return dense networks that squeeze an image to `widths[-1]` numbers and back.

    199,515 parameters for 28x28x1 (recipe R1 with 116 for the author's 128 units, which gives
    Table 1's 200 K). Hidden layers are rectified, the code is linear.

    Args:
        image_shape: (height, width, channels), of any size.
        widths: units of the encoder's layers; the decoder mirrors them.
    """
    if not widths or min(widths) < 1:
        raise SettingError(f"`widths` must hold one number or more, each at least 1. {widths=}.")
    inputs = keras.Input(image_shape, name="encoder_input")
    x = layers.Flatten(name="encoder_flatten")(inputs)
    x = _dense_stack(x, widths, "encoder")
    encoder = keras.Model(inputs, x, name="encoder")

    inputs = keras.Input((widths[-1],), name="decoder_input")
    x = _dense_stack(inputs, (*reversed(widths[:-1]), math.prod(image_shape)), "decoder")
    x = layers.Reshape(image_shape, name="decoder_reshape")(x)
    return encoder, image_network(inputs, x, "decoder")


def conv_autoencoder(image_shape, width=32):
    """Return recipe R2: five convolutions with pooling, and their mirror, without batch norm.

    2,937,507 parameters for 32x32x3 (1,541,952 and 1,395,555). The code of an image is
    (height / 16, width / 16, 16 * width).

    Args:
        image_shape: (height, width, channels); both sides multiples of 16, for other sizes the
            author's paddings do not lead back to the size of the input.
        width: filters of the first convolution; each next one has twice as many.
    """
    require("conv-ae", image_shape, lambda side: side % 16 == 0, "a multiple of 16")
    widths = [width * 2**i for i in range(5)]
    inputs = keras.Input(image_shape, name="encoder_input")
    x = inputs
    for i, (kernel, stride, padding) in enumerate([(3, 1, 1), (4, 2, 1), (2, 2, 2), (3, 1, 1)], 1):
        x = parts.conv(
            x, widths[i - 1], kernel, f"encoder_conv{i}", stride, padding, activation="relu"
        )
    x = layers.MaxPooling2D(2, 2, name="encoder_pool1")(x)
    x = parts.conv(x, widths[4], 3, "encoder_conv5", 2, padding=1, activation="relu")
    x = layers.MaxPooling2D(2, 1, name="encoder_pool2")(x)
    encoder = keras.Model(inputs, x, name="encoder")

    inputs = keras.Input(encoder.output_shape[1:], name="decoder_input")
    x = inputs
    for i, (kernel, stride, padding) in enumerate([(3, 2, 0), (2, 2, 0), (2, 2, 1), (5, 1, 1)], 1):
        x = parts.conv_transpose(
            x, widths[4 - i], kernel, f"decoder_conv{i}", stride, padding, activation="relu"
        )
    x = parts.conv_transpose(x, image_shape[-1], 2, "decoder_conv5", 2, padding=4)
    return encoder, image_network(inputs, x, "decoder")


def conv_vae(image_shape, width=64, latent_dim=32, latent_batch_norm=False):
    """Return recipe R3b: strided convolutions with batch norm, and their mirror.

    5,713,603 parameters for 32x32x3 (2,889,600 and 2,824,003), and 128 more with the
    author's `latent_batch_norm`. The decoder is also the generator of recipe R6b, so that
    tickets can move between VAE and GAN.

    Args:
        image_shape: (height, width, channels); a square whose side is a power of two, at
            least 8. Twice the size adds a stage of half the width at the outer end (R9).
        width: filters of the second-outermost stage at 64x64, of the outermost at 32x32.
        latent_dim: numbers in the latent code.
        latent_batch_norm: whether to normalise means and log-variances over the batch, as the
            author's draft does. It ties the code of an image to the others of its batch.
    """
    require_power_of_two("vae", image_shape)
    inputs = keras.Input(image_shape, name="encoder_input")
    x = strided_convs(inputs, width, 2 * latent_dim, "encoder", parts.batch_norm_relu)
    if latent_batch_norm:
        last = len(_stage_widths(image_shape[0], width)) + 1
        x = parts.batch_norm(x, f"encoder_conv{last}")
    encoder = _gaussian_encoder(inputs, x, latent_dim)
    return encoder, conv_decoder(image_shape, width, latent_dim, "decoder")


def resnet_vae(image_shape, width=32, latent_dim=10):
    """Return recipe R4: a residual encoder with one block a stage, and its mirror.

    2,804,311 parameters for 32x32x3 (1,231,540 and 1,572,771).

    Args:
        image_shape: (height, width, channels); a square whose side is a multiple of 16.
        width: filters of the first stage; each next one has twice as many.
        latent_dim: numbers in the latent code.
    """
    require("resnet-vae", image_shape, lambda side: side % 16 == 0, "a multiple of 16")
    require_square("resnet-vae", image_shape)
    widths = [width * 2**i for i in range(4)]
    inputs = keras.Input(image_shape, name="encoder_input")
    x = parts.conv(inputs, width, 3, "encoder_conv1", 2, padding=1, use_bias=False)
    x = parts.batch_norm_relu(x, "encoder_conv1")
    for i, filters in enumerate(widths, 1):
        x = parts.residual_block(x, filters, f"encoder_block{i}", stride=1 if i == 1 else 2)
    x = layers.GlobalAveragePooling2D(name="encoder_pool")(x)
    x = layers.Dense(2 * latent_dim, name="encoder_dense")(x)
    encoder = _gaussian_encoder(inputs, x, latent_dim)

    inputs = keras.Input((latent_dim,), name="decoder_input")
    x = layers.Dense(widths[-1], name="decoder_dense")(inputs)
    x = layers.Reshape((1, 1, widths[-1]), name="decoder_reshape")(x)
    # The author's factor of 4 fits 64x64; the four doublings that follow leave side / 16.
    x = layers.UpSampling2D(image_shape[0] // 16, name="decoder_resize")(x)
    for i, filters in enumerate([*reversed(widths[:-1]), width], 1):
        scale = 2 if i < 4 else 1
        x = parts.residual_block_transpose(x, filters, f"decoder_block{i}", scale)
    x = parts.resize_conv(x, image_shape[-1], "decoder_conv1")
    return encoder, image_network(inputs, x, "decoder")


def strided_convs(x, width, outputs, name, after):
    """Return `outputs` channels of 1x1, from images that strided convolutions halve down to 2x2.

    Args:
        x: images of a square whose side is a power of two.
        width: filters of the outermost convolution at 32x32; each next one has twice as many.
        outputs: channels that are left.
        name: prefix of the layers' names.
        after: function of (tensor, name), what follows every convolution but the last.
    """
    for i, filters in enumerate(_stage_widths(x.shape[1], width), 1):
        x = parts.conv(x, filters, 4, f"{name}_conv{i}", 2, padding=1)
        x = after(x, f"{name}_conv{i}")
    return parts.conv(x, outputs, 2, f"{name}_conv{i + 1}")


def conv_decoder(image_shape, width, latent_dim, name) -> keras.Model:
    """Return the mirror of `strided_convs`, from codes (batch, latent_dim) to images.

    Args:
        image_shape: (height, width, channels) of a square whose side is a power of two.
        width: filters of the outermost hidden layer at 32x32.
        latent_dim: numbers in a code.
        name: of the network, and prefix of its layers' names.
    """
    widths = _stage_widths(image_shape[0], width)[::-1]
    inputs = keras.Input((latent_dim,), name=f"{name}_input")
    x = layers.Reshape((1, 1, latent_dim), name=f"{name}_reshape")(inputs)
    x = parts.conv_transpose(x, widths[0], 2, f"{name}_conv1")
    x = parts.batch_norm_relu(x, f"{name}_conv1")
    for i, filters in enumerate(widths[1:], 2):
        x = parts.conv_transpose(x, filters, 4, f"{name}_conv{i}", 2, padding=1)
        x = parts.batch_norm_relu(x, f"{name}_conv{i}")
    x = parts.conv_transpose(x, image_shape[-1], 4, f"{name}_conv{len(widths) + 1}", 2, padding=1)
    return image_network(inputs, x, name)


def image_network(inputs, x, name) -> keras.Model:
    """Return the network from `inputs` to `x` as pixels, whose layers' names begin with `name`."""
    return keras.Model(inputs, parts.image_output(x, f"{name}_image"), name=name)


def _stage_widths(side, width):
    """Return the filters of the stages that lead from the image down to 2x2, outermost first."""
    num_stages = int(math.log2(side)) - 1
    return [max(1, 8 * width // 2**i) for i in reversed(range(num_stages))]


def _dense_stack(x, widths, prefix):
    for i, units in enumerate(widths, 1):
        activation = "relu" if i < len(widths) else None
        x = layers.Dense(units, activation=activation, name=f"{prefix}_dense{i}")(x)
    return x


def _gaussian_encoder(inputs, x, latent_dim):
    """Return the encoder that ends in means and log-variances, kept in float32."""
    x = layers.Reshape((2 * latent_dim,), dtype="float32", name="encoder_latent")(x)
    return keras.Model(inputs, x, name="encoder")


def require(name, image_shape, fits, rule):
    """Refuse images of a height or width that does not fit; `rule` says which do."""
    height, width, _ = image_shape
    if not (fits(height) and fits(width)):
        raise SettingError(
            f"{name} needs images whose height and width are {rule} (at least 8). "
            f"Received: {height}x{width}. Choose another image size, for example 32."
        )


def require_power_of_two(name, image_shape):
    """Refuse images that halving does not lead down to 2x2."""
    require(name, image_shape, lambda side: side >= 8 and side & (side - 1) == 0, "a power of 2")
    require_square(name, image_shape)


def require_square(name, image_shape):
    """Refuse images that are not square."""
    if image_shape[0] != image_shape[1]:
        raise SettingError(
            f"{name} needs square images. Received: {image_shape[0]}x{image_shape[1]}."
        )
