"""The channels that flow through a graph, and what has to be masked for a tensor to be zero."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# A place of a channel in what a channel mask is of: a variable's name, and an index in its mask.
Key = tuple[str, int]


class Zeros(NamedTuple):
    """What makes one position of a tensor zero, in each of two ways.

    Attributes:
        scales: the places in normalisations' scales which, all masked, make it zero; None where no
            scales do.
        kernels: the filters which, all masked, make it zero, given that whatever else belongs to
            the channel (biases, scales and shifts, moving means) is zero then as well; None where
            no filters do.
    """

    scales: frozenset[Key] | None = None
    kernels: frozenset[Key] | None = None


NEVER = Zeros()


@dataclasses.dataclass(frozen=True)
class Flow:
    """The channels along a tensor's last axis.

    Attributes:
        channels: int array, the number of the channel at each position.
        zeros: for each position what makes the tensor zero there.
        why: why nothing does, where it is not just that no normalisation scales the tensor.
        is_product: whether the tensor is a product of features.
    """

    channels: np.ndarray
    zeros: list[Zeros]
    why: str = ""
    is_product: bool = False

    def read_as(self, positions) -> "Flow":
        """Return the flow at some of the positions, in that order."""
        zeros = [self.zeros[i] for i in positions]
        return dataclasses.replace(self, channels=self.channels[positions], zeros=zeros)

    def never_zero(self, why: str = "") -> "Flow":
        """Return the same channels, no longer zero where they were."""
        return Flow(self.channels, [NEVER] * len(self.channels), self.why or why)

    def not_by_scales(self) -> "Flow":
        """Return the same channels, zero by their filters alone."""
        zeros = [Zeros(None, each.kernels) for each in self.zeros]
        return dataclasses.replace(self, zeros=zeros)


def zero_if_all(terms: Iterable[Zeros]) -> Zeros:
    """Return what makes a sum zero: all that make its terms zero."""
    return Zeros(*(None if None in sets else frozenset().union(*sets) for sets in _by_kind(terms)))


def zero_if_any(factors: Iterable[Zeros]) -> Zeros:
    """Return what makes a product zero: what does so with any of its factors."""
    return Zeros(*(next((e for e in sets if e is not None), None) for sets in _by_kind(factors)))


def _by_kind(parts):
    return zip(*parts, strict=True)
