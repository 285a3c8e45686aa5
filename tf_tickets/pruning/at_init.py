"""Scores of weights that nothing has trained yet: SNIP, GraSP and SynFlow.

Only the variables that are given are scored, kernels as `prunable` returns them; the code of SNIP's
authors scores biases too.
"""

import functools
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.pruning.masks import by_path


def snip_scores(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> dict[str, np.ndarray]:
    """Return how much the loss hangs on each weight: |w dL/dw|, higher means keep.

    Args:
        variables: Keras variables, as `prunable` returns them.
        losses: each returns the scalar loss of one batch; L is their mean. They are called in
            order. Whatever they assign to Keras variables, such as moving statistics and the states
            of random generators, holds until the last is done, and is dropped then.

    Returns:
        Variable path -> float array shaped like the variable.

    Raises:
        SettingError: if there are no losses.

    Source: Lee et al., 2019, arXiv:1810.02340 (S1).
    """
    gradients = _mean_gradients(variables, losses)
    return {
        variable.path: np.abs(variable.numpy() * gradient)
        for variable, gradient in zip(variables, gradients, strict=True)
    }


def grasp_scores(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> dict[str, np.ndarray]:
    """Return how much of the gradient's norm is lost without each weight: w (H g), higher is keep.

    g is the gradient of the loss L, and H its Hessian, both in the given variables alone. The
    authors rank by -w (H g) and remove the highest. They also divide the logits by a temperature of
    200; here there is none, as most losses of generative models have no logits to divide. Batch
    normalisation in training mode makes H that of its batches.

    Args:
        variables: Keras variables, as `prunable` returns them, of a model that computes in float32:
            in 16 bits a product of two derivatives is mostly rounding.
        losses: as `snip_scores` takes them; each is called twice, and has to give the same value.

    Returns:
        Variable path -> float array shaped like the variable, of either sign.

    Raises:
        SettingError: if there are no losses.

    Source: Wang et al., 2020, arXiv:2002.07376 (S2).
    """
    gradients = _mean_gradients(variables, losses)
    # H g is the gradient of <g, dL/dw> where g is held constant.
    slopes = [functools.partial(_slope, loss, variables, gradients) for loss in losses]
    products = _mean_gradients(variables, slopes)
    return {
        variable.path: variable.numpy() * product
        for variable, product in zip(variables, products, strict=True)
    }


def _mean_gradients(variables, losses):
    """Return the gradient of the losses' mean, an array for each variable."""
    if not losses:
        raise SettingError("There is no batch to score weights by: `losses` is empty.")
    total = [np.zeros(variable.shape, "float32") for variable in variables]
    with keras.StatelessScope():
        for loss in losses:
            total = [t + g.numpy() for t, g in zip(total, _gradients(loss, variables), strict=True)]
    return [gradient / len(losses) for gradient in total]


def _slope(loss, variables, direction):
    products = zip(_gradients(loss, variables), direction, strict=True)
    return tf.add_n([tf.reduce_sum(gradient * d) for gradient, d in products])


def _gradients(loss, variables):
    values = [variable.value for variable in variables]
    with tf.GradientTape() as tape:
        value = loss()
    return tape.gradient(value, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def synflow_scores(
    network: keras.Model,
    variables: Sequence[keras.Variable],
    twin: keras.Model | None = None,
) -> dict[str, np.ndarray]:
    """Return each weight's share in what flows through a network: |w| dR/d|w|, higher means keep.

    R is the sum of the outputs for an input of ones, with every parameter replaced by its absolute
    value. Each layer that all of the flow passes has the same sum of scores, R, however large it
    is, so pruning in many small steps, with new scores for each, empties none.

    No data are seen. Batch normalisation is in inference mode, so a fixed scale and shift. The
    scores are computed in float64, as R is a product over layers.

    Args:
        network: a built Functional or Sequential model.
        variables: Keras variables of it.
        twin: what `linear_twin(network)` returned, which saves making it anew for each step.

    Returns:
        Variable path -> float64 array shaped like the variable, none below 0.

    Source: Tanaka et al., 2020, arXiv:2006.05467 (S3).
    """
    twin = twin or linear_twin(network)
    originals = by_path(network.weights)
    for variable in twin.weights:
        variable.assign(np.abs(originals[variable.path].numpy().astype("float64")))
    copies = by_path(twin.weights)
    scored = [copies[variable.path].value for variable in variables]
    ones = [tf.ones((1, *given.shape[1:]), tf.float64) for given in twin.inputs]
    with tf.GradientTape() as tape:
        outputs = keras.tree.flatten(twin(ones if len(ones) > 1 else ones[0], training=False))
        flow = tf.add_n([tf.reduce_sum(output) for output in outputs])
    gradients = tape.gradient(flow, scored, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return {
        variable.path: (value * gradient).numpy()
        for variable, value, gradient in zip(variables, scored, gradients, strict=True)
    }


def linear_twin(network: keras.Model) -> keras.Model:
    """Return a float64 copy of a network, its weights new, without what saturates or divides.

    Activations become linear, as rectifiers are where all is positive: at the end of a generator
    the hyperbolic tangent of a large sum would let nothing flow back. A layer with a method
    `without_normalization` is replaced by what that returns, as through a kernel that is divided by
    its own norm no scaling of it flows. Where biases are zero, as they start, that only multiplies
    R by a constant.

    Raises:
        SettingError: if the network is neither Functional nor Sequential.
    """
    if not getattr(network, "inputs", None):
        raise SettingError(
            f"SynFlow scores a Functional or Sequential model, whose layers it can copy. "
            f"Received: {network.name}, a {type(network).__name__}."
        )
    return keras.models.clone_model(network, clone_function=_linear_layer, recursive=True)


def _linear_layer(layer):
    layer = layer.without_normalization() if hasattr(layer, "without_normalization") else layer
    config = {**layer.get_config(), "dtype": "float64"}
    if "activation" in config:
        config["activation"] = "linear"
    return type(layer).from_config(config)


def normalized_scores(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return scores divided by the sum of their magnitudes.

    Networks that are scored each by its own loss, such as a GAN's two, have scores of unlike
    scales. They are normalised by themselves before they are ranked together (S7, S8). Magnitudes,
    as the plain sum of scores of both signs may be nearly zero or negative, and turn their order.

    Raises:
        DivergedError: if all scores are zero, so that they choose nothing.
    """
    total = sum(float(np.abs(score).sum(dtype="float64")) for score in scores.values())
    if total == 0:
        raise DivergedError(
            f"All scores are zero, of {next(iter(scores))} and what is scored with it: no gradient "
            "reaches these weights, so there is nothing to choose them by."
        )
    return {path: score / total for path, score in scores.items()}
