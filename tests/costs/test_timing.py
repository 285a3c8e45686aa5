import types

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.costs import timing
from tf_tickets.costs.timing import step_seconds


class TimedModel:
    """Takes a step in so many seconds of a clock that only this file moves; the first is slow."""

    train_function = None

    def __init__(self, clock, seconds):
        self.clock, self.seconds, self.slow = clock, seconds, 50.0

    def make_train_function(self):
        return self.step

    def step(self, iterator):
        self.clock.now += self.seconds + self.slow + next(iterator)
        self.slow = 0.0
        return {"loss": 1.0}


def test_the_time_of_a_step_is_neither_tracing_nor_the_beginning_of_a_data_set(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)

    def batches(num_steps):
        clock.now += 100.0
        return [0.25] * num_steps

    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    models = {"slim": TimedModel(clock, 1.0), "whole": TimedModel(clock, 3.0)}
    assert step_seconds(models, batches) == {"slim": 1.25, "whole": 3.25}


def test_the_steps_that_are_timed_train():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    before = model.get_weights()
    asked = []

    def batches(num_steps):
        asked.append(num_steps)
        return tf.data.Dataset.from_tensors((np.ones((4, 3)), np.ones((4, 2)))).repeat(num_steps)

    assert step_seconds({"only": model}, batches)["only"] > 0
    assert asked == [6 + 5 * 6] and int(model.optimizer.iterations) == 6 + 5 * 6
    assert any(not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
