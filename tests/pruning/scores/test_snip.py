"""SNIP against a float64 reference."""

import numpy as np

import tf_tickets as tt
from tests.pruning.scores.small_regression import (
    central_differences,
    flat,
    losses,
    reference_loss,
    scores_in_order,
)


def test_snip_is_the_weight_times_the_gradient(model):
    kernels = tt.prunable(model)
    weights = flat(kernels)
    expected = np.abs(weights * central_differences(reference_loss, weights, 1e-5))
    found = scores_in_order(tt.snip_scores(kernels, losses(model)), kernels)
    # Differences are right to 1e-10 and float32 to 1e-7 of the largest.
    np.testing.assert_allclose(found, expected, atol=1e-6 * expected.max(), rtol=1e-5)
    assert expected.max() > 0.01
