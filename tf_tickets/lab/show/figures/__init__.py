"""Figures: of a run, drawn from its folder alone, and of a user's own records."""

import pathlib

from tf_tickets.lab.registry import Registry
from tf_tickets.lab.show.figures import (
    discriminator_loss,
    early_stopping,
    images,
    mask_distance,
    metric_curve,
)
from tf_tickets.lab.show.figures.costs import compared_costs
from tf_tickets.lab.show.figures.figure import Figure
from tf_tickets.lab.show.figures.images import image_grid
from tf_tickets.lab.show.figures.mask_distance import mask_distances
from tf_tickets.lab.show.figures.metric_curve import metric_against_sparsity
from tf_tickets.runs import paths

__all__ = [
    "FIGURES",
    "Figure",
    "compared_costs",
    "draw_figures",
    "image_grid",
    "mask_distances",
    "metric_against_sparsity",
]

# What is drawn of a run, in order.
FIGURES = Registry(
    "figure",
    [
        metric_curve.FIGURE,
        early_stopping.FIGURE,
        discriminator_loss.FIGURE,
        images.FIGURE,
        mask_distance.FIGURE,
    ],
)


def draw_figures(run) -> list[pathlib.Path]:
    """Return the figures of a run, drawn as files in its folder: all that it has the records for.

    Args:
        run: a `Run`, which is a view of a run folder.

    Raises:
        FileError: if a picture of the run cannot be read, or a figure not be written.
    """
    folder = run.path / paths.FIGURES
    folder.mkdir(exist_ok=True)
    drawn = []
    for figure in FIGURES.values():
        if figure.applies(run):
            drawn.append(folder / figure.file_name(run))
            figure.draw(run, drawn[-1])
    return drawn
