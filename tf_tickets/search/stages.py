"""What a search is made of: its stages, and who is told of them."""

import dataclasses
import resource
import sys
from collections.abc import Sequence

# What a stage may be; "transferred" only where a search is given tickets from elsewhere.
ARMS = ("winning", "transferred", "random", "shuffled")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of a search: round 0 is dense, later rounds have an arm each."""

    seed: int
    round: int
    arm: str

    @property
    def name(self) -> str:
        """The stage's folder within the run."""
        return f"seed-{self.seed}/round-{self.round:02d}/{self.arm}"


class Observer:
    """Is told how a search goes on; the methods do nothing here."""

    def search_begins(self, stages: Sequence[Stage]) -> None:
        """The stages that will be made or found done, in order."""

    def stage_begins(self, stage: Stage) -> None:
        """A stage is about to be trained."""

    def stage_ends(self, stage: Stage, record: dict) -> None:
        """A stage is done, now or by an earlier run; `record` is its line of results.jsonl."""


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
