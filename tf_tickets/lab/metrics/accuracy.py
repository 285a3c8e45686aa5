"""Does a classifier still recognise images that a model reconstructed?"""

import numpy as np

from tf_tickets.lab.metrics.card import Metric


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
