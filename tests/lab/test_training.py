import itertools

import keras
import numpy as np
import pytest

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.data import dataset as data
from tf_tickets.lab.experiment import build_model
from tf_tickets.lab.recipes import resolve
from tf_tickets.lab.training import LinearDecay, fit_steps, steps_at_once
from tf_tickets.tickets.snapshot import take_snapshot

IMAGES = data.load("digits", "train", image_size=8, limit=50)  # 6 steps of 8 an epoch


class Spy(keras.Model):
    """Keeps the batches that it is trained on; its loss becomes NaN at a step of choice."""

    def __init__(self, bad_step=None):
        super().__init__()
        self.scale = self.add_weight(shape=(), initializer="ones")
        self.mean = keras.metrics.Mean(name="loss")
        self.bad_step = bad_step
        self.seen = []
        self.compile("sgd", run_eagerly=True)

    def train_step(self, images):
        self.seen.append(images.numpy())
        self.mean.update_state(np.nan if len(self.seen) - 1 == self.bad_step else 1.0)
        return {"loss": self.mean.result()}


class Epochs(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.ended = []

    def on_epoch_end(self, epoch, logs=None):
        self.ended.append(epoch)


def seen(start, stop, seed=0):
    model, epochs = Spy(), Epochs()
    fit_steps(model, IMAGES, 8, seed, start, stop, [epochs])
    return np.array(model.seen), epochs.ended


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 18), (0, 6), (0, 4), (4, 18), (4, 6), (7, 9), (4, 15), (6, 18), (17, 18)],
)
def test_a_step_sees_the_same_batch_wherever_training_starts(start, stop):
    whole, _ = seen(0, 18)
    part, _ = seen(start, stop)
    np.testing.assert_array_equal(part, whole[start:stop])


def test_epochs_are_counted_as_in_a_whole_training():
    assert seen(0, 18)[1] == [0, 1, 2]
    assert seen(4, 15)[1] == [0, 1, 2]
    assert seen(7, 9)[1] == [1]


def test_another_seed_gives_another_order():
    assert not np.array_equal(seen(0, 6, seed=1)[0], seen(0, 6, seed=2)[0])


class Rates(Spy):
    """Keeps the learning rates of its steps."""

    def train_step(self, images):
        logs = super().train_step(images)
        self.seen[-1] = float(self.optimizer.learning_rate)
        return logs


@pytest.mark.parametrize("steps", [[0, 18], [0, 4, 7, 18], [4, 15], [7, 9]])
def test_a_linear_decay_follows_the_steps_of_the_training(steps):
    model = Rates()
    for start, stop in itertools.pairwise(steps):
        fit_steps(model, IMAGES, 8, 0, start, stop, [LinearDecay(0.5, 18, start)])
    expected = [0.5 * (1 - step / 18) for step in range(steps[0], steps[-1])]
    np.testing.assert_allclose(model.seen, expected, rtol=1e-6)


@pytest.mark.parametrize("steps", [[0, 18], [0, 4, 7, 18], [4, 15], [7, 9], [5, 18]])
def test_a_linear_decay_is_the_same_at_a_step_wherever_executions_of_several_begin(steps):
    model = Rates()
    model.compile("sgd", run_eagerly=True, steps_per_execution=3)
    for start, stop in itertools.pairwise(steps):
        fit_steps(model, IMAGES, 8, 0, start, stop, [LinearDecay(0.5, 18, start, every=3)])
    expected = [0.5 * (1 - step // 3 * 3 / 18) for step in range(steps[0], steps[-1])]
    np.testing.assert_allclose(model.seen, expected, rtol=1e-6)


@pytest.mark.parametrize("start", [0, 5, 12])
def test_a_decay_may_begin_in_the_middle_of_a_training(start):
    model = Rates()
    fit_steps(model, IMAGES, 8, 0, start, 18, [LinearDecay(0.5, 18, start, begin=0.5)])
    expected = [0.5 * min((18 - step) / 9, 1) for step in range(start, 18)]
    np.testing.assert_allclose(model.seen, expected, rtol=1e-6)


def test_an_epoch_that_is_no_whole_number_of_executions_is_refused():
    model = Rates()
    model.compile("sgd", run_eagerly=True, steps_per_execution=4)
    with pytest.raises(SettingError, match=r"must divide the 6 steps of an epoch.*execution=4"):
        fit_steps(model, IMAGES, 8, 0, 0, 6)
    assert not model.seen


@pytest.mark.parametrize(
    ("epoch_steps", "expected"), [(1, 1), (20, 20), (32, 32), (64, 32), (656, 16), (37, 1), (74, 2)]
)
def test_an_epoch_is_a_whole_number_of_executions(epoch_steps, expected):
    assert steps_at_once(epoch_steps, num_steps=2000) == expected
    assert steps_at_once(epoch_steps, num_steps=100) == 1, "to trace a loop takes longer"


@pytest.mark.parametrize("model", ["vae", "dcgan"])
def test_steps_that_are_executed_as_one_train_to_the_same_bits(model):
    recipe = resolve(model, "digits")
    trained = []
    for at_once in (1, 3):
        built = build_model(recipe, IMAGES.image_shape, 0, at_once)
        for start, stop in ((0, 4), (4, 15)):
            fit_steps(built, IMAGES, 8, 0, start, stop, [LinearDecay(1e-3, 18, start, every=3)])
        trained.append(take_snapshot(built, optimizer=True))
    one, other = trained
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


@pytest.mark.parametrize("bad_step", [0, 5, 8])
def test_a_loss_that_is_nan_ends_the_training_at_its_epoch(bad_step):
    model = Spy(bad_step)
    with pytest.raises(DivergedError, match=f"loss is nan in epoch {bad_step // 6 + 1}"):
        fit_steps(model, IMAGES, 8, 0, 0, 18)
    assert len(model.seen) == (bad_step // 6 + 1) * 6
