"""What is seen of a search while it runs: a progress bar, and TensorBoard logs."""

import pathlib
import shutil

import keras
import rich.console
import rich.progress
import tensorflow as tf

from tf_tickets.search.stages import Observer, Stage


class ProgressBar(Observer, keras.callbacks.Callback):
    """Shows seed, round, arm and epoch on a terminal, with the time left.

    Elsewhere, as in a file, it prints a line for each training that is finished.

    Args:
        num_steps: optimizer steps of a whole training.
        console: where it is drawn, such as a rich console on stderr.
    """

    def __init__(self, num_steps: int, console: rich.console.Console):
        super().__init__()
        self._num_steps = num_steps
        self._console = console
        self._stage = None
        self._stages_done = self._stages_left = 0
        self._steps_done = 0
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
        self._task = self._progress.add_task("loading the network behind the metrics", total=None)

    def __enter__(self):
        self._progress.start()
        return self

    def __exit__(self, *exception):
        self._progress.stop()

    def training_classifier(self, steps_done: int, num_steps: int):
        """Say how far the classifier behind the metrics is, which is trained once per data set."""
        description = f"training the classifier behind the metrics, {steps_done / num_steps:.0%}"
        self._progress.update(self._task, description=description)

    def search_begins(self, stages):
        """Learn how many trainings there will be."""
        self._stages_left = len(stages)
        self._num_rounds = max(stage.round for stage in stages)

    def stage_begins(self, stage: Stage):
        """Say which training this is."""
        self._stage = stage
        self._steps_done = 0
        self._show("")

    def stage_ends(self, stage, record):
        """Count a whole training, whatever it began with; one that was found done is no work."""
        self._stages_left -= 1
        if stage == self._stage:
            self._stages_done += 1
            if self._progress.disable:
                self._console.print(
                    f"{self._name(stage)}: trained, {self._stages_left} left",
                    highlight=False,
                    soft_wrap=True,
                )
        self._steps_done = 0
        self._show("")

    def on_train_batch_end(self, batch, logs=None):
        """Count an optimizer step."""
        self._steps_done += 1
        self._progress.update(self._task, completed=self._completed())

    def on_epoch_end(self, epoch, logs=None):
        """Say which epoch has ended, and with which loss, or with which of each network."""
        losses = {name: value for name, value in (logs or {}).items() if name.endswith("loss")}
        described = "".join(f" {name} {value:.4g}" for name, value in losses.items())
        self._show(f" epoch {epoch + 1}{described}")

    def _show(self, epoch):
        stage = self._stage
        description = f"{self._name(stage)}{epoch}" if stage else "finding finished rounds"
        self._progress.update(
            self._task,
            description=description,
            completed=self._completed(),
            total=(self._stages_done + self._stages_left) * self._num_steps,
        )

    def _name(self, stage):
        return f"seed {stage.seed} round {stage.round}/{self._num_rounds} {stage.arm}"

    def _completed(self):
        return self._stages_done * self._num_steps + self._steps_done


class TensorBoardLog(Observer, keras.callbacks.Callback):
    """Writes each training's losses at the end of every epoch, and each arm's metrics by round.

    Args:
        folder: for the event files; `tensorboard --logdir` takes it.
    """

    def __init__(self, folder):
        super().__init__()
        self._folder = pathlib.Path(folder)
        self._losses = None

    def stage_begins(self, stage: Stage):
        """Open the log of one training, in place of one that was broken off."""
        folder = self._folder / "losses" / stage.name
        shutil.rmtree(folder, ignore_errors=True)
        self._losses = tf.summary.create_file_writer(str(folder))
        self._steps = 0

    def on_train_batch_end(self, batch, logs=None):
        """Count an optimizer step of this training."""
        self._steps += 1

    def on_epoch_end(self, epoch, logs=None):
        """Log the losses of an epoch at the step it ended with; rewinding begins within one."""
        with self._losses.as_default(step=self._steps):
            for name, value in (logs or {}).items():
                tf.summary.scalar(name, value)

    def stage_ends(self, stage, record):
        """Log the metrics of a training that was made now; an earlier run has logged its own."""
        if self._losses is None:
            return
        self._losses.close()
        self._losses = None
        rounds = self._folder / "rounds" / f"seed-{stage.seed}" / stage.arm
        writer = tf.summary.create_file_writer(str(rounds))
        with writer.as_default(step=stage.round):
            tf.summary.scalar("weight_sparsity", record["weight_sparsity"])
            for name, value in record["metrics"].items():
                tf.summary.scalar(name, value)
        writer.close()
