"""Had a training settled by its end?"""

from collections.abc import Mapping, Sequence

import numpy as np

# Progress slows down like a logarithm: who gains this much in the last quarter of a training would
# gain about 5 % if it were twice as long, half of the tolerance by which tickets are judged.
GAIN = 0.02
_LEAST_EVALUATIONS = 4


def has_converged(values: Sequence[float], higher_is_better: bool = False) -> bool | None:
    """Return whether a training had settled, by one metric.

    It had if the mean over the last quarter of its evaluations is at most 2 % better than that
    over the quarter before. Means, as single evaluations of a small network vary by as much. One
    that gets worse, as an overfitted network does, has settled too.

    Args:
        values: the metric at equal distances, from the start of the training to its end.
        higher_is_better: the metric's direction.

    Returns:
        None of fewer than four values, which cannot tell.
    """
    if len(values) < _LEAST_EVALUATIONS:
        return None
    quarter = len(values) // 4
    before, last = np.mean(values[-2 * quarter : -quarter]), np.mean(values[-quarter:])
    gain = (last - before) if higher_is_better else (before - last)
    return bool(gain <= GAIN * abs(before))


def converged_metrics(
    curve: Sequence[dict], directions: Mapping[str, bool | None] | None = None
) -> dict[str, bool]:
    """Return for each metric that was followed whether a training had settled by it.

    Args:
        curve: {"step": optimizer step, "metrics": name -> value} of each evaluation, in order.
        directions: metric -> whether higher is better; None if neither direction is, so that it is
            left out. A metric that is absent is better when lower.

    Returns:
        metric -> bool; {} of fewer than four evaluations.
    """
    directions = directions or {}
    seen = [point["metrics"] for point in curve]
    followed = [name for name in (seen[0] if seen else ()) if all(name in each for each in seen)]
    settled = {}
    for name in followed:
        if directions.get(name, False) is not None:
            values = [point["metrics"][name] for point in curve]
            settled[name] = has_converged(values, directions.get(name, False))
    return {name: value for name, value in settled.items() if value is not None}
