"""Making a run on a terminal, and showing what it has found."""

import contextlib
import json
from collections.abc import Sequence

import rich.console

from tf_tickets.lab.commands.console import print_line
from tf_tickets.lab.config import RunConfig


def make(config: RunConfig, output: str, console, strategy=None):
    """Make a run while a progress bar shows how far it is, and return it.

    Args:
        config: what to do.
        output: the folder in which the run folder is made.
        console: for what is printed before.
        strategy: the TensorFlow strategy, if it was made before.

    Returns:
        The Run; None in a worker that is not the chief.
    """
    from tf_tickets.lab.job import Job
    from tf_tickets.lab.show.progress import ProgressBar, TensorBoardLog
    from tf_tickets.runs import paths
    from tf_tickets.strategy import check_agreement

    if strategy is not None:
        asked = config.to_dict()
        asked["data"].pop("data_dir")  # may be a matter of the machine
        check_agreement(strategy, asked, "Give all the same options.")
    job = Job(config, output, strategy)
    if not job.is_chief:
        job.make()
        return None
    bar = ProgressBar(job.experiment.num_steps, rich.console.Console(stderr=True))
    log = TensorBoardLog(job.folder.path / paths.TENSORBOARD)
    with contextlib.ExitStack() as stack:

        def begins():
            _announce(job, console)
            stack.enter_context(bar)

        return job.make([bar, log], bar.training_classifier, begins)


def _announce(job, console):
    print_line(console, f"Run folder: {job.folder.path}")
    print_line(console, f"Settings: {json.dumps(job.folder.settings)}")
    epochs = job.experiment.recipe.epochs
    print_line(console, f"A training: {job.experiment.num_steps} optimizer steps, {epochs} epochs")
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
