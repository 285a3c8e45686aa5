"""How weights begin: their spread, and that nothing changes unless it is asked for."""

import random

import numpy as np
import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import models


def weights_of(seed=0, **options):
    """Return name -> arrays of a new GAN that has dense layers, normalizations and biases."""
    random.seed(seed)
    model = models.build("sngan-resnet", (8, 8, 1), width=16, **options)
    return {v.path: v.numpy() for v in model.trainable_variables}


@pytest.fixture(scope="module")
def usual():
    return weights_of()


def spread(weights, end):
    """Return the mean and deviation of all weights whose name ends so."""
    values = np.concatenate([v.ravel() for name, v in weights.items() if name.endswith(end)])
    return values.mean(), values.std()


def test_the_default_draws_as_keras_does(usual):
    explicit = weights_of(initializer="keras")
    for name, value in usual.items():
        np.testing.assert_array_equal(explicit[name], value, err_msg=name)
    assert spread(usual, "gamma") == (1, 0)


@pytest.mark.parametrize(("name", "scales"), [("dcgan", True), ("sngan", True), ("pytorch", False)])
def test_scales_are_drawn_about_one_where_the_authors_do(usual, name, scales):
    drawn = weights_of(initializer=name)
    mean, deviation = spread(drawn, "gamma")
    assert mean == pytest.approx(1, abs=0.005)
    assert deviation == pytest.approx(0.02 if scales else 0, rel=0.2)
    kernels = [path for path in usual if path.endswith("kernel")]
    same = [np.array_equal(usual[path], drawn[path]) for path in kernels]
    assert all(same) if name == "sngan" else not any(same)
    assert spread(drawn, "bias") == spread(drawn, "beta") == (0, 0)


def test_kernels_of_dcgan_are_normal():
    mean, deviation = spread(weights_of(initializer="dcgan"), "kernel")
    assert mean == pytest.approx(0, abs=0.001) and deviation == pytest.approx(0.02, rel=0.02)


def test_kernels_of_pytorch_reach_to_one_over_the_root_of_their_inputs():
    for path, value in weights_of(initializer="pytorch").items():
        if path.endswith("kernel") and value.size > 500:
            bound = np.prod(value.shape[:-1]) ** -0.5
            assert 0.97 * bound < np.abs(value).max() <= bound, path


def test_the_seed_decides_the_weights():
    one, again, other = (weights_of(seed, initializer="dcgan") for seed in (1, 1, 2))
    for path, value in one.items():
        np.testing.assert_array_equal(value, again[path])
    kernels = [path for path in one if path.endswith("kernel")]
    assert not any(np.array_equal(one[path], other[path]) for path in kernels)
    alike = [v.ravel()[:9].tolist() for path, v in one.items() if path.endswith("kernel")]
    assert len({tuple(values) for values in alike}) == len(alike), "each has its own"


def test_an_unknown_name_is_refused():
    with pytest.raises(SettingError, match="must be one of keras, pytorch, normal, dcgan"):
        models.build("vae", (8, 8, 1), initializer="radford")
