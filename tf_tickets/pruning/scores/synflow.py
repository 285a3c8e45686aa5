"""SynFlow: each weight's share in what flows through a network, before anything is trained."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model, copy_layer, copy_network, graph_of
from tf_tickets.names import named
from tf_tickets.protocols import WithoutNormalization, has_ability


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
        variables: Keras variables of it, which may be named by a model that it is a part of.

    Returns:
        Variable name -> float64 array shaped like the variable; none below 0 where all that is
        between the layers of `linear_twin` keeps signs, as sums do and differences do not.

    Raises:
        SettingError: if the network is neither Functional nor Sequential, or has no such variable.

    Source: Tanaka et al., 2020, arXiv:2006.05467.
    """
    return SynapticFlow(network)(variables)


class SynapticFlow:
    """Gives `synflow_scores` of one network as its weights are at each call; is traced once.

    Args:
        network: a built Functional or Sequential model.
    """

    def __init__(self, network: keras.Model):
        self._twin, layers = linear_twin(network)
        # By layers; a normalisation that had no statistics keeps the 0 and 1 of its copy.
        self._pairs = [
            pair
            for layer, copy in layers
            for pair in zip(layer.weights, copy.weights, strict=False)
        ]
        self._scores = tf.function(self._scores_of_twin, jit_compile=False)

    def __call__(self, variables: Sequence[keras.Variable]) -> dict[str, np.ndarray]:
        """Return name -> float64 array for each of the variables.

        Raises:
            SettingError: if one is no weight of the network that its twin has.
        """
        asked, original_of = named(variables), {}
        for original, copy in self._pairs:
            copy.assign(np.abs(original.numpy().astype("float64")))
            original_of[id(copy)] = id(original)
        originals = [original_of[id(copy)] for copy in self._twin.trainable_weights]
        self._check_there(asked, originals)
        scores = dict(zip(originals, self._scores(), strict=True))
        return {name: scores[id(v)].numpy() for name, v in asked.items()}

    def _check_there(self, variables, ids):
        for name, variable in variables.items():
            if id(variable) not in ids:
                raise SettingError(
                    f"{name} is no variable of {self._twin.name} that SynFlow scores."
                )

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
    check_model(network)
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
    if has_ability(layer, WithoutNormalization):
        layer = layer.without_normalization()
    linear = {"activation": "linear"} if "activation" in layer.get_config() else {}
    return copy_layer(layer, dtype="float64", **linear)


def _fixed_norm(layer):
    """Return a batch normalisation of the same scale and shift."""
    axis = int(np.squeeze(layer.axis))
    options = {"center": layer.center, "scale": layer.scale, "name": layer.name}
    return keras.layers.BatchNormalization(axis, **options, dtype="float64")
