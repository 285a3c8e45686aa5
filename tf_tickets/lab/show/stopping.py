"""Where the trainings of a run could have stopped, as tables and figures show it."""

from typing import NamedTuple

from tf_tickets.lab.show.styles import EARLY_STOPPING, metric_card
from tf_tickets.search.early_stopping import (
    early_stopping_steps,
    followed_metric,
    watched_metrics,
)

MARGIN = 0.05


class Stops(NamedTuple):
    """By which metric trainings could have stopped, and the step of each record, or None."""

    metric: str
    steps: list[int | None]

    @property
    def target(self) -> str:
        """What is reached, in words."""
        return f"within {MARGIN:.0%} of dense's last {self.metric}".replace("%", " %")


def was_watched(records, metric: str) -> bool:
    """Return whether trainings were evaluated on their way, by a metric that has a direction.

    Args:
        records: those of a run.
        metric: the one that decides.
    """
    on_the_way = any(len(record.get("curve") or ()) > 1 for record in records)
    directions = _directions(records, metric)
    return on_the_way and any(directions[name] is not None for name in watched_metrics(records))


def stops_of(records, metric: str) -> Stops:
    """Return where trainings could have stopped, by this metric or, if not watched, another.

    Args:
        records: those of a run.
        metric: the one that decides.

    Raises:
        SettingError: if no training was watched.
    """
    directions = _directions(records, metric)
    followed = followed_metric(records, metric, directions)
    steps = early_stopping_steps(records, followed, directions[followed], MARGIN)
    return Stops(followed, steps)


def stop_records(records, metric: str) -> list[dict]:
    """Return records whose only metric is the step at which the training could have stopped.

    Args:
        records: those of a run.
        metric: the one that decides.

    Raises:
        SettingError: if no training was watched.
    """
    return [
        {
            **{name: value for name, value in record.items() if name != "test_metrics"},
            "metrics": {} if step is None else {EARLY_STOPPING: step},
            "collapsed": record.get("collapsed") or (step is None and "never reached"),
        }
        for record, step in zip(records, stops_of(records, metric).steps, strict=True)
    ]


def _directions(records, metric):
    """Return the direction of what was watched; what decides a run is better when lower, or not."""
    directions = {name: metric_card(name).higher_is_better for name in watched_metrics(records)}
    return directions | {metric: bool(metric_card(metric).higher_is_better)}
