"""The step at which trainings could have stopped, against sparsity: see `follow_curve`."""

from tf_tickets.lab.show.figures.figure import Figure, marked, subject
from tf_tickets.lab.show.figures.metric_curve import metric_against_sparsity
from tf_tickets.runs.records import Records

_QUANTITY = "early_stopping_step"


def _applies(run):
    """Return whether trainings were evaluated before their end."""
    return any(len(curve) > 1 for curve in run.records.field("curve"))


def _draw(run, path):
    whole = Records(record for record in run.records if record[_QUANTITY])
    steps = whole.values(run.metric, of=_QUANTITY)
    records = [
        {**record, "metrics": {_QUANTITY: step}} for record, step in zip(whole, steps, strict=True)
    ]
    by_metric = f"{subject(run)}, by {run.metric}"
    metric_against_sparsity(records, _QUANTITY, path, **marked(run), subject=by_metric)


FIGURE = Figure("early_stopping", _applies, _draw)
