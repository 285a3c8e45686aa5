"""Images as metrics look at them: float32 in [-1, 1], or refused."""

import warnings

import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab.data.pixels import to_float


def float_images(images, image_shape=(None, None, None), of: str = "The images") -> tf.Tensor:
    """Return images as float32 in [-1, 1].

    Those of 8 bits are brought to that range, as nothing else can be meant by them.

    Args:
        images: shape (n, h, w, c), uint8 from 0 to 255 or floats in [-1, 1].
        image_shape: the height, width and channels that are expected; None where any will do.
        of: what is said of them in an error.

    Raises:
        SettingError: if there are none, or they are of another shape or of other whole numbers.

    Warns:
        UserWarning: if they are floats that begin at 0 and go beyond 2, such as 0 to 255.
    """
    try:
        images = tf.convert_to_tensor(images)
    except (TypeError, ValueError) as error:
        raise SettingError(
            f"{of} must be an array of shape (n, h, w, c). Received: a {type(images).__name__}"
        ) from error
    _check_shape(images.shape, image_shape, of)
    if not (images.dtype.is_floating or images.dtype == tf.uint8):
        raise SettingError(
            f"{of} must be uint8 from 0 to 255 or floats in [-1, 1]. Received: {images.dtype.name}."
        )
    if images.dtype == tf.uint8:
        return to_float(images)
    images = tf.cast(images, tf.float32)
    least, most = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    # Whatever a network makes of images in [-1, 1] has darker pixels than the mean grey.
    if least >= 0 and most > 2:
        warnings.warn(
            f"{of} go from {least:g} to {most:g}, and are looked at as if they were in [-1, 1]. "
            "Divide 0 to 255 by 127.5 and subtract 1, or give uint8.",
            stacklevel=3,
        )
    return images


def _check_shape(shape, image_shape, of):
    wanted = [None, *image_shape]
    fits = len(shape) == 4 and all(
        expected in (None, got) for expected, got in zip(wanted, shape, strict=True)
    )
    if not fits:
        names = ("n", "height", "width", "channels")
        expected = ", ".join(str(w or name) for w, name in zip(wanted, names, strict=True))
        raise SettingError(f"{of} must have the shape ({expected}). Received: {tuple(shape)}.")
    if 0 in shape:
        raise SettingError(f"{of} are none: there is nothing to look at in shape {tuple(shape)}.")
