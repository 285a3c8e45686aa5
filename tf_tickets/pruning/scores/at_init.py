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
from tf_tickets.keras_internals import copy_layer, copy_network, graph_of
from tf_tickets.protocols import WithoutNormalization


def snip_scores(
    variables: Sequence[keras.Variable], losses: Sequence[Callable[[], tf.Tensor]]
) -> dict[str, np.ndarray]:
    """Return how much the loss hangs on each weight: `abs(w dL/dw)`, higher means keep.

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
    """Return how much of the gradient's norm is lost without each weight: `w (H g)`.

    Higher means keep. g is the gradient of the loss L, and H its Hessian, both in the given
    variables alone. The authors rank by `-w (H g)` and remove the highest: the sign counts. They
    also divide the logits by a temperature of 200; here there is none, as most losses of generative
    models have no logits to divide. Batch normalisation in training mode makes H that of its
    batches.

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
    network: keras.Model, variables: Sequence[keras.Variable]
) -> dict[str, np.ndarray]:
    """Return each weight's share in what flows through a network; higher means keep.

    The score of w is `abs(w) dR/dabs(w)`. R is the sum of the outputs for an input of ones, with
    every parameter replaced by its absolute value. Each layer that all of the flow passes has the
    same sum of scores, R, however large it is: so pruning in many small steps, with new scores for
    each, does not empty one while others are full. `SynapticFlow` gives the scores of many steps
    faster.

    No data are seen. Batch normalisation is in inference mode, so a fixed scale and shift. The
    scores are computed in float64, as R is a product over layers.

    Args:
        network: a built Functional or Sequential model.
        variables: Keras variables of it.

    Returns:
        Variable path -> float64 array shaped like the variable; none below 0 where all that is
        between the layers of `linear_twin` keeps signs, as sums do and differences do not.

    Raises:
        SettingError: if the network is neither Functional nor Sequential.

    Source: Tanaka et al., 2020, arXiv:2006.05467 (S3).
    """
    return SynapticFlow(network)(variables)


class SynapticFlow:
    """Gives `synflow_scores` of one network as its weights are at each call; is traced once.

    Args:
        network: a built Functional or Sequential model.
    """

    def __init__(self, network: keras.Model):
        self._twin, layers = linear_twin(network)
        # By layers, as a layer's paths are of the model that it was first built in. A normalisation
        # that had no statistics keeps the 0 and 1 of its copy.
        self._pairs = [
            pair
            for layer, copy in layers
            for pair in zip(layer.weights, copy.weights, strict=False)
        ]
        self._scores = tf.function(self._scores_of_twin, jit_compile=False)

    def __call__(self, variables: Sequence[keras.Variable]) -> dict[str, np.ndarray]:
        """Return variable path -> float64 array for each of the variables."""
        path_of = {}
        for original, copy in self._pairs:
            copy.assign(np.abs(original.numpy().astype("float64")))
            path_of[id(copy)] = original.path
        paths = [path_of[id(copy)] for copy in self._twin.trainable_weights]
        scores = dict(zip(paths, self._scores(), strict=True))
        return {variable.path: scores[variable.path].numpy() for variable in variables}

    def _scores_of_twin(self):
        ones = [tf.ones((1, *given.shape[1:]), tf.float64) for given in self._twin.inputs]
        values = [copy.value for copy in self._twin.trainable_weights]
        with tf.GradientTape() as tape:
            outputs = self._twin(ones if len(ones) > 1 else ones[0], training=False)
            flow = tf.add_n([tf.reduce_sum(output) for output in keras.tree.flatten(outputs)])
        gradients = tape.gradient(flow, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return [value * gradient for value, gradient in zip(values, gradients, strict=True)]


def linear_twin(network: keras.Model) -> tuple[keras.Model, list]:
    """Return a float64 copy of a network, its weights new, without what saturates or divides.

    Beside it, pairs of a layer and its copy, whose weights begin with those of the layer.

    Activations become linear, as rectifiers are where all is positive: at the end of a generator
    the hyperbolic tangent of a large sum would let nothing flow back. Group and layer
    normalisations, which divide by the spread of what flows, become batch normalisations, whose
    statistics are fixed. A layer with a method `without_normalization` is replaced by what that
    returns, as through a kernel that is divided by its own norm no scaling of it flows. Where
    biases are zero, as they start, that only multiplies R by a constant.

    Operators and functions of `keras.ops`, normalisations over several axes and layers of other
    kinds stay as they are.

    Raises:
        SettingError: if the network is neither Functional nor Sequential.
    """
    if not getattr(network, "inputs", None):
        raise SettingError(
            f"SynFlow scores a Functional or Sequential model, whose layers it can copy. "
            f"Received: {network.name}, a {type(network).__name__}."
        )
    pairs = []

    def copy(layer):
        if graph_of(layer) is not None:
            return copy_network(layer, copy)
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation, such as the sum of two tensors
        pairs.append((layer, _linear_layer(layer)))
        return pairs[-1][1]

    return copy_network(network, copy), pairs


def _linear_layer(layer):
    if isinstance(layer, (keras.layers.ReLU, keras.layers.Softmax)):
        return keras.layers.Activation("linear", name=layer.name, dtype="float64")
    norms = (keras.layers.GroupNormalization, keras.layers.LayerNormalization)
    if isinstance(layer, norms) and np.size(layer.axis) == 1:
        return _fixed_norm(layer)
    if isinstance(layer, WithoutNormalization):
        layer = layer.without_normalization()
    linear = {"activation": "linear"} if "activation" in layer.get_config() else {}
    return copy_layer(layer, dtype="float64", **linear)


def _fixed_norm(layer):
    """Return a batch normalisation of the same scale and shift."""
    axis = int(np.squeeze(layer.axis))
    options = {"center": layer.center, "scale": layer.scale, "name": layer.name}
    return keras.layers.BatchNormalization(axis, **options, dtype="float64")


def normalized_scores(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return scores divided by the sum of their magnitudes.

    Networks that are scored each by its own loss, such as a GAN's two, have scores of unlike
    scales. They are normalised by themselves before they are ranked together (S7, S8). Magnitudes,
    as the plain sum of scores of both signs may be nearly zero or negative, and turn their order.

    Args:
        scores: variable path -> float array, of one network.

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
