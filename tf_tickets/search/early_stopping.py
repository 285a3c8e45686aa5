"""When had trainings come as far as the dense network? One common target for all arms."""

from collections.abc import Mapping, Sequence

from tf_tickets.errors import SettingError, check_at_least
from tf_tickets.runs.records import Records
from tf_tickets.search.pairs import metric_of


def watched_metrics(records: Sequence[dict]) -> tuple[str, ...]:
    """Return the metrics that every training was evaluated by on its way.

    Args:
        records: lines of results.jsonl. Those without a `curve`, of trainings that collapsed before
            their first evaluation, do not count.
    """
    curves = [record["curve"] for record in Records(records) if record.get("curve")]
    firsts = [curve[0]["metrics"] for curve in curves]
    return tuple(name for name in firsts[0] if all(name in f for f in firsts)) if firsts else ()


def followed_metric(
    records: Sequence[dict], metric: str, directions: Mapping[str, bool | None]
) -> str:
    """Return the metric by which trainings can be stopped early: the given one if it was watched.

    Args:
        records: lines of results.jsonl.
        metric: the one that decides.
        directions: metric -> whether higher is better; None if neither is.

    Returns:
        The metric, or else the first one that was watched and has a direction, such as the loss.

    Raises:
        SettingError: if none was watched.
    """
    watched = watched_metrics(records)
    for name in (metric, *watched):
        if name in watched and directions.get(name) is not None:
            return name
    raise SettingError("No training was watched by a metric that has a direction.")


def early_stopping_steps(
    records: Sequence[dict], metric: str, higher_is_better: bool = False, margin: float = 0.05
) -> list[int | None]:
    """Return the step at which each training had come as far as its dense network at the end.

    The target is the same for all arms of a seed. So an arm that stalls at a bad value never
    reaches it, however soon it stalls.

    Args:
        records: lines of results.jsonl.
        metric: a watched one.
        higher_is_better: the metric's direction.
        margin: how far from the last value of the same seed's dense training is near enough, as a
            fraction of this value. Five percent are a choice of ours; the papers name none.

    Returns:
        For each record the optimizer step of the first evaluation within the margin; None if there
        is none, or if the dense training of the seed collapsed.

    Raises:
        SettingError: if there is no dense record, or one that lacks the metric, or the margin is
            negative.

    Source: the quantity is that of Kalibhat et al., 2021, arXiv:2010.02350.
    """
    check_at_least("margin", margin, 0)
    sign = -1 if higher_is_better else 1
    targets = {}
    for record in Records(records).dense:
        last = metric_of(record, metric)
        targets[record["seed"]] = None if last is None else sign * last + margin * abs(last)
    return [_first_step(record, metric, sign, targets.get(record["seed"])) for record in records]


def _first_step(record, metric, sign, target):
    if target is None:
        return None
    for point in record.get("curve") or ():
        value = point["metrics"].get(metric)
        if value is not None and sign * value <= target:
            return point["step"]
    return None
