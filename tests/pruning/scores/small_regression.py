"""The losses of three batches, in Keras and in a float64 reference."""

import keras
import numpy as np

RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(3, 16, 5))
TARGETS = RANDOM.normal(size=(3, 16, 2))
SHAPES = [(5, 4), (4, 2)]


def losses(model, batches=range(3)):
    def loss_of(number):
        outputs = model(INPUTS[number].astype("float32"), training=True)
        return keras.ops.mean(keras.ops.square(outputs - TARGETS[number].astype("float32")))

    return [lambda number=number: loss_of(number) for number in batches]


def reference_loss(weights):
    """The mean of the three batches' losses, in float64, of all weights in one vector."""
    a, b = weights[:20].reshape(SHAPES[0]), weights[20:].reshape(SHAPES[1])
    return np.mean((np.tanh(INPUTS @ a) @ b - TARGETS) ** 2)


def central_differences(function, weights, step):
    """The gradient of a function of a vector; its error is of the order of step^2."""
    units = step * np.eye(weights.size)
    return np.array([(function(weights + u) - function(weights - u)) / (2 * step) for u in units])


def flat(kernels):
    return np.concatenate([kernel.numpy().ravel().astype("float64") for kernel in kernels])


def scores_in_order(scores, kernels):
    assert list(scores) == kernels.names
    assert [score.shape for score in scores.values()] == [tuple(k.shape) for k in kernels]
    return np.concatenate([score.ravel() for score in scores.values()])
