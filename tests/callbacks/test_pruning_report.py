import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tf_tickets as tt
from tf_tickets.callbacks import pruning_report

L = keras.layers
INPUTS = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
EACH_HALF = [0.0, 0.5, 0.5]


@pytest.fixture
def model():
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((8,)), L.Dense(4, name="a"), L.Dense(8, name="b")])
    model.compile("adam", "mse")
    return model


def train(model, *callbacks):
    """Prune half of 8 * 4 + 4 * 8 weights after the first of three epochs."""
    schedule = tt.ConstantSparsity(0.5, begin_step=5, end_step=5, frequency=1)
    pruning = tt.callbacks.PruneLowMagnitude(schedule, pool="layer")
    return model.fit(
        INPUTS, INPUTS, batch_size=8, epochs=3, callbacks=[pruning, *callbacks], verbose=0
    )


def test_the_log_gets_the_fraction_of_zeros(model):
    assert train(model, tt.callbacks.PruningReport()).history["weight_sparsity"] == EACH_HALF


def test_tensorboard_gets_it_kernel_by_kernel(model, tmp_path):
    train(model, tt.callbacks.PruningReport(tmp_path))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    kernels = [f"weight_sparsity/{name}" for name in tt.prunable(model).names]
    for tag in ("weight_sparsity", *kernels):
        points = events.Tensors(tag)
        assert [point.step for point in points] == [0, 1, 2]
        assert [float(tf.make_ndarray(point.tensor_proto)) for point in points] == EACH_HALF


def test_of_several_workers_the_chief_alone_writes(model, tmp_path, monkeypatch):
    monkeypatch.setattr(pruning_report, "is_chief", lambda strategy: False)
    history = train(model, tt.callbacks.PruningReport(tmp_path)).history
    assert history["weight_sparsity"] == EACH_HALF and not list(tmp_path.iterdir())


def test_only_what_is_in_scope_counts(model):
    report = tt.callbacks.PruningReport(scope=lambda kernel: kernel.path == "absent")
    with pytest.raises(tt.SettingError, match="matches none"):
        train(model, report)


def test_a_kernel_that_has_yet_to_learn_counts_as_whole(model):
    model.get_layer("b").kernel.assign(np.zeros((4, 8)))
    model.get_layer("a").kernel.assign(np.eye(8, 4))
    model.compile(keras.optimizers.SGD(0.0), "mse")
    history = model.fit(INPUTS, INPUTS, callbacks=[tt.callbacks.PruningReport()], verbose=0)
    assert history.history["weight_sparsity"] == [28 / 64]
