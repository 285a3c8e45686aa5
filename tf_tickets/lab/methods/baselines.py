"""What any score of initial weights has to beat: their magnitude, and chance."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.at_initialization import AtInitialization


@dataclasses.dataclass(frozen=True)
class MagnitudeAtInit(AtInitialization):
    """Keep the largest initial weights."""

    name: ClassVar[str] = "magnitude-at-init"
    title: ClassVar[str] = "the smallest initial weights"
    color: ClassVar[str] = "#F0E442"
    marker: ClassVar[str] = "X"

    def scores(self, model, kernels, losses, seed):
        """Return the magnitude of each weight."""
        from tf_tickets.pruning.scores.magnitude import magnitude_scores

        return magnitude_scores(kernels)


@dataclasses.dataclass(frozen=True)
class RandomAtInit(AtInitialization):
    """Keep initial weights at random."""

    name: ClassVar[str] = "random-at-init"
    title: ClassVar[str] = "initial weights at random"
    color: ClassVar[str] = "#999999"
    marker: ClassVar[str] = "p"

    def scores(self, model, kernels, losses, seed):
        """Return a random number for each weight."""
        from tf_tickets.pruning.scores.random import random_scores

        return random_scores(kernels, seed)
