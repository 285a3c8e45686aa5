"""A GAN's discriminator loss against sparsity: it is for looking, and tells nothing of quality."""

from tf_tickets.lab.show.figures.figure import Figure, marked, subject
from tf_tickets.lab.show.figures.metric_curve import metric_against_sparsity

_METRIC = "discriminator_loss"


def _applies(run):
    return _METRIC in run.records.metrics


def _draw(run, path):
    metric_against_sparsity(run.records, _METRIC, path, **marked(run), subject=subject(run))


FIGURE = Figure("discriminator_loss", _applies, _draw)
