"""Which metrics there are of a model, before any model or data is loaded."""

from collections.abc import Collection

from tf_tickets.errors import SettingError
from tf_tickets.lab.metrics import METRICS


def measured_metrics(
    offers: Collection[str],
    features: Collection[str],
    has_labels: bool,
    losses: Collection[str] | None = None,
) -> list[str]:
    """Return the names of the metrics that are measured of a model, in the order of records.

    Args:
        offers: what models of its family can make, as `Metric.applies` takes it. One that only
            samples is a GAN, which has a loss for each of its two networks and no other.
        features: the networks behind distances and scores: "classifier", which needs labels to be
            trained, and "inception".
        has_labels: whether the data set has at least two classes.
        losses: the names of the model's losses, if they are known.
    """
    if not has_labels:
        features = [kind for kind in features if kind != "classifier"]
    return [
        metric.name
        for metric in METRICS.values()
        if metric.applies(offers, features, has_labels, losses)
    ]


def check_metric(
    name: str,
    offers: Collection[str],
    features: Collection[str],
    has_labels: bool,
    losses: Collection[str] | None = None,
) -> None:
    """Do nothing if a metric can decide which ticket wins.

    Args:
        name: of the metric.
        offers, features, has_labels, losses: as `measured_metrics` takes them.

    Raises:
        SettingError: if there is no such metric, if neither direction of it is better, or if it is
            not measured of the model; the message says which metrics remain, and why not this one.
    """
    deciding = _deciding(offers, features, has_labels, losses)
    if name in deciding:
        return
    expected = f"one of {', '.join(deciding)}"
    if not deciding:
        expected = "one that is measured of the model, but none of those can decide"
    more = _deciding(offers, [*features, "inception"], has_labels, losses)
    more = [each for each in more if each not in deciding]
    if more:
        expected += f" (`inception` adds {', '.join(more)})"
    reason = f", which {_fault(name, features, has_labels)}" if name in METRICS else ""
    raise SettingError(f"`metric` must be {expected}. Received: metric={name}{reason}")


def _deciding(*situation) -> list[str]:
    measured = measured_metrics(*situation)
    return [name for name in measured if METRICS[name].higher_is_better is not None]


def _fault(name, features, has_labels) -> str:
    """Return why a metric cannot decide."""
    metric = METRICS[name]
    if metric.higher_is_better is None:
        return "chooses no model: neither direction of it is better"
    if metric.features == "inception" and "inception" not in features:
        return "needs `inception`"
    if (metric.needs_labels or metric.features == "classifier") and not has_labels:
        return "needs images with labels of at least 2 classes"
    if metric.features == "classifier" and "classifier" not in features:
        return "needs the features of a classifier"
    return "is not measured of such a model"
