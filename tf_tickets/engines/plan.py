"""A search that an engine is to make: its stages, what each is made from, and who makes them."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from tf_tickets.engines.stage import Observer, Progress, Stage
from tf_tickets.runs.folder import RunFolder

Make = Callable[[Stage, pathlib.Path], dict]
Report = Callable[[Progress], None]


@dataclasses.dataclass(eq=False)
class Plan:
    """One search that is to be made.

    Args:
        folder: an entered run folder; holds the stages, and results.jsonl, once they are made.
        stages: in an order in which each comes after its sources.
        sources: says which stages one is computed from.
        source_plan: the plan of these, if they are stages of another one with the same folder.
        workshop: `workshop(folder, report)` is a context manager. It gives a function
            `make(stage, path)`, which trains one stage, writes its files to a path, and returns its
            record. It reads the sources of the stage in `folder`, of which it knows `path` and
            `settings`, and may call `report` with the `Progress` of the training. It is kept open
            from stage to stage. If other processes make the stages, it must be possible to pickle
            it.
        threads: of TensorFlow, for each stage; None for whatever the process has.
        observers: learn of every stage.
        is_wanted: `is_wanted(stage, records)` says whether a stage still has to be made, given the
            records of those that are done. Whether it has must not depend on the order in which
            they come: what is unwanted stays so, and what was made of it before is left out.
        finish: called once, when all stages are done.
    """

    folder: RunFolder
    stages: Sequence[Stage]
    sources: Callable[[Stage], Sequence[Stage]]
    workshop: Callable[[RunFolder, Report], AbstractContextManager[Make]]
    source_plan: "Plan | None" = None
    threads: int | None = None
    observers: Sequence[Observer] = ()
    is_wanted: Callable[[Stage, Sequence[dict]], bool] = lambda stage, records: True
    finish: Callable[[], None] = lambda: None
