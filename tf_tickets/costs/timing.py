"""How long a training step takes."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from tf_tickets.keras_internals import train_step_of


@dataclasses.dataclass(frozen=True)
class StepTime:
    """How long the training steps of a model take.

    Attributes:
        seconds: of a usual step.
        tracing_seconds: that the first step takes on top, in which TensorFlow traces and compiles.
    """

    seconds: float
    tracing_seconds: float


def time_steps(
    models: Mapping[object, keras.Model],
    batches: Callable[[int], Iterable],
    num_turns: int = 5,
    steps_per_turn: int = 6,
    at_most_seconds: float | None = None,
) -> dict[object, StepTime]:
    """Return how long a training step of each model takes, timed in turns.

    The step is the one that `fit` compiles. What `fit` does besides, such as to begin a data set,
    is not in the time: among a few steps it would weigh far more than in a training, and as much
    for a small model as for a large one. The models take turns because a machine is not equally
    fast at all times, and the median turn counts. They are trained by it.

    Args:
        models: key -> a compiled model, such as one and its slim copies. A model that is held to
            masks is timed as it is.
        batches: function of a number, called for each model, that returns so many batches of what
            the models are trained on, such as a `tf.data.Dataset`.
        num_turns: of each model, at most.
        steps_per_turn: of a model, until the next takes its turn.
        at_most_seconds: after so many no turn begins but the first; tracing is not in them. None
            for as many turns as asked.
    """
    num_steps = 1 + (1 + num_turns) * steps_per_turn
    takers = {key: _Taker(model, batches(num_steps)) for key, model in models.items()}
    first = {key: _timed(taker, 1) for key, taker in takers.items()}
    begun = time.perf_counter()
    for taker in takers.values():
        taker.take(steps_per_turn)  # warms up
    seen = {key: [] for key in models}
    for number in range(num_turns):
        spent = time.perf_counter() - begun
        if at_most_seconds is not None and number and spent > at_most_seconds:
            break
        for key, taker in takers.items():
            seen[key].append(_timed(taker, steps_per_turn) / steps_per_turn)
    usual = {key: float(np.median(seconds)) for key, seconds in seen.items()}
    return {key: StepTime(usual[key], max(0.0, first[key] - usual[key])) for key in models}


class _Taker:
    """Takes the next few training steps of a model."""

    def __init__(self, model, batches):
        self._iterator = iter(batches)
        self._step = train_step_of(model)

    def take(self, num_steps):
        for _ in range(num_steps):
            logs = self._step(self._iterator)
        # Waits for a device that works on its own.
        keras.tree.map_structure(keras.ops.convert_to_numpy, logs)


def _timed(taker, num_steps):
    begun = time.perf_counter()
    taker.take(num_steps)
    return time.perf_counter() - begun
