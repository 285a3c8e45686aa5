"""How good a model is: losses, Frechet and kernel distance, score, accuracy; and what it takes.

Nothing here knows of pruning. Distances, scores and accuracy rest on the features of a network,
either a classifier trained on the data set itself or Inception; the names tell which.

`METRICS` holds a card for each metric, in the order of records. The file of a new one ends with its
cards, `CARDS`, and is named here twice. Functions and classes are loaded when they are first used:
to import this module loads no TensorFlow.
"""

from typing import TYPE_CHECKING

import lazy_loader

from tf_tickets.lab.metrics import (
    accuracy,
    collapse,
    frechet,
    kernel,
    losses,
    score,
    translation,
)
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.registry import Registry

if TYPE_CHECKING:
    from tf_tickets.lab.metrics.accuracy import classifier_accuracy
    from tf_tickets.lab.metrics.choice import check_metric, measured_metrics
    from tf_tickets.lab.metrics.collapse import refuse_collapse
    from tf_tickets.lab.metrics.evaluation import Evaluator
    from tf_tickets.lab.metrics.evidence import Evidence, ImageEvidence, ReconstructionEvidence
    from tf_tickets.lab.metrics.features import FeatureExtractor, load_classifier, load_inception
    from tf_tickets.lab.metrics.frechet import frechet_distance
    from tf_tickets.lab.metrics.kernel import kernel_distance
    from tf_tickets.lab.metrics.moments import Moments
    from tf_tickets.lab.metrics.score import classifier_score
    from tf_tickets.lab.metrics.translation import TranslationEvaluator

METRICS = Registry(
    "metric",
    [
        *losses.CARDS,
        *accuracy.CARDS,
        *collapse.CARDS,
        *frechet.CARDS,
        *kernel.CARDS,
        *score.CARDS,
        *translation.CARDS,
    ],
)

__all__ = [
    "METRICS",
    "Evaluator",
    "Evidence",
    "FeatureExtractor",
    "ImageEvidence",
    "Metric",
    "Moments",
    "ReconstructionEvidence",
    "TranslationEvaluator",
    "check_metric",
    "classifier_accuracy",
    "classifier_score",
    "frechet_distance",
    "kernel_distance",
    "load_classifier",
    "load_inception",
    "measured_metrics",
    "refuse_collapse",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=["classifier", "evaluation", "features"],
    submod_attrs={
        "accuracy": ["classifier_accuracy"],
        "choice": ["check_metric", "measured_metrics"],
        "collapse": ["refuse_collapse"],
        "evaluation": ["Evaluator"],
        "evidence": ["Evidence", "ImageEvidence", "ReconstructionEvidence"],
        "features": ["FeatureExtractor", "load_classifier", "load_inception"],
        "frechet": ["frechet_distance"],
        "kernel": ["kernel_distance"],
        "moments": ["Moments"],
        "score": ["classifier_score"],
        "translation": ["TranslationEvaluator"],
    },
)
