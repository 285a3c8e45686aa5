"""Are generated images clear and varied, by the answers of a classifier or of Inception?"""

import numpy as np

from tf_tickets.errors import check_count
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.metrics.finite import check_finite, check_rows

# What is less likely than e^-600 counts as that: a class of probability 0 would have no logarithm.
_LOWEST = -600


def score_splits(num_images: int, num_splits: int = 10) -> int:
    """Return into how many parts a score of that many images is split.

    It is `num_splits`, unless parts would be left with fewer than two images: a single image has
    no variety.
    """
    return max(1, min(num_splits, num_images // 2))


def classifier_score(logits, num_splits: int = 10) -> float:
    """Return exp(E[KL(p(y|x) || p(y))]), between 1 and the number of classes; higher is better.

    It is high if each image clearly belongs to one class and all classes occur. With the
    Inception network's logits it is the Inception score. It sees no real images.

    As the papers do, it is the mean over consecutive parts, whose sizes differ by one image at
    most; few images make fewer parts, see `score_splits`. The score of a part is at most the number
    of its images, so compare only scores from equal numbers of images.

    Args:
        logits: the classifier's outputs for n images in random order, shape (n, classes).
        num_splits: into how many parts the images are split; the papers' scores are of 10.

    Raises:
        SettingError: if `num_splits` is below 1, or there is no image.
        DivergedError: if logits are NaN or infinite.

    Source: Salimans et al., 2016, arXiv:1606.03498; each part's score is computed by TF-GAN.
    """
    import tensorflow as tf

    from tf_tickets import interop

    check_count("num_splits", num_splits)
    logits = check_rows(logits, "`logits`").astype(np.float64)
    check_finite(logits, "logits")
    with np.errstate(over="ignore"):
        below = logits - logits.max(axis=1, keepdims=True)
    if below.min() < _LOWEST:
        logits = np.maximum(below, _LOWEST)
    score = interop.classifier_metrics().classifier_score_from_logits
    parts = np.array_split(logits, score_splits(len(logits), num_splits))
    return float(np.mean([float(score(tf.constant(part))) for part in parts]))


def _of_generated(evidence) -> float:
    return classifier_score(evidence.generated.logits)


def _protocol(num_images: int) -> dict:
    return {"score_splits": score_splits(num_images)}


CARDS = (
    Metric(
        name="classifier_score",
        title="Classifier score",
        unit="score",
        higher_is_better=True,
        only_without="translations",
        features="classifier",
        compute=_of_generated,
        protocol=_protocol,
    ),
    Metric(
        name="inception_score",
        title="Inception score",
        unit="score",
        higher_is_better=True,
        only_without="translations",
        features="inception",
        compute=_of_generated,
        protocol=_protocol,
    ),
)
