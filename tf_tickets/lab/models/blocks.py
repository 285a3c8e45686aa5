"""The few pieces that the networks are made of, as functions from tensor to tensor.

Every layer gets an explicit name, by which masks, tickets and records call its weights. Weights
start as Keras starts them (Glorot uniform kernels, zero biases); the recipes' authors left
PyTorch's defaults, which differ.
"""

from tf_tickets.errors import SettingError
from tf_tickets.lab.lazy import LazyModule

keras = LazyModule("keras")

# PyTorch's batch normalisation, in which the recipes were written: Keras's momentum of 0.99
# would leave short runs with stale moving statistics.
_MOMENTUM = 0.9
_EPSILON = 1e-5


def conv(
    x,
    filters,
    kernel_size,
    name,
    stride=1,
    padding=0,
    use_bias=True,
    activation=None,
    spectral=False,
):
    """Return a convolution of `x` with `padding` zeros on each side, as in PyTorch.

    With `spectral` its kernel is spectrally normalised.
    """
    same = _same_padding(x.shape[1], kernel_size, stride) == (padding, padding)
    if padding and not same:
        x = keras.layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    return _conv_class(spectral)(
        filters,
        kernel_size,
        stride,
        padding="same" if same else "valid",
        use_bias=use_bias,
        activation=activation,
        name=name,
    )(x)


def _conv_class(spectral):
    if not spectral:
        return keras.layers.Conv2D
    from tf_tickets.lab.models.spectral import SpectralConv2D  # a Keras layer, so it loads Keras

    return SpectralConv2D


def conv_transpose(
    x, filters, kernel_size, name, stride=1, padding=0, use_bias=True, activation=None
):
    """Return a transposed convolution of `x`, cropped by `padding` on each side as in PyTorch."""
    same = kernel_size - stride == 2 * padding
    x = keras.layers.Conv2DTranspose(
        filters,
        kernel_size,
        stride,
        padding="same" if same else "valid",
        use_bias=use_bias,
        activation=activation,
        name=name,
    )(x)
    if padding and not same:
        x = keras.layers.Cropping2D(padding, name=f"{name}_crop")(x)
    return x


def batch_norm(x, name):
    """Return `x` normalised over the batch, also where a strategy splits that over replicas."""
    import tensorflow as tf

    return keras.layers.BatchNormalization(
        momentum=_MOMENTUM,
        epsilon=_EPSILON,
        # Else each replica would keep moving statistics of its own part.
        synchronized=tf.distribute.get_strategy().num_replicas_in_sync > 1,
        name=f"{name}_bn",
    )(x)


def batch_norm_relu(x, name):
    """Return `x` normalised over the batch, then rectified."""
    return keras.layers.ReLU(name=f"{name}_relu")(batch_norm(x, name))


def leaky_relu(x, name, slope):
    """Return `x`, its negative part scaled by `slope`."""
    return keras.layers.LeakyReLU(negative_slope=slope, name=f"{name}_relu")(x)


def batch_norm_leaky_relu(x, name):
    """Return `x` normalised over the batch, its negative part then scaled by 0.2."""
    return leaky_relu(batch_norm(x, name), name, slope=0.2)


def resize_conv(x, filters, name, scale=2):
    """Return `x` enlarged by repeating pixels, then a 3x3 convolution.

    It leaves no checkerboard as a transposed convolution may. The bias, although followed by
    batch normalisation in the residual blocks, is part of the ResNet-VAE's count.
    """
    if scale > 1:
        x = keras.layers.UpSampling2D(scale, name=f"{name}_resize")(x)
    return conv(x, filters, 3, name, padding=1)


def residual_block(x, filters, name, stride=1):
    """Return a basic residual block that shrinks by `stride`: two 3x3 convolutions."""
    y = conv(x, filters, 3, f"{name}_conv1", stride, padding=1, use_bias=False)
    y = batch_norm_relu(y, f"{name}_conv1")
    y = batch_norm(conv(y, filters, 3, f"{name}_conv2", padding=1, use_bias=False), f"{name}_conv2")
    if stride > 1:
        shortcut = conv(x, filters, 1, f"{name}_shortcut", stride, use_bias=False)
        x = batch_norm(shortcut, f"{name}_shortcut")
    return _add_relu(x, y, name)


def residual_block_transpose(x, filters, name, scale=1):
    """Return the mirror of `residual_block`, which enlarges by `scale`."""
    y = conv(x, x.shape[-1], 3, f"{name}_conv1", padding=1, use_bias=False)
    y = batch_norm_relu(y, f"{name}_conv1")
    if scale > 1:
        y = resize_conv(y, filters, f"{name}_conv2", scale)
        shortcut = resize_conv(x, filters, f"{name}_shortcut", scale)
        x = batch_norm(shortcut, f"{name}_shortcut")
    else:
        y = conv(y, filters, 3, f"{name}_conv2", padding=1, use_bias=False)
    return _add_relu(x, batch_norm(y, f"{name}_conv2"), name)


def image_output(x, name):
    """Return `x` as pixels in [-1, 1], in float32 whatever the precision of the network."""
    return keras.layers.Activation("tanh", dtype="float32", name=name)(x)


def logit_output(x, name):
    """Return `x` as one float32 number per image, whatever the precision of the network."""
    return keras.layers.Reshape((1,), dtype="float32", name=name)(x)


def image_network(inputs, x, name):
    """Return the network from `inputs` to `x` as pixels, whose layers' names begin with `name`."""
    return keras.Model(inputs, image_output(x, f"{name}_image"), name=name)


def discriminator_network(inputs, x):
    """Return the network from images to `x` as one logit each."""
    return keras.Model(inputs, logit_output(x, "discriminator_logit"), name="discriminator")


def gaussian_encoder(inputs, x, latent_dim):
    """Return the encoder that ends in means and log-variances, kept in float32."""
    x = keras.layers.Reshape((2 * latent_dim,), dtype="float32", name="encoder_latent")(x)
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


def require_multiple_of_8(image_shape):
    """Refuse images that the networks of a GAN cannot halve or double three times."""
    require("This GAN", image_shape, lambda side: side % 8 == 0, "a multiple of 8")
    require_square("This GAN", image_shape)


def require_square(name, image_shape):
    """Refuse images that are not square."""
    if image_shape[0] != image_shape[1]:
        raise SettingError(
            f"{name} needs square images. Received: {image_shape[0]}x{image_shape[1]}."
        )


def _add_relu(x, y, name):
    return keras.layers.ReLU(name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([x, y]))


def _same_padding(size, kernel_size, stride):
    """Return the zeros before and after that "same" padding adds to a side of `size`."""
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2
