"""Scores of several networks made alike, so that they can be ranked together."""

from collections.abc import Mapping

import numpy as np

from tf_tickets.errors import DivergedError
from tf_tickets.pruning.selection import check_scores


def normalized_scores(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return scores divided by the sum of their magnitudes.

    Networks that are scored each by its own loss, such as a GAN's two, have scores of unlike
    scales. They are normalised by themselves before they are ranked together. Magnitudes,
    as the plain sum of scores of both signs may be nearly zero or negative, and turn their order.

    Args:
        scores: variable name -> float array, of one network.

    Raises:
        SettingError: if there is no score, or they are no arrays of real numbers.
        DivergedError: if a score is NaN or infinite, or all are zero, so that they choose nothing.
    """
    check_scores(scores)
    total = sum(float(np.abs(score).sum(dtype="float64")) for score in scores.values())
    if total == 0:
        raise DivergedError(
            f"All scores are zero, of {next(iter(scores))} and what is scored with it: no gradient "
            "reaches these weights, so there is nothing to choose them by."
        )
    return {name: score / total for name, score in scores.items()}
