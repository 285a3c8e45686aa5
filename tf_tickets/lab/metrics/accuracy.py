"""Does a classifier still recognise images that a model reconstructed?"""

import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.metrics.finite import check_finite, check_rows


def classifier_accuracy(logits, labels) -> float:
    """Return the fraction of images, in [0, 1], that a classifier recognises.

    Images that a model reconstructed keep their labels only as far as the model kept what makes
    them: a ticket that blurs a 4 into a 9 loses here, even at a small pixel error.

    Args:
        logits: the classifier's outputs, shape (n, classes).
        labels: the true classes, integers of shape (n,), from 0 to classes - 1.

    Raises:
        SettingError: if there is no image, or labels are no classes or not as many.
        DivergedError: if logits are NaN or infinite: the largest of them would say nothing.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, appendix A.2.
    """
    logits, labels = check_rows(logits, "`logits`"), np.asarray(labels)
    check_finite(logits, "logits")
    num_images, num_classes = logits.shape
    if labels.shape != (num_images,):
        raise SettingError(
            f"`labels` must hold the class of each of {num_images} images, shape ({num_images},). "
            f"Received: shape {labels.shape}."
        )
    if not np.isin(labels, np.arange(num_classes)).all():
        strange = labels[~np.isin(labels, np.arange(num_classes))][0]
        raise SettingError(
            f"`labels` must be classes, from 0 to {num_classes - 1}. Received: {strange}."
        )
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def _of_reconstructions(evidence) -> float:
    reconstructions = evidence.reconstructions
    return classifier_accuracy(reconstructions.logits, reconstructions.labels)


CARDS = (
    Metric(
        name="classifier_accuracy",
        title="Classifier accuracy",
        unit="fraction classified correctly",
        higher_is_better=True,
        of="reconstructions",
        features="classifier",
        needs_labels=True,
        compute=_of_reconstructions,
    ),
)
