"""Making runs on a terminal, and showing what they have found."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence

import rich.console

from tf_tickets.lab.commands.console import print_line, signals
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.engine_options import EngineOptions


def make(
    configs: Sequence[RunConfig],
    output: str,
    console,
    engine: EngineOptions,
    strategy=None,
    ended: Callable[[RunConfig, object], None] = lambda config, run: None,
) -> list:
    """Make runs while a progress bar shows how far they are, and return them.

    Args:
        configs: what to do.
        output: the folder in which the run folders are made.
        console: for what is printed before.
        engine: where the trainings are made.
        strategy: the TensorFlow strategy, if it was made before.
        ended: called with each config and its Run, as soon as that is whole.

    Returns:
        The Runs; none in a worker that is not the chief.
    """
    from tf_tickets.lab import job
    from tf_tickets.strategy import check_agreement

    if strategy is not None:
        asked = [config.to_dict() for config in configs]
        for each in asked:
            each["data"].pop("data_dir")  # may be a matter of the machine
        check_agreement(strategy, asked, "Give all the same options.")
    jobs = job.prepare_all(configs, output, engine, strategy)
    signals.listen()
    signals.has_begun = True
    if not jobs[0].is_chief:
        job.make(jobs, engine)
        return []
    with _watcher(console, len(jobs), ended) as watcher:
        return job.make(jobs, engine, watcher)


@contextlib.contextmanager
def _watcher(console, num_runs, ended) -> Iterator:
    from tf_tickets.lab.job import Watcher
    from tf_tickets.lab.show.progress import ProgressBar, TensorBoardLog
    from tf_tickets.runs import paths

    bar = ProgressBar(rich.console.Console(stderr=True))

    class OnTerminal(Watcher):
        def run_begins(self, job):
            _announce(job, console)

        def observers(self, job):
            name = job.folder.path.name if num_runs > 1 else ""
            steps = job.prepared.experiment.num_steps
            log = TensorBoardLog(job.folder.path / paths.TENSORBOARD)
            return [bar.of(steps, name), log]

        def trainings_begin(self, engine):
            print_line(console, f"Trainings: {engine}")

        def run_ends(self, job):
            ended(job.prepared.asked, job.run)

    with bar:
        yield OnTerminal()


def _announce(job, console):
    experiment = job.prepared.experiment
    print_line(console, f"Run folder: {job.folder.path}")
    print_line(console, f"Settings: {json.dumps(job.folder.settings)}")
    epochs = experiment.recipe.epochs
    print_line(console, f"A training: {experiment.num_steps} optimizer steps, {epochs} epochs")
    for note in job.notes:
        print_line(console, f"Note: {note}")


def show(run, console, files: Sequence[str], as_json: bool) -> None:
    """Print a run's tables, what it has found and where, and if asked that as a line of JSON.

    Args:
        run: a `Run`.
        console: for stdout.
        files: of the run folder, to be named.
        as_json: whether to end with JSON.
    """
    from tf_tickets.lab.show import outcome, tables

    console.print(*tables.tables(run), sep="\n")
    print_line(console, outcome.sentence(run))
    for name in files:
        print_line(console, f"  {run.path / name}")
    if as_json:
        print(json.dumps(outcome.as_json(run)))
