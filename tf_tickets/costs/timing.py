"""How long a training step takes."""

import dataclasses
import math
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

    The step is the one that `fit` compiles; if it compiles several as one, these are timed together
    and counted one by one. What `fit` does besides, such as to begin a data set, is not in the
    time: among a few steps it would weigh far more than in a training, and as much for a small
    model as for a large one. The models take turns because a machine is not equally
    fast at all times, and the median turn counts. They are trained by it.

    Args:
        models: key -> a compiled model, such as one and its slim copies. A model that is held to
            masks is timed as it is.
        batches: function of a number, called for each model, that returns so many batches of what
            the models are trained on, such as a `tf.data.Dataset`.
        num_turns: of each model, at most.
        steps_per_turn: of a model, until the next takes its turn; as many more as are compiled
            together with the last.
        at_most_seconds: after so many no turn begins but the first; tracing is not in them. None
            for as many turns as asked.
    """
    takers = {
        key: _Taker(model, batches, num_turns, steps_per_turn) for key, model in models.items()
    }
    first = {key: taker.seconds_of(1) for key, taker in takers.items()}
    begun = time.perf_counter()
    for taker in takers.values():
        taker.take_turn()  # warms up
    seen = {key: [] for key in models}
    for number in range(num_turns):
        spent = time.perf_counter() - begun
        if at_most_seconds is not None and number and spent > at_most_seconds:
            break
        for key, taker in takers.items():
            seen[key].append(taker.take_turn())
    times = {}
    for key, taker in takers.items():
        usual = float(np.median(seen[key]))
        times[key] = StepTime(usual, max(0.0, first[key] - taker.at_once * usual))
    return times


class _Taker:
    """Takes the next few training steps of a model, as many `at_once` as are compiled as one."""

    def __init__(self, model, batches, num_turns, steps_per_turn):
        self.at_once = model.steps_per_execution
        self._executions = math.ceil(steps_per_turn / self.at_once)  # in a turn
        self._step = train_step_of(model)
        self._iterator = iter(batches(self.at_once * (1 + (1 + num_turns) * self._executions)))

    def take_turn(self):
        """Return the seconds of one of its steps."""
        return self.seconds_of(self._executions) / (self._executions * self.at_once)

    def seconds_of(self, executions):
        begun = time.perf_counter()
        for _ in range(executions):
            logs = self._step(self._iterator)
        # Waits for a device that works on its own.
        keras.tree.map_structure(keras.ops.convert_to_numpy, logs)
        return time.perf_counter() - begun
