"""What an engine is asked to do: to make one stage after another in each of its workers."""

import concurrent.futures
import dataclasses
import pathlib
from collections.abc import Hashable, Sequence
from typing import Protocol

from tf_tickets.engines.plan import Plan, Report
from tf_tickets.engines.stage import Stage


class WorkerLost(Exception):
    """A worker has ended before it returned a stage."""


@dataclasses.dataclass(frozen=True)
class Order:
    """A stage that a worker is to make.

    Attributes:
        number: of the plan.
        plan: that the stage belongs to.
        stage: what to make.
        path: the folder into which its files go.
        report: is called with each Progress, in the process that gave the order.
    """

    number: int
    plan: Plan
    stage: Stage
    path: pathlib.Path
    report: Report

    @property
    def sources(self) -> list[Stage]:
        """The stages that this one is computed from, which are done."""
        return list(self.plan.sources(self.stage))


class Engine(Protocol):
    """Where stages are made. It is a context manager: whoever leaves it leaves no worker behind.

    Attributes:
        in_turn: whether stages are made one after another, in their order.
    """

    in_turn: bool

    def __enter__(self) -> "Engine":
        """Begin; workers may be started later."""

    def __exit__(self, *exception) -> None:
        """End all workers, whatever they are doing."""

    def idle(self) -> Sequence[Hashable]:
        """Return the workers that can take an order now.

        Raises:
            SettingError: if there is none, and none will be.
        """

    def submit(self, worker: Hashable, order: Order) -> concurrent.futures.Future:
        """Let a worker make a stage.

        Returns:
            The future pair of the stage's record and the seconds that it took. When it is there,
            the files are in `order.path`. It raises what the workshop raises, and WorkerLost.
        """

    def pass_on_progress(self) -> None:
        """Call `report` of the orders that have gone on."""
