"""GraSP against a float64 reference."""

import numpy as np

import tf_tickets as tt
from tests.pruning.scores.small_regression import (
    central_differences,
    flat,
    losses,
    reference_loss,
    scores_in_order,
)


def test_grasp_is_the_weight_times_the_hessian_times_the_gradient(model):
    kernels = tt.prunable(model)
    weights = flat(kernels)

    def gradient(at):
        return central_differences(reference_loss, at, 1e-4)

    def flow(at):
        return 0.5 * np.sum(gradient(at) ** 2)  # whose gradient is H g

    products = central_differences(flow, weights, 1e-3)
    found = scores_in_order(tt.grasp_scores(kernels, losses(model)), kernels)
    # The outer differences err by 1e-6 times third derivatives that are of the order of 1.
    np.testing.assert_allclose(found, weights * products, atol=2e-5 * np.abs(products).max())
    assert found.min() < -1e-3 and found.max() > 1e-3


def test_removing_what_grasp_would_keep_lowers_the_gradients_norm(model):
    """The sign: keeping the highest is keeping what gradient flow hangs on."""
    kernels = tt.prunable(model)
    weights = flat(kernels)
    scores = scores_in_order(tt.grasp_scores(kernels, losses(model)), kernels)

    def norm_without(index):
        shrunk = weights.copy()
        shrunk[index] *= 0.99
        return np.linalg.norm(central_differences(reference_loss, shrunk, 1e-5))

    assert norm_without(scores.argmax()) < norm_without(scores.argmin())
