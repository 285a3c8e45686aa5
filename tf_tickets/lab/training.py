"""Training by optimizer steps, so that a search can step in anywhere."""

import itertools
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.data.dataset import ImageDataset, steps_per_epoch, training_batches
from tf_tickets.optimizers import optimizers_of

_MOST_AT_ONCE = 32
_LEAST_STEPS = 500  # in which executions of several make up for the time that tracing them takes


class StopOnDivergence(keras.callbacks.Callback):
    """Raises DivergedError at the end of an epoch whose loss is NaN or infinite.

    The epoch's loss is a mean over its batches, so one bad batch shows.
    """

    def on_epoch_end(self, epoch, logs=None):
        """Look at the epoch's losses."""
        for name, value in (logs or {}).items():
            if not np.isfinite(value):
                raise DivergedError(
                    f"Training diverged: {name} is {value} in epoch {epoch + 1}. The round was "
                    "stopped and nothing was pruned on it; earlier rounds are kept. Try a lower "
                    "learning rate, a larger batch or the `precision` float32."
                )


class StepCounter(keras.callbacks.Callback):
    """Counts optimizer steps. An execution may take several, and the last one of an epoch fewer.

    Args:
        steps: behind the training when it begins.
    """

    def __init__(self, steps: int = 0):
        super().__init__()
        self.steps = steps

    def on_train_batch_begin(self, batch, logs=None):
        """Note the step of the epoch at which an execution begins."""
        self._begun = batch

    def on_train_batch_end(self, batch, logs=None):
        """Count an execution's steps."""
        self.steps += min(batch + 1, self.params["steps"]) - self._begun


class LinearDecay(StepCounter):
    """Lets the learning rate of all optimizers fall to 0 at the end of a training, in small steps.

    The step of the training decides, not the optimizer's own count, which begins anew at the rewind
    point: what steps in at step 10 has the rate that an uninterrupted training has there.

    Args:
        learning_rate: at step 0.
        num_steps: optimizer steps of a whole training.
        start_step: the step that comes first.
        every: the rate falls after so many steps. `fit_steps` ends an execution at each of them.
        begin: the fraction of a training at which it begins to fall.
    """

    def __init__(
        self,
        learning_rate: float,
        num_steps: int,
        start_step: int,
        every: int = 1,
        begin: float = 0.0,
    ):
        super().__init__(start_step)
        self._learning_rate = learning_rate
        self._num_steps = num_steps
        self._every = every
        self._begin = begin

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate of the steps that follow."""
        super().on_train_batch_begin(batch, logs)
        done = self.steps // self._every * self._every / self._num_steps
        left = min((1 - done) / (1 - self._begin), 1)
        for optimizer in optimizers_of(self.model):
            optimizer.learning_rate = self._learning_rate * left


def steps_at_once(epoch_steps: int, num_steps: int) -> int:
    """Return how many steps of a training TensorFlow executes as one.

    Between executions Keras and TensorFlow's data pipeline take time, which shows beside the steps
    of a small network. An epoch is a whole number of executions.

    Args:
        epoch_steps: optimizer steps of an epoch.
        num_steps: of a training.
    """
    if num_steps < _LEAST_STEPS:
        return 1
    return max(steps for steps in range(1, _MOST_AT_ONCE + 1) if epoch_steps % steps == 0)


def fit_steps(
    model: keras.Model,
    dataset: ImageDataset,
    batch_size: int,
    seed: int,
    start_step: int,
    stop_step: int,
    callbacks=(),
) -> None:
    """Train a compiled model for the optimizer steps [start_step, stop_step).

    The batch of a step depends on the seed and the step alone: a training that steps in at step 10
    sees the batches that an uninterrupted one sees from there on. Replicas of a distribution
    strategy share each batch.

    Args:
        model: a compiled Keras model whose `fit` takes batches of images. If it executes several
            steps as one, an execution ends at each multiple of `steps_per_execution`.
        dataset: training images.
        batch_size: images per step; an epoch's last, smaller batch is left out.
        seed: of the order of the images.
        start_step, stop_step: optimizer steps, counted from 0 over all epochs.
        callbacks: Keras callbacks.

    Raises:
        DivergedError: if a loss becomes NaN or infinite.
        SettingError: if an epoch is not a whole number of executions.
    """
    epoch_steps, at_once = steps_per_epoch(dataset, batch_size), model.steps_per_execution
    if epoch_steps % at_once:
        raise SettingError(
            f"`steps_per_execution` must divide the {epoch_steps} steps of an epoch. Received: "
            f"steps_per_execution={at_once}."
        )
    shared = tf.data.Options()
    # By files, as TensorFlow may choose, workers would see batches that no single machine sees.
    shared.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    for first, last in _whole_epochs(start_step, stop_step, epoch_steps, at_once):
        model.fit(
            training_batches(dataset, batch_size, seed, first, last).with_options(shared),
            initial_epoch=first // epoch_steps,
            epochs=math.ceil(last / epoch_steps),
            steps_per_epoch=min(epoch_steps, last - first),
            callbacks=[StopOnDivergence(), *callbacks],
            shuffle=False,
            verbose=0,
        )


def _whole_epochs(start, stop, epoch_steps, at_once) -> Iterator[tuple[int, int]]:
    """Split steps at the end of a begun execution, at that of a begun epoch, and at the last one.

    Keras's `fit` takes one number of steps for all its epochs.
    """
    first_execution = math.ceil(start / at_once) * at_once
    first_whole = math.ceil(start / epoch_steps) * epoch_steps
    last_whole = stop // epoch_steps * epoch_steps
    within = {s for s in (first_execution, first_whole, last_whole) if start < s < stop}
    ends = sorted({start, stop} | within)
    yield from itertools.pairwise(ends)
