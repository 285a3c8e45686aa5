"""Images as tensors: cropped, resized, and held in memory if they fit."""

import numpy as np
import tensorflow as tf

# Decoded images smaller than this are held in memory, larger data stays a stream.
MEMORY_BYTES = 2**30


def fits_in_memory(shape: tuple[int, ...]) -> bool:
    """Return whether 8-bit images of this shape (n, h, w, c) are held in memory."""
    return np.prod(shape, dtype=np.int64) < MEMORY_BYTES


def to_float(images: tf.Tensor) -> tf.Tensor:
    """Return 8-bit pixels as float32 in [-1, 1]; float images are in that range already."""
    return tf.cast(images, tf.float32) / 127.5 - 1.0 if images.dtype == tf.uint8 else images


def square(images: tf.Tensor, size: int) -> tf.Tensor:
    """Return the central square of one image or a batch, resized, as uint8 if it came so.

    Args:
        images: shape (..., h, w, c); height and width may be unknown before they are read.
        size: of the side, in pixels.
    """
    height, width = images.shape[-3:-1]
    if height is None or width is None:
        height, width = tf.unstack(tf.shape(images)[-3:-1])
        side = tf.minimum(height, width)
    else:
        side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    images = images[..., top : top + side, left : left + side, :]
    if isinstance(side, int) and side == size:
        return images
    resized = tf.image.resize(images, (size, size), antialias=True)
    return tf.cast(tf.round(resized), tf.uint8) if images.dtype == tf.uint8 else resized


def hold(batches: tf.data.Dataset, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return all images and labels of a stream as two arrays.

    Args:
        batches: of (uint8 images, int64 labels).
        shape: of all images together, (n, h, w, c).
    """
    images, labels = np.empty(shape, np.uint8), np.empty(shape[0], np.int64)
    filled = 0
    for some_images, some_labels in batches.prefetch(2).as_numpy_iterator():
        rows = slice(filled, filled + len(some_labels))
        images[rows], labels[rows] = some_images, some_labels
        filled = rows.stop
    return images, labels
