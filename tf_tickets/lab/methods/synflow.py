"""SynFlow: the weights that carry the most synaptic flow stay."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.at_initialization import AtInitialization


@dataclasses.dataclass(frozen=True)
class Synflow(AtInitialization):
    """Keep the weights that carry the most synaptic flow, found in many steps without data.

    Source: Tanaka et al., 2020, arXiv:2006.05467.
    """

    name: ClassVar[str] = "synflow"
    title: ClassVar[str] = "initial weights that carry the least synaptic flow, in 100 steps"
    color: ClassVar[str] = "#E69F00"
    marker: ClassVar[str] = "P"
    steps: ClassVar[int] = 100  # as many as the paper takes
    cost: ClassVar[str] = "synflow"

    def scores(self, model, kernels, losses, seed):
        """Return each weight's share in what flows through its network."""
        from tf_tickets.lab.methods.scoring import scores_by_flow

        return scores_by_flow(model, kernels)
