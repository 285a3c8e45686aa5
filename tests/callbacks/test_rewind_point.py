import keras
import numpy as np
import pytest

import tf_tickets as tt
from tests.callbacks.small_training import INPUTS, TARGETS, Interrupt, dense_net, fit
from tf_tickets.callbacks import rewind_point


def weights_after(num_steps):
    model = dense_net()
    for step in range(num_steps):
        batch = slice(8 * (step % 4), 8 * (step % 4) + 8)
        model.train_on_batch(INPUTS[batch], TARGETS[batch])
    return model.get_weights()


@pytest.mark.parametrize("step", [0, 3, 4, 8])
def test_it_keeps_the_weights_of_exactly_that_step(step):
    rewind = tt.callbacks.RewindPoint(step)
    model = dense_net()
    fit(model, rewind)
    trained = model.get_weights()
    rewind.rewind()
    for value, expected in zip(model.get_weights(), weights_after(step), strict=True):
        np.testing.assert_array_equal(value, expected)
    assert step == 8 or not np.array_equal(trained[0], model.get_weights()[0])


def test_later_trainings_do_not_change_it():
    model, rewind = dense_net(), tt.callbacks.RewindPoint(2)
    fit(model, rewind)
    kept = rewind.weights
    model.compile("adam", "mse")
    fit(model, rewind)
    assert rewind.weights is kept


def test_a_ticket_starts_from_it():
    model, rewind = dense_net(), tt.callbacks.RewindPoint(2)
    fit(model, rewind)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.5)
    ticket = rewind.ticket(masks, {"found": "here"})
    assert ticket.config == {"rewind_step": 2, "found": "here"}
    for path, mask in masks.items():
        np.testing.assert_array_equal(ticket.weights[path], rewind.weights[path] * mask)


@pytest.mark.parametrize("rewind_first", [True, False])
def test_a_resumed_training_finds_it_in_its_file(tmp_path, rewind_first):
    def callbacks():
        rewind = tt.callbacks.RewindPoint(2, tmp_path / "rewind.safetensors")
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        return rewind, [rewind, backup] if rewind_first else [backup, rewind]

    before, both = callbacks()
    with pytest.raises(KeyboardInterrupt):
        fit(dense_net(), *both, Interrupt())
    rewind, both = callbacks()
    fit(dense_net(), *both)
    for path, value in before.weights.items():
        np.testing.assert_array_equal(rewind.weights[path], value)


def test_a_training_that_begins_anew_takes_no_older_file(tmp_path):
    path = tmp_path / "rewind.safetensors"
    fit(dense_net(), tt.callbacks.RewindPoint(2, path))
    other = dense_net()
    other.get_layer("first").kernel.assign(np.ones((8, 32)))
    rewind = tt.callbacks.RewindPoint(2, path)
    fit(other, rewind)
    stored = tt.Ticket.load(path)
    for name in rewind.weights:
        np.testing.assert_array_equal(stored.weights[name], rewind.weights[name])


def test_a_step_that_was_missed_is_an_error(tmp_path):
    model = dense_net()
    fit(model)
    with pytest.raises(tt.SettingError, match="step 2 was not seen: 8 updates had been made"):
        fit(model, tt.callbacks.RewindPoint(2, tmp_path / "absent"))
    with pytest.raises(tt.SettingError, match="step 3 was not seen"):
        fit(dense_net(steps_per_execution=2), tt.callbacks.RewindPoint(3))


def test_the_file_of_another_step_is_refused(tmp_path):
    path = tmp_path / "rewind.safetensors"
    model = dense_net()
    fit(model, tt.callbacks.RewindPoint(1, path))
    with pytest.raises(tt.SettingError, match="of step 1, not 2"):
        fit(model, tt.callbacks.RewindPoint(2, path))


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    rewind = tt.callbacks.RewindPoint(0, tmp_path / "file" / "rewind.safetensors")
    with pytest.raises(tt.FileError, match=r"Cannot write .*rewind\.safetensors"):
        fit(dense_net(), rewind)


def test_before_it_is_reached_there_is_nothing_to_rewind_to():
    rewind = tt.callbacks.RewindPoint(100)
    fit(dense_net(), rewind)
    for use in (rewind.rewind, lambda: rewind.ticket(tt.Masks({}))):
        with pytest.raises(tt.SettingError, match="step 100 was not reached"):
            use()


@pytest.mark.parametrize("step", [-1, 2.5])
def test_what_is_no_step_is_refused(step):
    with pytest.raises(tt.SettingError, match="`step` must be a whole number, at least 0"):
        tt.callbacks.RewindPoint(step)


def test_in_a_loop_of_ones_own_a_model_without_weights_has_no_beginning_to_return_to():
    model = keras.Sequential([keras.layers.Dense(1)], name="late")
    callbacks = keras.callbacks.CallbackList([tt.callbacks.RewindPoint(0)], model=model)
    callbacks.on_train_begin()
    with pytest.raises(tt.SettingError, match="late has no weights yet to return to: build it"):
        callbacks.on_train_batch_begin(0)


def test_with_another_model_it_begins_anew():
    """As of a list of callbacks that is used for each fold of a cross-validation."""
    first, second = dense_net(), dense_net()
    second.get_layer("last").kernel.assign_add(np.ones((32, 1)))
    start = second.get_weights()
    rewind = tt.callbacks.RewindPoint(0)
    fit(first, rewind)
    fit(second, rewind)
    rewind.rewind()
    for value, expected in zip(second.get_weights(), start, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_model_that_is_never_called_has_one():
    """As a GAN of two networks, which are built and the whole is not."""

    class Pair(keras.Model):
        def __init__(self):
            super().__init__(name="pair")
            self.network = dense_net()

        def train_step(self, data):
            return self.network.train_step(data)

    model = Pair()
    model.compile()
    model.network.optimizer.build(model.network.trainable_variables)
    rewind = tt.callbacks.RewindPoint(0)
    before = model.network.get_weights()
    fit(model, rewind)
    rewind.rewind()
    for value, expected in zip(model.network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)


def test_a_network_from_its_file_returns_to_it_too(tmp_path):
    """Keras leaves the own name of a Sequential that it loads out of paths; names have none."""
    model, rewind = dense_net(), tt.callbacks.RewindPoint(2, tmp_path / "rewind.safetensors")
    fit(model, rewind)
    model.save(tmp_path / "net.keras")
    loaded = keras.models.load_model(tmp_path / "net.keras")
    tt.Ticket.load(tmp_path / "rewind.safetensors").apply(loaded)
    kernel = loaded.get_layer("first").kernel
    assert kernel.path != model.get_layer("first").kernel.path
    np.testing.assert_array_equal(kernel.numpy(), rewind.weights["first/kernel"])


def test_of_several_workers_the_chief_alone_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(rewind_point, "is_chief", lambda strategy: False)
    rewind = tt.callbacks.RewindPoint(2, tmp_path / "rewind.safetensors")
    fit(dense_net(), rewind)
    assert rewind.weights and not list(tmp_path.iterdir())


@pytest.mark.parametrize("step", [float("nan"), float("inf"), "x", None, -0.5, 1j, [1]])
def test_a_step_that_is_no_whole_number_is_named(step):
    with pytest.raises(tt.SettingError, match=r"`step` must be a whole number.*Received: step="):
        tt.callbacks.RewindPoint(step)
