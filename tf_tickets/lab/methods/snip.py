"""SNIP: the weights that the loss is most sensitive to stay."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.at_initialization import AtInitialization


@dataclasses.dataclass(frozen=True)
class Snip(AtInitialization):
    """Keep the weights that the loss is most sensitive to.

    Source: Lee et al., 2019, arXiv:1810.02340.
    """

    name: ClassVar[str] = "snip"
    title: ClassVar[str] = "initial weights that the loss is least sensitive to, abs(w dL/dw)"
    color: ClassVar[str] = "#D55E00"
    marker: ClassVar[str] = "s"
    # One batch, as SNIP's authors take, leaves the scores to chance.
    num_batches: ClassVar[int] = 4
    cost: ClassVar[str] = "snip"
    departures: ClassVar[tuple[str, ...]] = (
        "Scores are means over four batches, and of a GAN each network's are of its own loss and "
        "normalized by themselves; the draft adds the gradients of both losses (drafts of Kalibhat "
        "et al.).",
    )

    def scores(self, model, kernels, losses, seed):
        """Return the sensitivity of each weight, each network's by its own loss."""
        from tf_tickets.lab.methods.scoring import scores_by_loss
        from tf_tickets.pruning.scores.snip import snip_scores

        return scores_by_loss(snip_scores, losses)
