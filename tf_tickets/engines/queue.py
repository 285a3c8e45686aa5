"""Which stage comes next: those whose sources are done, the longest way to the end first."""

import dataclasses
import functools
import itertools
from collections.abc import Collection, Sequence

import numpy as np

from tf_tickets.engines.plan import Plan
from tf_tickets.engines.stage import Stage


@dataclasses.dataclass(frozen=True, eq=True)
class Item:
    """A stage of a plan.

    Attributes:
        plan: number of the plan.
        stage: of it.
    """

    plan: int
    stage: Stage


class Queue:
    """The stages of several plans, in the order in which they should be made.

    The time of the whole is at least that of the longest chain of stages, each made from the one
    before: the rounds of one seed's tickets. So a stage on which much else waits goes first, and
    the controls, on which nothing waits, fill the gaps.

    Args:
        plans: the searches that share the queue.
        in_turn: whether the order is that of the plans and of their stages, as one process alone
            makes them.
    """

    def __init__(self, plans: Sequence[Plan], in_turn: bool = False):
        self._items = [Item(i, stage) for i, plan in enumerate(plans) for stage in plan.stages]
        self._place = {item: place for place, item in enumerate(self._items)}
        numbers = {id(plan): number for number, plan in enumerate(plans)}
        self._sources = {}
        for item in self._items:
            plan = plans[item.plan]
            number = numbers.get(id(plan.source_plan), item.plan)
            found = [Item(number, stage) for stage in plan.sources(item.stage)]
            # Sources that nobody makes here are there already.
            self._sources[item] = [source for source in found if source in self._place]
        self._users = {item: [] for item in self._items}
        for item, sources in self._sources.items():
            for source in sources:
                self._users[source].append(item)
        self._in_turn = in_turn
        self._done: set[Item] = set()
        self._taken: set[Item] = set()
        self._seconds: dict[int, list[float]] = {}

    @property
    def is_finished(self) -> bool:
        """Whether all stages are done."""
        return len(self._done) == len(self._items)

    def is_finished_with(self, plan: int) -> bool:
        """Return whether all stages of a plan are done."""
        return all(item in self._done for item in self._items if item.plan == plan)

    @property
    def ready(self) -> list[Item]:
        """What may be made now, the most urgent first."""
        ready = [
            item
            for item in self._items
            if item not in self._taken and self._done.issuperset(self._sources[item])
        ]
        if self._in_turn:
            return ready
        left = self._way_to_the_end()
        return sorted(ready, key=lambda item: (-left[item], self._place[item]))

    def take(self, held: Collection[int] = (), elsewhere: Collection[int] = ()) -> Item | None:
        """Return what a worker should make next, or None if nothing is ready.

        A worker goes on with a plan whose workshop it has open, as opening one takes as long as a
        short training; else with a plan that no other worker has open.

        Args:
            held: the plans whose workshops the worker has open.
            elsewhere: those that other workers have open.
        """
        ready = self.ready
        if not ready:
            return None
        if not self._in_turn:
            mine = [item for item in ready if item.plan in held]
            free = [item for item in ready if item.plan not in elsewhere]
            ready = mine or free or ready
        self._taken.add(ready[0])
        return ready[0]

    def put_back(self, item: Item) -> None:
        """Let an item be made again, as the worker that had taken it was lost."""
        self._taken.remove(item)

    def finish(self, item: Item, seconds: float | None = None) -> None:
        """Count an item as done.

        Args:
            item: what was taken, or found done.
            seconds: what making it took, from which the time of others of its plan is guessed.
        """
        self._taken.add(item)
        self._done.add(item)
        if seconds is not None:
            self._seconds.setdefault(item.plan, []).append(seconds)

    def _guess(self, plan: int) -> float:
        known = self._seconds.get(plan) or list(itertools.chain(*self._seconds.values()))
        return float(np.mean(known)) if known else 1.0

    def _way_to_the_end(self) -> dict[Item, float]:
        """Return the time of the longest chain that begins with each item that is not done."""
        guess = functools.cache(self._guess)
        left = {}
        for item in reversed(self._items):  # each comes after its sources
            if item not in self._done:
                left[item] = guess(item.plan) + max(map(left.get, self._users[item]), default=0)
        return left

    @property
    def width(self) -> int:
        """How many workers there is work for: all stages over those of the longest chain."""
        chains = {}
        for item in self._items:
            chains[item] = 1 + max((chains[source] for source in self._sources[item]), default=0)
        return -(-len(self._items) // max(chains.values(), default=1)) if self._items else 0
