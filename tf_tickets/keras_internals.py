"""A Keras model's graph: what calls what, in an order in which it can be computed, and copies."""

import warnings
from collections.abc import Callable

import keras

from tf_tickets.errors import SettingError


def check_model(model) -> None:
    """Raise SettingError unless this is a Keras model."""
    if not isinstance(model, keras.Model):
        hint = " Load it first, by keras.models.load_model." if isinstance(model, str) else ""
        raise SettingError(
            f"`model` must be a Keras model. Received: a {type(model).__name__}.{hint}"
        )


def graph_of(model) -> keras.Model | None:
    """Return the Functional model that a model is or, if Sequential and built, holds; else None."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


def calls_of(graph: keras.Model) -> list:
    """Return the calls of layers and operations in a Functional model, less its inputs.

    Each is a Keras node, with `operation`, `input_tensors` and `outputs`; a shared layer has one
    for every call. None comes before what it needs. Keras has no public way to ask this.
    """
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth]]
    return [node for node in nodes if not node.is_input]


def copy_network(network: keras.Model, copy_layer: Callable, inputs=None) -> keras.Model:
    """Return an uncompiled copy of a Functional or Sequential model.

    `keras.models.clone_model` alone would compile it too, from a config that holds no more than the
    names of losses and metrics, and fails for those that are registered nowhere.

    Args:
        network: a built model.
        copy_layer: function of a layer, or an operation of the graph, that returns its copy.
        inputs: Keras tensors to build the copy on, in the structure of the model's own; new ones
            like those by default.
    """
    compiled, network.compiled = network.compiled, False
    try:
        return keras.models.clone_model(network, inputs, copy_layer)
    finally:
        network.compiled = compiled


def copy_layer(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """Return a new layer of the same class and config.

    Functions that it was given are handed on as they are: a config holds the name of one, by which
    only registered ones are found, or a lambda's code, which nothing should run.

    Args:
        layer: any layer but a model.
        **changes: what is to be different in the config.
    """
    if type(layer) is keras.layers.Lambda:
        config = keras.layers.Layer.get_config(layer)  # less the functions
        given = (layer.function, layer._output_shape, layer.mask, layer.arguments)
        return keras.layers.Lambda(*given, **(config | changes))
    with warnings.catch_warnings():  # a lambda's code is dropped, not saved
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        config = layer.get_config()
    config |= {key: getattr(layer, key) for key in config if _is_function(layer, key)}
    return type(layer).from_config(config | changes)


def _is_function(layer, key):
    kinds = ("activation", "initializer", "regularizer", "constraint")
    value = getattr(layer, key, None)
    # A layer may serve as an activation; the copy needs one of its own.
    return key.endswith(kinds) and callable(value) and not isinstance(value, keras.layers.Layer)
