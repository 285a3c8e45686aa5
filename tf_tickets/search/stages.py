"""What a search is made of: its stages, and who is told of them."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence

from tf_tickets.errors import SettingError
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.verdict import with_spread

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


def check_evaluations(evaluations: int, num_steps: int) -> None:
    """Raise SettingError unless a training has as many steps as it is evaluated, and is once."""
    if not 1 <= evaluations <= num_steps:
        raise SettingError(
            f"`evaluations` must be from 1 to the {num_steps} steps of a training. "
            f"Received: evaluations={evaluations}"
        )


def run_stages(
    stages: Sequence[Stage],
    folder: RunFolder,
    sources: Callable[[Stage], Sequence[Stage]],
    make: Callable[[Stage, pathlib.Path], dict],
    observers: Sequence[Observer],
) -> list[dict]:
    """Make every stage that is not done yet, and return the records of all, with their spread.

    Args:
        stages: in an order in which each comes after its sources.
        folder: an entered run folder; holds the stages, and results.jsonl, when this returns.
        sources: says which stages one is computed from.
        make: trains one stage, writes its files to a path, and returns its record.
        observers: are told of every stage.
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
                (path / "result.json").write_text(json.dumps(record))
            folder.write_results([record])
        records.append(json.loads((folder.path / stage.name / "result.json").read_text()))
        for observer in observers:
            observer.stage_ends(stage, records[-1])
    records = with_spread(records)
    folder.write_results(records)
    return records
