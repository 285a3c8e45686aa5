"""What a metric is computed from: real, generated and reconstructed images, and losses."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tf_tickets.lab.metrics.moments import Moments

# How many images themselves are kept, and the features of how many, so that memory does not grow.
MOST_IMAGES = 1000
MOST_FEATURES = 10_000


class ImageEvidence:
    """A stream of images and what a network answers to them; they are added batch by batch.

    Only the first `most` images are counted and enter the moments. The features themselves are kept
    of the first 10,000, at 4 bytes times their length for each. Logits are short, and kept of all.

    Args:
        extractor: a `FeatureExtractor`, or None: then there are no features, logits or moments.
        most: how many images are counted.

    Attributes:
        count: the number of images, at most `most`.
        moments: `Moments` of the features, or None.
    """

    def __init__(self, extractor: Callable | None, most: int):
        self.count = 0
        self.moments = None if extractor is None else Moments(extractor.num_features)
        self._extractor = extractor
        self._most = most
        self._features = []
        self._num_features = 0
        self._logits = []
        self._images = _FirstImages()

    def add(self, images) -> None:
        """Look at a batch, shape (n, h, w, c), in [-1, 1]."""
        room = self._most - self.count
        self._images.add(images[:room])
        self.count += min(len(images), room)
        if self._extractor is not None:
            features, logits = self._extractor(images)
            kept = features[: min(room, MOST_FEATURES - self._num_features)]
            self._features.append(kept.copy())  # a view would keep the others in memory
            self._num_features += len(kept)
            self._logits.append(logits)
            self.moments.update(features[:room])

    @property
    def features(self) -> np.ndarray | None:
        """The network's features of the first images, at most 10,000, shape (n, d)."""
        return np.concatenate(self._features) if self._features else None

    @property
    def logits(self) -> np.ndarray | None:
        """The network's logits of the images, shape (count, classes)."""
        return np.concatenate(self._logits)[: self.count] if self._logits else None

    @property
    def all_logits(self) -> np.ndarray | None:
        """The network's logits of all images that were added, also of those beyond `most`."""
        return np.concatenate(self._logits) if self._logits else None

    @property
    def images(self) -> np.ndarray:
        """The first images themselves, at most 1,000, float32 (n, h, w, c) in [-1, 1]."""
        return self._images.all


class _FirstImages:
    """The first images of a stream, so many that they fit in memory."""

    def __init__(self):
        self._batches = []
        self._room = MOST_IMAGES

    def add(self, images):
        kept = np.asarray(images[: self._room], dtype=np.float32)
        if len(kept):
            self._batches.append(kept.copy())
            self._room -= len(kept)

    @property
    def all(self) -> np.ndarray:
        return np.concatenate(self._batches)


class ReconstructionEvidence:
    """All real images of a split, each beside what the model reconstructs of it.

    Attributes:
        squared_error: the sum of squared differences over all pixel values, in [-1, 1].
        num_values: how many pixel values that is.
    """

    def __init__(self):
        self.squared_error = 0.0
        self.num_values = 0
        self._labels = []
        self._images = _FirstImages()
        self._originals = _FirstImages()
        self._judged = None

    def add(self, reconstructed, images, labels, squared_error: float) -> None:
        """Add a batch.

        Args:
            reconstructed: what the model makes of `images`, of the same shape.
            images: real images (n, h, w, c).
            labels: their classes, shape (n,).
            squared_error: the sum of squared differences of the two.
        """
        self.squared_error += squared_error
        self.num_values += int(np.prod(images.shape))
        self._labels.append(np.asarray(labels))
        self._images.add(reconstructed)
        self._originals.add(images)

    def judge(self, judged: ImageEvidence | None) -> None:
        """Take the logits from what the classifier answered to the same reconstructions."""
        self._judged = judged

    @property
    def mean_squared_error(self) -> float:
        """The squared difference of a pixel value, in [-1, 1], on average."""
        return self.squared_error / self.num_values

    @property
    def labels(self) -> np.ndarray:
        """The true classes of all real images; -1 if they have none."""
        return np.concatenate(self._labels)

    @property
    def logits(self) -> np.ndarray | None:
        """The classifier's logits of all reconstructions; None if no metric needs them."""
        return None if self._judged is None else self._judged.all_logits

    @property
    def images(self) -> np.ndarray:
        """The first reconstructions themselves, at most 1,000, float32 (n, h, w, c)."""
        return self._images.all

    @property
    def originals(self) -> np.ndarray:
        """The real images that `images` are reconstructed from."""
        return self._originals.all


@dataclasses.dataclass(frozen=True)
class Evidence:
    """All that a metric may be computed from, of one model.

    Attributes:
        losses: what the model's own `evaluate` returns for the real images, by name.
        real: images of a split that nothing was trained on; None if only losses are looked at.
        generated: samples if the model can sample, and else reconstructions of the real images.
        reconstructions: of all real images; None if the model reconstructs none.
        deviation: the standard deviation over the samples, averaged over all pixel values; None if
            the model cannot sample.
    """

    losses: Mapping[str, float]
    real: ImageEvidence | None
    generated: ImageEvidence
    reconstructions: ReconstructionEvidence | None
    deviation: float | None
