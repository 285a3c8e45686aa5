import keras
import numpy as np
import pytest

from tf_tickets import SettingError, magnitude_scores, prunable

L = keras.layers


@pytest.fixture
def model():
    images = keras.Input((8, 8, 3))
    x = L.SeparableConv2D(4, 3, name="separable")(images)
    return keras.Model(images, L.Dense(5, name="dense")(L.Flatten()(x)))


def test_magnitude_scores_are_absolute_values(model):
    kernels = prunable(model, model.get_layer("dense"))
    (kernel,) = kernels
    value = np.random.default_rng(0).normal(size=kernel.shape).astype("float32")
    value[0, :3] = [-2.0, 0.0, -0.0]
    kernel.assign(value)
    for scores in (magnitude_scores(kernels), magnitude_scores([kernel])):
        assert list(scores) == ["dense/kernel"]
        np.testing.assert_array_equal(scores["dense/kernel"], np.abs(value))
        assert scores["dense/kernel"].dtype == np.float32


def test_a_model_is_not_scored_as_if_it_were_variables(model):
    with pytest.raises(SettingError, match=r"tt\.prunable\(model\).* Received: a Functional"):
        magnitude_scores(model)
