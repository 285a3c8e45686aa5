"""The step at which trainings had come as far as dense, against sparsity."""

from tf_tickets.lab.show.figures.figure import Figure, marked, subject
from tf_tickets.lab.show.figures.metric_curve import metric_against_sparsity
from tf_tickets.lab.show.stopping import stops_of, was_watched

_QUANTITY = "early_stopping_step"


def _applies(run):
    """Return whether trainings were evaluated before their end."""
    return was_watched(run.records, run.metric)


def _draw(run, path):
    stops = stops_of(run.records, run.metric)
    records = [
        {
            **{name: value for name, value in record.items() if name != "test_metrics"},
            "metrics": {} if step is None else {_QUANTITY: step},
            "collapsed": record.get("collapsed") or (step is None and "never reached"),
        }
        for record, step in zip(run.records, stops.steps, strict=True)
    ]
    reached = f"{subject(run)}, {stops.target}"
    metric_against_sparsity(records, _QUANTITY, path, **marked(run), subject=reached)


FIGURE = Figure("early_stopping", _applies, _draw)
