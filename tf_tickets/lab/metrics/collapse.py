"""Has a generative adversarial network collapsed to a single image?"""

import math
from collections.abc import Mapping

import numpy as np

from tf_tickets.errors import DivergedError
from tf_tickets.lab.metrics.card import Metric

# One of 256 grey levels, for pixels in [-1, 1]: images that differ by less look the same.
_GREY_LEVEL = 1 / 127.5


class PixelDeviation:
    """The standard deviation of each pixel value over images that come batch by batch.

    Sums and sums of squares are enough, so no image is kept. In float64 their rounding, for pixels
    in [-1, 1], is far below a grey level. NaN and infinity pass through, which the distances then
    refuse; scikit-learn's `StandardScaler` would skip the one and stop at the other.
    """

    def __init__(self):
        self.count = 0
        self._sum = 0.0
        self._sum_of_squares = 0.0

    @np.errstate(invalid="ignore")
    def update(self, images):
        """Add a batch of images, shape (n, h, w, c), in [-1, 1]."""
        images = np.asarray(images, dtype=np.float64)
        self.count += len(images)
        self._sum = self._sum + images.sum(axis=0)
        self._sum_of_squares = self._sum_of_squares + np.square(images).sum(axis=0)

    @property
    @np.errstate(invalid="ignore")
    def mean(self) -> float:
        """The standard deviation over the images, averaged over all pixel values."""
        variance = self._sum_of_squares / self.count - np.square(self._sum / self.count)
        return float(np.mean(np.sqrt(np.maximum(variance, 0))))


def refuse_collapse(metrics: Mapping[str, float]) -> None:
    """Do nothing, unless a GAN's samples are nearly one image.

    Nothing that such a generator has learned is worth pruning on, though its losses may be finite.
    One whose weights are still near a small initialisation gives one grey image, too.

    Args:
        metrics: of a model; only `sample_deviation` is looked at, if it is there.

    Raises:
        DivergedError: if the mean deviation is below one grey level.
    """
    deviation = metrics.get("sample_deviation", math.inf)
    if deviation < _GREY_LEVEL:
        raise DivergedError(
            f"The model has collapsed, or is hardly trained: its samples are all nearly one image, "
            f"with a standard deviation of {deviation:.2g} on average, less than a grey level "
            f"({_GREY_LEVEL:.2g}). Try another seed, more `retries`, a lower learning rate or more "
            "epochs."
        )


CARDS = (
    Metric(
        name="sample_deviation",
        title="Standard deviation over samples",
        unit="pixels in [-1, 1]",
        higher_is_better=None,
        of="samples",
        # One that reconstructs may well give one image if it is very sparse, which is a result.
        only_without="reconstructions",
        compute=lambda evidence: evidence.deviation,
    ),
)
