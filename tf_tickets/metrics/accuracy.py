"""What a classifier's answers say about images: are they recognised, clear and varied."""

import numpy as np
import tensorflow as tf

from tf_tickets import interop


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


def classifier_score(logits) -> float:
    """Return exp(E[KL(p(y|x) || p(y))]), between 1 and the number of classes; higher is better.

    It is high where each image clearly belongs to one class and all classes occur. With the
    Inception network's logits it is the Inception score. It sees no real images.

    Args:
        logits: the classifier's outputs for n images, shape (n, classes).

    Source: Salimans et al., 2016, arXiv:1606.03498; computed by TF-GAN, in one split.
    """
    logits = tf.constant(np.asarray(logits, dtype=np.float64))
    return float(interop.classifier_metrics().classifier_score_from_logits(logits))
