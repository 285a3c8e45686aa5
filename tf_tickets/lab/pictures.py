"""Strips of pictures: the images that a model makes, or real ones, side by side in a PNG file."""

import numpy as np

from tf_tickets.errors import FileError
from tf_tickets.files import write_whole


def write_strip(images: np.ndarray, path) -> None:
    """Write images side by side as a PNG file.

    Args:
        images: (n, height, width, 1 or 3) in [-1, 1], as high as wide.
        path: the file to write; an existing one is replaced whole.
    """
    import tensorflow as tf  # which reading them does without

    strip = np.concatenate(list(images), axis=1)
    pixels = np.rint((strip + 1) * 127.5).clip(0, 255).astype(np.uint8)
    write_whole(path, tf.io.encode_png(pixels).numpy())


def read_strip(path) -> np.ndarray:
    """Return the images of a strip that `write_strip` wrote, (n, h, w, c) in [-1, 1].

    Args:
        path: the file.

    Raises:
        FileError: if it is missing or no picture.
    """
    import matplotlib.image

    try:
        strip = matplotlib.image.imread(path)
    except FileNotFoundError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    except (OSError, SyntaxError) as error:  # the one for a file that breaks off, or is no PNG
        raise FileError(f"Cannot read {path}: {error}.") from error
    if strip.ndim == 2:  # of one channel
        strip = strip[:, :, np.newaxis]
    strip = np.rint(255 * strip.astype(float)) / 127.5 - 1  # (height, n * height, channels)
    return np.stack(np.split(strip, strip.shape[1] // strip.shape[0], axis=1))
