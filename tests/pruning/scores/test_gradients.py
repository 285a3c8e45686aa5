"""What the scores by losses have in common: batches are averaged, and nothing else changes."""

import keras
import numpy as np
import pytest

import tf_tickets as tt
from tests.pruning.scores.small_regression import losses
from tf_tickets.errors import SettingError

L = keras.layers


def test_batches_are_averaged_and_not_only_the_first_counts(model):
    kernels = tt.prunable(model)
    for score in (tt.snip_scores, tt.grasp_scores):
        one, three = score(kernels, losses(model, [0])), score(kernels, losses(model))
        again = score(kernels, losses(model, [0, 0]))
        for path in one:
            np.testing.assert_allclose(one[path], again[path], rtol=1e-5, atol=1e-8)
            assert not np.allclose(one[path], three[path], rtol=1e-2)


def test_scoring_leaves_statistics_noise_and_weights_as_they_were():
    keras.utils.set_random_seed(0)
    stack = [L.Dense(4, name="a"), L.BatchNormalization(name="n"), L.Dropout(0.5, seed=1, name="d")]
    model = keras.Sequential([keras.Input((5,)), *stack, L.Dense(2, name="b")])
    before = tt.take_snapshot(model)
    assert any(path.startswith("random_state") for path in before)
    kernels = tt.prunable(model)
    for score in (tt.snip_scores, tt.grasp_scores):
        first, second = (score(kernels, losses(model)) for _ in range(2))
        assert all(np.array_equal(first[path], second[path]) for path in first)
    tt.synflow_scores(model, kernels)
    after = tt.take_snapshot(model)
    assert all(np.array_equal(before[path], after[path]) for path in before)


def test_noise_goes_on_from_batch_to_batch_while_they_are_scored():
    noise = keras.random.SeedGenerator(3)
    model = keras.Sequential([keras.Input((5,)), L.Dense(2, name="a")])
    drawn = []

    def loss():
        drawn.append(keras.random.normal((4, 5), seed=noise))
        return keras.ops.mean(keras.ops.square(model(drawn[-1])))

    tt.grasp_scores(tt.prunable(model), [loss, loss])
    first, second, *again = (keras.ops.convert_to_numpy(z) for z in drawn)
    assert not np.any(first == second)
    np.testing.assert_array_equal([first, second], again, "the second pass sees the same batches")


def test_there_must_be_a_batch(model):
    with pytest.raises(SettingError, match="`losses` is empty"):
        tt.snip_scores(tt.prunable(model), [])
