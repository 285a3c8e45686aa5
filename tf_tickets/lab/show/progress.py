"""What is seen of searches while they run: a progress bar, and TensorBoard logs."""

import pathlib
import shutil

import rich.console
import rich.progress
import tensorflow as tf

from tf_tickets.callbacks.pruning_report import writing_log
from tf_tickets.engines import Observer, Progress, Stage
from tf_tickets.runs.records import collapsed


class ProgressBar:
    """Shows on a terminal how far all trainings are, and what each of those under way does.

    Elsewhere, as in a file, it prints a line for each training that is finished. `of` returns an
    observer for each search.

    Args:
        console: where it is drawn, such as a rich console on stderr.
    """

    def __init__(self, console: rich.console.Console):
        self._console = console
        self._progress = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=24),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeElapsedColumn(),
            rich.progress.TextColumn("left"),
            rich.progress.TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            speed_estimate_period=600,  # an epoch may take minutes
            transient=True,
        )
        self._all = self._progress.add_task("looking for finished trainings", total=None)
        self._left = self._total = 0

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *exception):
        self._progress.stop()

    def of(self, num_steps: int, name: str = "") -> Observer:
        """Return an observer of one search.

        Args:
            num_steps: optimizer steps of a whole training.
            name: of the search, if there are several.
        """
        return _OfSearch(self, num_steps, f"{name} " if name else "")

    def add_stages(self, count: int, num_steps: int) -> None:
        """Count trainings that are to be made, or if the number is negative are not."""
        self._left += count
        self._total += count * num_steps
        self._show()

    def begin(self, name: str, num_steps: int) -> rich.progress.TaskID:
        """Show a training that begins."""
        return self._progress.add_task(name, total=num_steps)

    def go_on(self, task: rich.progress.TaskID, steps: int, description: str | None) -> None:
        """Count steps of a training."""
        changes = {} if description is None else {"description": description}
        self._progress.update(task, advance=steps, **changes)
        self._progress.update(self._all, advance=steps)

    def end(self, task: rich.progress.TaskID, done: str, num_steps: int) -> None:
        """Count a whole training, whatever step it began with; `done` says what came of it."""
        self.drop(task)
        self._progress.update(self._all, advance=num_steps)
        self._left -= 1
        self._show()
        if self._progress.disable:
            line = f"{done}, {self._left} left"
            self._console.print(line, highlight=False, soft_wrap=True)

    def drop(self, task: rich.progress.TaskID) -> None:
        """Take back a training that has not come to its end."""
        done = next(each.completed for each in self._progress.tasks if each.id == task)
        self._progress.update(self._all, advance=-done)
        self._progress.remove_task(task)

    def _show(self):
        trainings = "training" if self._left == 1 else "trainings"
        self._progress.update(
            self._all, description=f"{self._left} {trainings} left", total=self._total
        )


class _OfSearch(Observer):
    """Tells a ProgressBar of one search."""

    def __init__(self, bar, num_steps, name):
        self._bar, self._num_steps, self._prefix = bar, num_steps, name
        self._tasks, self._epochs = {}, {}

    def search_begins(self, stages):
        """Learn how many trainings there will be."""
        self._num_rounds = max(stage.round for stage in stages)
        self._bar.add_stages(len(stages), self._num_steps)

    def stage_begins(self, stage):
        """Show the training; if it is begun again, from its start."""
        if stage in self._tasks:
            self._bar.drop(self._tasks.pop(stage))
        self._epochs[stage] = 0
        self._tasks[stage] = self._bar.begin(self._name(stage), self._num_steps)

    def stage_goes_on(self, stage, progress: Progress):
        """Count steps, and say which losses an epoch ended with."""
        description = progress.doing and f"{self._name(stage)}, {progress.doing}"
        if progress.losses is not None:
            self._epochs[stage] += 1
            losses = {name: v for name, v in progress.losses.items() if name.endswith("loss")}
            described = "".join(f" {name} {value:.4g}" for name, value in losses.items())
            description = f"{self._name(stage)} epoch {self._epochs[stage]}{described}"
        self._bar.go_on(self._tasks[stage], progress.steps, description)

    def stage_drops_out(self, stage):
        """Count a training less."""
        self._bar.add_stages(-1, self._num_steps)

    def stage_ends(self, stage, record):
        """Count a training; one that was found done is no work."""
        if stage in self._tasks:
            how = "collapsed" if collapsed(record) else "trained"
            how = "not trained" if record.get("attempts") == 0 else how
            self._bar.end(self._tasks.pop(stage), f"{self._name(stage)}: {how}", self._num_steps)
        else:
            self._bar.add_stages(-1, self._num_steps)

    def _name(self, stage):
        rounds = f"{stage.round}/{self._num_rounds}"
        return f"{self._prefix}seed {stage.seed} round {rounds} {stage.arm}"


class TensorBoardLog(Observer):
    """Writes each training's losses at the end of every epoch, and each arm's metrics by round.

    Args:
        folder: for the event files; `tensorboard --logdir` takes it.

    Raises:
        FileError: when told of a stage, if the log cannot be written.
    """

    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._writers, self._steps = {}, {}

    def stage_begins(self, stage: Stage):
        """Open the log of one training, in place of one that was broken off."""
        if stage in self._writers:
            self._writers.pop(stage).close()
        folder = self._folder / "losses" / stage.name
        shutil.rmtree(folder, ignore_errors=True)
        with self._faults_named():
            self._writers[stage] = tf.summary.create_file_writer(str(folder))
        self._steps[stage] = 0

    def stage_goes_on(self, stage, progress: Progress):
        """Log the losses of an epoch at the step it ended with; rewinding begins within one."""
        self._steps[stage] += progress.steps
        with self._faults_named(), self._writers[stage].as_default(step=self._steps[stage]):
            for name, value in (progress.losses or {}).items():
                tf.summary.scalar(name, value)

    def stage_ends(self, stage, record):
        """Log the metrics of a training that was made now; an earlier run has logged its own."""
        if stage not in self._writers:
            return
        rounds = self._folder / "rounds" / f"seed-{stage.seed}" / stage.arm
        with self._faults_named():
            self._writers.pop(stage).close()
            writer = tf.summary.create_file_writer(str(rounds))
            with writer.as_default(step=stage.round):
                tf.summary.scalar("weight_sparsity", record["weight_sparsity"])
                for name, value in record["metrics"].items():
                    tf.summary.scalar(name, value)
            writer.close()

    def _faults_named(self):
        return writing_log(
            self._folder,
            "Finished rounds are kept; make room, or remove what is in the way, and run the same "
            "command again.",
        )
