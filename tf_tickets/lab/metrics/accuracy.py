"""What a classifier's answers say about images: are they recognised, clear and varied."""

import numpy as np
import tensorflow as tf

from tf_tickets import interop
from tf_tickets.errors import SettingError


def classifier_accuracy(logits, labels) -> float:
    """Return the fraction of images, in [0, 1], that a classifier recognises.

    Images that a model reconstructed keep their labels only as far as the model kept what makes
    them: a ticket that blurs a 4 into a 9 loses here, even at a small pixel error.

    Args:
        logits: the classifier's outputs, shape (n, classes).
        labels: the true classes, integers of shape (n,).

    Source: Kalibhat et al., 2021, arXiv:2010.02350, appendix A.2.
    """
    return float(np.mean(np.argmax(np.asarray(logits), axis=1) == np.asarray(labels)))


def score_splits(num_images: int, num_splits: int = 10) -> int:
    """Return into how many parts a score of that many images is split.

    It is `num_splits`, unless parts would be left with fewer than two images: of a single one, no
    variety can be told.
    """
    return max(1, min(num_splits, num_images // 2))


def classifier_score(logits, num_splits: int = 10) -> float:
    """Return exp(E[KL(p(y|x) || p(y))]), between 1 and the number of classes; higher is better.

    It is high where each image clearly belongs to one class and all classes occur. With the
    Inception network's logits it is the Inception score. It sees no real images.

    As the papers do, it is the mean over consecutive parts, whose sizes differ by one image at
    most; few images make fewer parts, see `score_splits`. The score of a part is at most the number
    of its images, so compare only scores from equal numbers of images.

    Args:
        logits: the classifier's outputs for n images in random order, shape (n, classes).
        num_splits: into how many parts the images are split.

    Raises:
        SettingError: if `num_splits` is below 1.

    Source: Salimans et al., 2016, arXiv:1606.03498; each part's score is computed by TF-GAN.
    """
    if num_splits < 1:
        raise SettingError(f"`num_splits` must be 1 or more. Received: {num_splits}.")
    logits = np.asarray(logits, dtype=np.float64)
    score = interop.classifier_metrics().classifier_score_from_logits
    parts = np.array_split(logits, score_splits(len(logits), num_splits))
    return float(np.mean([float(score(tf.constant(part))) for part in parts]))
