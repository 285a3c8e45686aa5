import keras
import numpy as np
import pytest

from tf_tickets import prunable, random_scores

L = keras.layers


@pytest.fixture
def model():
    images = keras.Input((8, 8, 3))
    x = L.SeparableConv2D(4, 3, name="separable")(images)
    return keras.Model(images, L.Dense(5, name="dense")(L.Flatten()(x)))


def test_random_scores_follow_the_seed(model):
    kernels = prunable(model)
    first, again, other = (random_scores(kernels, seed) for seed in (1, 1, 2))
    assert list(first) == kernels.names
    for name, kernel in zip(kernels.names, kernels, strict=True):
        score = first[name]
        assert score.shape == tuple(kernel.shape) and 0 <= score.min() <= score.max() < 1
        np.testing.assert_array_equal(score, again[name])
        assert not np.any(score == other[name])
