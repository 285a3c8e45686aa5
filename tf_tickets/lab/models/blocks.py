"""The few pieces that the networks are made of, as functions from tensor to tensor.

Every layer gets an explicit name, because masks are kept by `variable.path`, which must be
the same whenever the same network is built again. Weights start as Keras starts them (Glorot
uniform kernels, zero biases); the recipes' authors left PyTorch's defaults, which differ.
"""

import tensorflow as tf
from keras import layers

# PyTorch's batch normalisation, in which the recipes were written: Keras's momentum of 0.99
# would leave short runs with stale moving statistics (pitfall Q4).
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
    layer=layers.Conv2D,
):
    """Return a convolution of `x` with `padding` zeros on each side, as in PyTorch.

    `layer` is its class: `SpectralConv2D` makes a spectrally normalised one.
    """
    same = _same_padding(x.shape[1], kernel_size, stride) == (padding, padding)
    if padding and not same:
        x = layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)
    return layer(
        filters,
        kernel_size,
        stride,
        padding="same" if same else "valid",
        use_bias=use_bias,
        activation=activation,
        name=name,
    )(x)


def conv_transpose(
    x, filters, kernel_size, name, stride=1, padding=0, use_bias=True, activation=None
):
    """Return a transposed convolution of `x`, cropped by `padding` on each side as in PyTorch."""
    same = kernel_size - stride == 2 * padding
    x = layers.Conv2DTranspose(
        filters,
        kernel_size,
        stride,
        padding="same" if same else "valid",
        use_bias=use_bias,
        activation=activation,
        name=name,
    )(x)
    if padding and not same:
        x = layers.Cropping2D(padding, name=f"{name}_crop")(x)
    return x


def batch_norm(x, name):
    """Return `x` normalised over the batch, also where a strategy splits that over replicas."""
    return layers.BatchNormalization(
        momentum=_MOMENTUM,
        epsilon=_EPSILON,
        # Else each replica would keep moving statistics of its own part.
        synchronized=tf.distribute.get_strategy().num_replicas_in_sync > 1,
        name=f"{name}_bn",
    )(x)


def batch_norm_relu(x, name):
    """Return `x` normalised over the batch, then rectified."""
    return layers.ReLU(name=f"{name}_relu")(batch_norm(x, name))


def leaky_relu(x, name, slope):
    """Return `x`, its negative part scaled by `slope`."""
    return layers.LeakyReLU(negative_slope=slope, name=f"{name}_relu")(x)


def resize_conv(x, filters, name, scale=2):
    """Return `x` enlarged by repeating pixels, then a 3x3 convolution.

    It leaves no checkerboard as a transposed convolution may. The bias, although followed by
    batch normalisation in the residual blocks, is part of recipe R4's count.
    """
    if scale > 1:
        x = layers.UpSampling2D(scale, name=f"{name}_resize")(x)
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
    return layers.Activation("tanh", dtype="float32", name=name)(x)


def logit_output(x, name):
    """Return `x` as one float32 number per image, whatever the precision of the network."""
    return layers.Reshape((1,), dtype="float32", name=name)(x)


def _add_relu(x, y, name):
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, y]))


def _same_padding(size, kernel_size, stride):
    """Return the zeros before and after that "same" padding adds to a side of `size`."""
    total = max((-(-size // stride) - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2
