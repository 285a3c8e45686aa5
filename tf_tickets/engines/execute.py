"""Makes all stages of several plans, by whatever engine, and keeps them in their run folders."""

import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import time
from collections.abc import Hashable, Sequence

from tf_tickets.engines.engine import Engine, Order, WorkerLost
from tf_tickets.engines.here import Here
from tf_tickets.engines.plan import Plan
from tf_tickets.engines.queue import Item, Queue
from tf_tickets.engines.stage import Stage
from tf_tickets.errors import FileError, SettingError
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.runs.records import Records

_POLL_SECONDS = 0.2
_MOST_LOSSES = 3


def execute(plans: Sequence[Plan], engine: Engine | None = None) -> list[Records]:
    """Make every stage of every plan that is not done yet, and return the records of each plan.

    This process alone writes to the run folders. Each stage is sealed when it is whole, so that
    nothing that was made is lost, whatever ends this process or a worker.

    Args:
        plans: share one queue.
        engine: where the stages are made; this process by default.

    Returns:
        For each plan one record per stage that was wanted, in the order of its stages.

    Raises:
        SettingError: if these are no plans, one has no run folder that is entered, or `engine` is
            none.
        Exception: what a workshop raises. Stages that are under way elsewhere are finished first.
        FileError: if a stage's worker was lost three times.
    """
    engine = Here() if engine is None else engine
    _check(plans, engine)
    execution = _Execution(plans, engine)
    with execution:
        execution.run()
    return [_records(plan, execution.records_of(plan)) for plan in plans]


def _check(plans, engine):
    if not isinstance(plans, Sequence) or not all(isinstance(each, Plan) for each in plans):
        raise SettingError(f"`plans` must be a list of Plans. Received: a {type(plans).__name__}")
    for plan in plans:
        if not isinstance(plan.folder, RunFolder):
            kind = type(plan.folder).__name__
            raise SettingError(
                "`folder` must be a tt.RunFolder, as in `with tt.RunFolder(path, settings) as "
                f"folder`. Received: a {kind}"
            )
        plan.folder.check_entered()
    if not hasattr(engine, "submit"):
        raise SettingError(
            "`engine` must be an engine, such as tt.engines.Processes(2). Received: a "
            f"{type(engine).__name__}"
        )


def _records(plan, records):
    """Return the records of the stages that are wanted once all is known."""
    made = list(records.values())
    wanted = [s for s in plan.stages if s in records and plan.is_wanted(s, made)]
    found = [records[stage] for stage in wanted]
    plan.folder.write_results()
    return Records(found)


@dataclasses.dataclass
class _Running:
    """A stage under way: who makes it, and the folder that is sealed once it is whole."""

    item: Item
    worker: Hashable
    path: pathlib.Path
    sealing: contextlib.ExitStack


class _Execution:
    def __init__(self, plans, engine):
        self._plans = plans
        self._engine = engine
        self._queue = Queue(plans, engine.in_turn)
        self._running: dict[concurrent.futures.Future, _Running] = {}
        self._to_make: set[Item] = set()  # looked for in the folder, and not found
        self._open: dict[Hashable, int] = {}  # worker -> the plan that it has made a stage of
        self._losses: dict[Item, int] = {}
        self._records: list[dict[Stage, dict]] = [{} for _ in plans]
        self._error = None

    def records_of(self, plan: Plan) -> dict[Stage, dict]:
        """Return the records of the stages of a plan that are done."""
        return self._records[self._plans.index(plan)]

    def __enter__(self):
        self._engine.__enter__()
        return self

    def __exit__(self, *exception):
        self._engine.__exit__(*exception)
        for running in self._running.values():  # nobody writes there any more
            with contextlib.suppress(WorkerLost), running.sealing:
                raise WorkerLost

    def run(self):
        """Make all stages."""
        for plan in self._plans:
            for observer in plan.observers:
                observer.search_begins(plan.stages)
        while not self._queue.is_finished:
            if self._error is None:
                self._find_done()
                self._hand_out()
            elif not self._running:
                raise self._error
            self._collect()

    def _drop_out(self):
        """Count as finished what need not be made any more."""
        while unwanted := [item for item in self._queue.ready if not self._is_wanted(item)]:
            for item in unwanted:
                for observer in self._plans[item.plan].observers:
                    observer.stage_drops_out(item.stage)
                self._finish(item)

    def _is_wanted(self, item):
        records = list(self._records[item.plan].values())
        return self._plans[item.plan].is_wanted(item.stage, records)

    def _find_done(self):
        """Count what is done already, and what that makes ready or needless."""
        self._drop_out()
        while found := [item for item in self._queue.ready if item not in self._to_make]:
            for item in found:
                plan = self._plans[item.plan]
                if plan.folder.is_done(item.stage.name, self._source_names(item)):
                    self._end(item)
                    break  # in the order of the stages, for those who watch
                self._to_make.add(item)
            self._drop_out()

    def _source_names(self, item):
        return [source.name for source in self._plans[item.plan].sources(item.stage)]

    def _hand_out(self):
        """Give each idle worker a stage, if one is ready."""
        if not self._queue.ready:
            return
        for worker in self._engine.idle():
            held = {self._open[worker]} if worker in self._open else set()
            item = self._queue.take(held, set(self._open.values()) - held)
            if item is None:
                return
            self._begin(item, worker)

    def _begin(self, item, worker):
        plan, stage = self._plans[item.plan], item.stage
        for observer in plan.observers:
            observer.stage_begins(stage)

        def report(progress):
            for observer in plan.observers:
                observer.stage_goes_on(stage, progress)

        with contextlib.ExitStack() as stack:
            path = stack.enter_context(plan.folder.stage(stage.name, self._source_names(item)))
            future = self._engine.submit(worker, Order(item.plan, plan, stage, path, report))
            self._open[worker] = item.plan
            self._running[future] = _Running(item, worker, path, stack.pop_all())

    def _collect(self):
        """Wait a moment for the stages under way, and keep those that are done."""
        self._engine.pass_on_progress()
        if not self._running:
            if not self._queue.is_finished:
                time.sleep(0 if self._engine.idle() else _POLL_SECONDS)
            return
        done, _ = concurrent.futures.wait(
            self._running, _POLL_SECONDS, concurrent.futures.FIRST_COMPLETED
        )
        for future in done:
            self._engine.pass_on_progress()
            self._keep(future, self._running.pop(future))

    def _keep(self, future, running):
        """Seal a stage that is done; one that failed leaves nothing behind."""
        try:
            with running.sealing:
                record, seconds = future.result()
                (running.path / paths.RESULT).write_text(json.dumps(record))
        except WorkerLost as lost:
            self._make_again(running, lost)
        except Exception as error:
            self._error = self._error or error
        else:
            self._plans[running.item.plan].folder.write_results()
            self._end(running.item, seconds)

    def _make_again(self, running, lost):
        item = running.item
        self._open.pop(running.worker, None)
        self._losses[item] = self._losses.get(item, 0) + 1
        if self._losses[item] == _MOST_LOSSES:
            self._error = FileError(
                f"The process that made {item.stage.name} ended {_MOST_LOSSES} times: {lost}. If "
                "the memory is too small, use fewer `workers`. Finished stages are kept."
            )
        else:
            self._queue.put_back(item)

    def _end(self, item, seconds=None):
        plan = self._plans[item.plan]
        file = plan.folder.path / item.stage.name / paths.RESULT
        record = json.loads(file.read_text())
        self._records[item.plan][item.stage] = record
        for observer in plan.observers:
            observer.stage_ends(item.stage, record)
        self._finish(item, seconds)

    def _finish(self, item, seconds=None):
        self._queue.finish(item, seconds)
        if self._queue.is_finished_with(item.plan):
            # Damaged seals, also of what is no stage of the plan, are removed before they are read.
            self._plans[item.plan].folder.write_results()
            self._plans[item.plan].finish()
