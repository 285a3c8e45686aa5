"""Training by optimizer steps, so that a search can step in anywhere."""

import itertools
import math
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError
from tf_tickets.lab.data.dataset import ImageDataset, steps_per_epoch, training_batches
from tf_tickets.optimizers import optimizers_of


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


class LinearDecay(keras.callbacks.Callback):
    """Lets the learning rate of all optimizers fall to 0 at the end of a training.

    The step of the training decides, not the optimizer's own count, which begins anew at the rewind
    point: what steps in at step 10 has the rate that an uninterrupted training has there.

    Args:
        learning_rate: at step 0.
        num_steps: optimizer steps of a whole training.
        start_step: the step that comes first.
    """

    def __init__(self, learning_rate: float, num_steps: int, start_step: int):
        super().__init__()
        self._learning_rate = learning_rate
        self._num_steps = num_steps
        self._step = start_step

    def on_train_batch_begin(self, batch, logs=None):
        """Set the rate of the step that follows."""
        rate = self._learning_rate * (1 - self._step / self._num_steps)
        for optimizer in optimizers_of(self.model):
            optimizer.learning_rate = rate
        self._step += 1


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
        model: a compiled Keras model whose `fit` takes batches of images.
        dataset: training images.
        batch_size: images per step; an epoch's last, smaller batch is left out.
        seed: of the order of the images.
        start_step, stop_step: optimizer steps, counted from 0 over all epochs.
        callbacks: Keras callbacks.

    Raises:
        DivergedError: if a loss becomes NaN or infinite.
    """
    epoch_steps = steps_per_epoch(dataset, batch_size)
    shared = tf.data.Options()
    # By files, as TensorFlow may choose, workers would see batches that no single machine sees.
    shared.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    for first, last in _whole_epochs(start_step, stop_step, epoch_steps):
        model.fit(
            training_batches(dataset, batch_size, seed, first, last).with_options(shared),
            initial_epoch=first // epoch_steps,
            epochs=math.ceil(last / epoch_steps),
            steps_per_epoch=min(epoch_steps, last - first),
            callbacks=[StopOnDivergence(), *callbacks],
            shuffle=False,
            verbose=0,
        )


def _whole_epochs(start: int, stop: int, epoch_steps: int) -> Iterator[tuple[int, int]]:
    """Split steps into the rest of a begun epoch, whole epochs, and the beginning of one more.

    Keras's `fit` takes one number of steps for all its epochs.
    """
    first_whole = math.ceil(start / epoch_steps) * epoch_steps
    last_whole = stop // epoch_steps * epoch_steps
    within = {step for step in (first_whole, last_whole) if start < step < stop}
    ends = sorted({start, stop} | within)
    yield from itertools.pairwise(ends)
