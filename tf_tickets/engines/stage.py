"""What a search is made of: its stages, and who is told of them."""

import dataclasses
import hashlib
import json
import numbers
from collections.abc import Sequence

from tf_tickets.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of a search: round 0 is dense, later rounds have a stage for each arm.

    Attributes:
        seed: of the search.
        round: 0 for the dense network.
        arm: "dense", or the name of an arm.
    """

    seed: int
    round: int
    arm: str

    @property
    def name(self) -> str:
        """The stage's folder within the run."""
        return f"seed-{self.seed}/round-{self.round:02d}/{self.arm}"

    @property
    def dense(self) -> "Stage":
        """The stage of the same seed's dense network."""
        return Stage(self.seed, 0, "dense")

    def of_arm(self, arm: str) -> "Stage":
        """Return another arm's stage of the same seed and round."""
        return dataclasses.replace(self, arm=arm)


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far the training of a stage is.

    Attributes:
        steps: optimizer steps that were taken now; a stage may begin at the rewind point.
        losses: name -> value of the epoch that has just ended; None within an epoch.
        doing: what is done before the training, in words.
    """

    steps: int
    losses: dict | None = None
    doing: str | None = None


class Observer:
    """Learns how a search goes on; the methods do nothing here. Several stages may be under way."""

    def search_begins(self, stages: Sequence[Stage]) -> None:
        """The stages that will be made or found done, in order."""

    def stage_begins(self, stage: Stage) -> None:
        """A stage is about to be trained; again, if the process that trained it was lost."""

    def stage_goes_on(self, stage: Stage, progress: Progress) -> None:
        """A stage has trained on: every second, and at the end of each epoch."""

    def stage_drops_out(self, stage: Stage) -> None:
        """A stage will not be made: what is done shows that nothing can come of it."""

    def stage_ends(self, stage: Stage, record: dict) -> None:
        """A stage is done, now or by an earlier run; `record` is its line of results.jsonl."""


def checked_seeds(seeds: Sequence[int]) -> list[int]:
    """Return the seeds of a search; SettingError unless they are different whole numbers, one or
    more.
    """
    try:
        listed = list(seeds)
        good = all(isinstance(s, numbers.Integral) and s >= 0 for s in listed)
    except TypeError:
        listed, good = [], False
    if not good or not listed or len(set(listed)) < len(listed):
        raise SettingError(
            "`seeds` must be different whole numbers, at least 0, and one at least: each repeats "
            f"the search. Received: seeds={seeds!r}"
        )
    return [int(seed) for seed in listed]


def derived_seed(*parts) -> int:
    """Return a seed that depends on all parts and on nothing else, such as the process.

    Args:
        *parts: numbers and names.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1  # below 2**31, as tf.data wants it
