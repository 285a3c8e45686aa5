"""The step at which trainings had come as far as dense, against sparsity."""

from tf_tickets.lab.show.figures.figure import Figure, marked, subject
from tf_tickets.lab.show.figures.metric_curve import metric_against_sparsity
from tf_tickets.lab.show.stopping import stop_records, stops_of, was_watched
from tf_tickets.lab.show.styles import EARLY_STOPPING


def _applies(run):
    """Return whether trainings were evaluated before their end."""
    return was_watched(run.records, run.metric)


def _draw(run, path):
    records = stop_records(run.records, run.metric)
    reached = f"{subject(run)}, {stops_of(run.records, run.metric).target}"
    metric_against_sparsity(records, EARLY_STOPPING, path, **marked(run), subject=reached)


FIGURE = Figure("early_stopping", _applies, _draw)
