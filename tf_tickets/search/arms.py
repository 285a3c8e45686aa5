"""What the masks of a round are trained from: the ticket, and its controls."""

import dataclasses
from collections.abc import Callable
from typing import Protocol

from tf_tickets.engines.stage import Stage, derived_seed
from tf_tickets.errors import SettingError, check_function
from tf_tickets.names import under_names
from tf_tickets.pruning.masks import Masks
from tf_tickets.search.bench import Bench
from tf_tickets.search.round_masks import Draw
from tf_tickets.tickets.ticket import Ticket

REDRAWS = ("component", "all")


@dataclasses.dataclass(frozen=True)
class Start:
    """What a stage starts from.

    Attributes:
        weights: variable name -> array, of the whole model.
        masks: of all that may be pruned.
        step: optimizer steps that are behind the weights.
        own: names of the variables that the arm has drawn for itself, which no `starts` of a search
            replaces.
    """

    weights: dict
    masks: Masks
    step: int
    own: frozenset[str] = frozenset()


class Arm(Protocol):
    """One way to train the masks of each round.

    Attributes:
        name: of the arm, in records and folders.
        component_starts: which of the starts that a search names for components hold here.
    """

    name: str
    component_starts: tuple[str, ...]

    def sources(self, stage: Stage, draw: Draw) -> list[Stage]:
        """Return the stages besides the dense one that a stage of this arm is computed from."""

    def start(self, bench: Bench, stage: Stage, draw: Draw) -> Start:
        """Return what a stage of this arm starts from; the model's state may be changed."""


class Winning:
    """The ticket: masks that the search draws, and the weights of the rewind point."""

    name = "winning"
    component_starts = ("trained", "fresh")

    def sources(self, stage, draw):
        """Return the stage that the masks are drawn from."""
        return [draw.source(stage)]

    def start(self, bench, stage, draw):
        """Draw the masks, and rewind."""
        masks = draw.masks(bench, stage)
        return Start(bench.rewind_weights(stage), masks, bench.rewind_step)


class Random:
    """The control with the same masks and fresh weights: if it does as well, no ticket has won.

    What is redrawn is trained for all steps, so that the control is given no fewer than the ticket.

    Args:
        tickets: `tickets(seed, round)` returns the Ticket whose masks are taken; by default those
            of the winning arm.
        redraws: "component" draws weights anew for the components that are pruned alone, so that
            the arms differ in nothing else: the rest starts as in the arm whose masks are taken.
            "all" draws the rest anew too. What a search starts from what has been "trained" is
            the same in both arms, unless there is nothing else to redraw.

    Raises:
        SettingError: if `redraws` is neither, or `tickets` is no function.
    """

    name = "random"
    component_starts = ("trained", "fresh")

    def __init__(
        self,
        tickets: Callable[[int, int], Ticket] | None = None,
        redraws: str = "component",
    ):
        if redraws not in REDRAWS:
            raise SettingError(f"`redraws` must be {' or '.join(REDRAWS)}. Received: {redraws!r}")
        if tickets is not None:
            check_function("tickets", tickets)
        self._tickets = tickets
        self.redraws = redraws

    def sources(self, stage, draw):
        """Return the stage whose masks are taken, if it is one of this search."""
        return [] if self._tickets else [stage.of_arm("winning")]

    def start(self, bench, stage, draw):
        """Take the masks, and draw weights anew."""
        fresh = bench.fresh_weights(stage)
        own = bench.redrawn(fresh, everything=self.redraws == "all")
        rest = {} if own.issuperset(fresh) else self._rest(bench, stage)
        weights = {**fresh, **{name: rest[name] for name in fresh if name in rest.keys() - own}}
        return Start(weights, self._masks(bench, stage), 0, own)

    def _masks(self, bench, stage):
        if self._tickets:
            return self._tickets(stage.seed, stage.round).masks
        return bench.ticket(stage.of_arm("winning")).masks

    def _rest(self, bench, stage):
        """Return what the arm whose masks are taken starts from, of which the rest is taken."""
        if self._tickets:
            return bench.fresh_weights(stage.of_arm("transferred"))
        return bench.rewind_weights(stage)


class Shuffled:
    """The control with the same weights and each layer's mask shuffled within the layer.

    If it does as well, the ticket is no more than the sparsity of each of its layers.

    Source: Frankle et al., 2021, arXiv:2009.08576.
    """

    name = "shuffled"
    component_starts = ("trained", "fresh")

    def sources(self, stage, draw):
        """Return the stage whose masks are shuffled."""
        return [stage.of_arm("winning")]

    def start(self, bench, stage, draw):
        """Shuffle the masks, and rewind."""
        seed = derived_seed(stage.seed, stage.round, stage.arm)
        masks = bench.ticket(stage.of_arm("winning")).masks.shuffled(seed)
        return Start(bench.rewind_weights(stage), masks, bench.rewind_step)


class Transferred:
    """A ticket found elsewhere: its masks and its weights, the rest of the model fresh.

    Args:
        tickets: `tickets(seed, round)` returns the Ticket: masks of all that may be pruned, and
            weights of some of the variables.

    Raises:
        SettingError: if `tickets` is no function.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, fig. 8.
    """

    name = "transferred"
    component_starts = ()

    def __init__(self, tickets: Callable[[int, int], Ticket]):
        check_function("tickets", tickets)
        self._tickets = tickets

    def sources(self, stage, draw):
        """Return no stage: the tickets are not of this search."""
        return []

    def start(self, bench, stage, draw):
        """Take the ticket, and draw all other weights anew."""
        fresh = bench.fresh_weights(stage)
        ticket = self._tickets(stage.seed, stage.round)
        given = under_names(bench.model, ticket.weights)
        return Start({**fresh, **given}, ticket.masks, 0)
