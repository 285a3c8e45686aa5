import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.costs import timing
from tf_tickets.costs.timing import StepTime, time_steps


class TimedModel:
    """Takes a step in so many seconds of a clock that only this file moves; the first is slow."""

    train_function = None

    def __init__(self, clock, seconds, at_once=1):
        self.clock, self.seconds, self.slow = clock, seconds, 50.0
        self.steps, self.steps_per_execution = 0, at_once

    def make_train_function(self):
        return self.step

    def step(self, iterator):
        for _ in range(self.steps_per_execution):
            self.clock.now += self.seconds + self.slow + next(iterator)
            self.slow = 0.0
            self.steps += 1
        return {"loss": 1.0}


@pytest.fixture
def clock(monkeypatch):
    clock = types.SimpleNamespace(now=0.0)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.now)
    return clock


def test_tracing_stands_apart_and_the_beginning_of_a_data_set_is_in_neither(clock):
    def batches(num_steps):
        clock.now += 100.0
        return [0.25] * num_steps

    models = {"slim": TimedModel(clock, 1.0), "whole": TimedModel(clock, 3.0)}
    assert time_steps(models, batches) == {
        "slim": StepTime(1.25, 50.0),
        "whole": StepTime(3.25, 50.0),
    }


@pytest.mark.parametrize(("at_once", "steps"), [(2, 2 + 6 * 6), (4, 4 + 6 * 8), (10, 10 + 60)])
def test_steps_that_are_compiled_together_are_counted_one_by_one(at_once, steps, clock):
    model = TimedModel(clock, 1.0, at_once)
    found = time_steps({"only": model}, lambda number: [0.25] * number)
    assert found == {"only": StepTime(1.25, 50.0)}
    assert model.steps == steps


@pytest.mark.parametrize(("seconds", "turns"), [(0.1, 9), (2.0, 4), (1000.0, 1)])
def test_slow_steps_are_timed_in_fewer_turns_but_in_one(seconds, turns, clock):
    model = TimedModel(clock, seconds)
    found = time_steps({"only": model}, lambda number: [0.0] * number, 9, 1, at_most_seconds=9.0)
    assert model.steps == 1 + 1 + turns
    assert found["only"].seconds == pytest.approx(seconds)


def test_the_steps_that_are_timed_train():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile("adam", "mse")
    before = model.get_weights()
    asked = []

    def batches(num_steps):
        asked.append(num_steps)
        return tf.data.Dataset.from_tensors((np.ones((4, 3)), np.ones((4, 2)))).repeat(num_steps)

    found = time_steps({"only": model}, batches)["only"]
    assert found.seconds > 0 and found.tracing_seconds > found.seconds
    assert asked == [1 + 6 + 5 * 6] and int(model.optimizer.iterations) == 1 + 6 + 5 * 6
    assert any(not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True))
