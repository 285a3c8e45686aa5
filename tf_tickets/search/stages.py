"""What a search is made of: its stages, and who is told of them."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Sequence

from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.runs.records import Records


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


class Observer:
    """Learns how a search goes on; the methods do nothing here."""

    def search_begins(self, stages: Sequence[Stage]) -> None:
        """The stages that will be made or found done, in order."""

    def stage_begins(self, stage: Stage) -> None:
        """A stage is about to be trained."""

    def stage_ends(self, stage: Stage, record: dict) -> None:
        """A stage is done, now or by an earlier run; `record` is its line of results.jsonl."""


def run_stages(
    stages: Sequence[Stage],
    folder: RunFolder,
    sources: Callable[[Stage], Sequence[Stage]],
    make: Callable[[Stage, pathlib.Path], dict],
    observers: Sequence[Observer],
) -> Records:
    """Make every stage that is not done yet, and return the records of all.

    Args:
        stages: in an order in which each comes after its sources.
        folder: an entered run folder; holds the stages, and results.jsonl, when this returns.
        sources: says which stages one is computed from.
        make: trains one stage, writes its files to a path, and returns its record.
        observers: learn of every stage.
    """
    for observer in observers:
        observer.search_begins(stages)
    records = []
    for stage in stages:
        names = [source.name for source in sources(stage)]
        if not folder.is_done(stage.name, names):
            for observer in observers:
                observer.stage_begins(stage)
            with folder.stage(stage.name, names) as path:
                record = make(stage, path)
                (path / paths.RESULT).write_text(json.dumps(record))
            folder.write_results([record])
        records.append(json.loads((folder.path / stage.name / paths.RESULT).read_text()))
        for observer in observers:
            observer.stage_ends(stage, records[-1])
    folder.write_results(records)
    return Records(records)


def derived_seed(*parts) -> int:
    """Return a seed that depends on all parts and on nothing else, such as the process."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1  # below 2**31, as tf.data wants it
