"""How good a model is: losses, Frechet and kernel distance, score, accuracy; and what it takes.

Nothing here knows of pruning. Distances, scores and accuracy rest on the features of a network,
either a classifier trained on the data set itself or Inception; the names tell which.
"""

from tf_tickets.lab.metrics.accuracy import classifier_accuracy, classifier_score
from tf_tickets.lab.metrics.collapse import refuse_collapse
from tf_tickets.lab.metrics.evaluation import HIGHER_IS_BETTER, UNDIRECTED, Evaluator
from tf_tickets.lab.metrics.features import FeatureExtractor, load_classifier, load_inception
from tf_tickets.lab.metrics.frechet import Moments, frechet_distance
from tf_tickets.lab.metrics.kernel import kernel_distance

__all__ = [
    "HIGHER_IS_BETTER",
    "UNDIRECTED",
    "Evaluator",
    "FeatureExtractor",
    "Moments",
    "classifier_accuracy",
    "classifier_score",
    "frechet_distance",
    "kernel_distance",
    "load_classifier",
    "load_inception",
    "refuse_collapse",
]
