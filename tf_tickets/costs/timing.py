"""How long a training step takes."""

import time
from collections.abc import Callable, Iterable, Mapping

import keras
import numpy as np

from tf_tickets.keras_internals import train_step_of

_TURNS = 5
_STEPS_PER_TURN = 6


def step_seconds(
    models: Mapping[object, keras.Model], batches: Callable[[int], Iterable]
) -> dict[object, float]:
    """Return the median seconds of a training step of each model, timed in turns.

    The step is the one that `fit` compiles. What `fit` does besides, such as to begin a data set,
    is not in the time: among a few steps it would weigh far more than in a training, and as much
    for a small model as for a large one. The models take turns because a machine is not equally
    fast at all times. They are trained by it.

    Args:
        models: key -> a compiled model, such as one and its slim copies.
        batches: function of a number, called for each model, that returns so many batches of what
            the models are trained on, such as a `tf.data.Dataset`.
    """
    turns = {key: _turn_of(model, batches) for key, model in models.items()}
    for turn in turns.values():
        turn()  # traces, and warms up
    seen = {key: [] for key in models}
    for _ in range(_TURNS):
        for key, turn in turns.items():
            begun = time.perf_counter()
            turn()
            seen[key].append((time.perf_counter() - begun) / _STEPS_PER_TURN)
    return {key: float(np.median(seconds)) for key, seconds in seen.items()}


def _turn_of(model, batches):
    """Return a function that takes the next few training steps of a model."""
    iterator = iter(batches((1 + _TURNS) * _STEPS_PER_TURN))
    step = train_step_of(model)

    def turn():
        for _ in range(_STEPS_PER_TURN):
            logs = step(iterator)
        # Waits for a device that works on its own.
        keras.tree.map_structure(keras.ops.convert_to_numpy, logs)

    return turn
