"""The kernel distance between two sets of images: unbiased, so it fits few images too."""

import contextlib
import math
from collections.abc import Iterator

import numpy as np

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.metrics.finite import check_rows


def kernel_distance(real, generated) -> float:
    """Return the squared maximum mean discrepancy between two sets of features.

    The kernel is (x.y / d + 1)^3. 0 is expected if both sets are of one kind, and more the
    further they are apart, whatever the number of images: unlike the Frechet distance, it is
    unbiased. An estimate without bias must sometimes fall below zero, so a slightly negative value
    is no fault and is kept. On Inception's features it is the KID.

    It is the mean over blocks of at most 1024 images, so time grows linearly with their number.
    Both sets should be in random order, or a block would not stand for its set.

    Args:
        real: features of real images, shape (n, d).
        generated: features of as many generated images, shape (n, d).

    Raises:
        SettingError: if there are fewer than two images, or not as many of either kind.
        DivergedError: if features are NaN or infinite, or so large that the distance is.

    Source: Binkowski et al., 2018, arXiv:1801.01401; the blocks are TF-GAN's, after Zaremba et
    al., 2013, arXiv:1307.1954.
    """
    import tensorflow as tf

    from tf_tickets import interop

    real, generated = check_rows(real, "`real`"), check_rows(generated, "`generated`")
    if real.shape != generated.shape or len(real) < 2:
        raise SettingError(
            "A kernel distance needs features (n, d) of as many real as generated images, and at "
            f"least 2 of each. Received: {real.shape} and {generated.shape}."
        )
    for name, features in (("real", real), ("generated", generated)):
        if not np.all(np.isfinite(features)):
            raise DivergedError(
                f"The kernel distance is not finite: the features of the {name} images hold NaN "
                "or infinity."
            )
    distance = interop.classifier_metrics().kernel_classifier_distance_from_activations
    with _no_deprecation_warnings():
        # In float32, large products would cancel to a distance that is mostly rounding.
        found = float(distance(tf.constant(real), tf.constant(generated), dtype=tf.float64))
    if not math.isfinite(found):
        raise DivergedError("The kernel distance is not finite: the features are too large.")
    return found


@contextlib.contextmanager
def _no_deprecation_warnings() -> Iterator[None]:
    """Keep TensorFlow from telling our user that TF-GAN calls `tf.map_fn` in an old way."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _of_generated(evidence) -> float:
    count = min(len(evidence.real.features), len(evidence.generated.features))
    return kernel_distance(evidence.real.features[:count], evidence.generated.features[:count])


CARDS = (
    Metric(
        name="kcd",
        title="Kernel classifier distance",
        unit="KCD",
        higher_is_better=False,
        features="classifier",
        compute=_of_generated,
        has_floor=True,
    ),
    Metric(
        name="kid",
        title="Kernel Inception distance",
        unit="KID",
        higher_is_better=False,
        features="inception",
        compute=_of_generated,
        has_floor=True,
    ),
)
