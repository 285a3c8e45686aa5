"""The figures, for records of one's own."""

from tf_tickets.lab.show.figures import (
    compared_costs,
    image_grid,
    mask_distances,
    metric_against_sparsity,
)

__all__ = ["compared_costs", "image_grid", "mask_distances", "metric_against_sparsity"]
