"""GraSP: the weights that keep the gradient large stay."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.at_initialization import AtInitialization


@dataclasses.dataclass(frozen=True)
class Grasp(AtInitialization):
    """Keep the weights that preserve the norm of the gradient.

    Source: Wang et al., 2020, arXiv:2002.07376.
    """

    name: ClassVar[str] = "grasp"
    title: ClassVar[str] = "initial weights whose removal increases the gradient norm, by w (H g)"
    color: ClassVar[str] = "#CC79A7"
    marker: ClassVar[str] = "D"
    num_batches: ClassVar[int] = 4
    cost: ClassVar[str] = "grasp"
    departures: ClassVar[tuple[str, ...]] = (
        "Scores are means over four batches, and of a GAN each network's are of its own loss and "
        "normalized by themselves; no loss is divided by a temperature (Wang et al., "
        "arXiv:2002.07376).",
    )

    def scores(self, model, kernels, losses, seed):
        """Return how much each weight adds to the gradient, each network's by its own loss."""
        from tf_tickets.lab.methods.scoring import scores_by_loss
        from tf_tickets.pruning.scores.grasp import grasp_scores

        return scores_by_loss(grasp_scores, losses)
