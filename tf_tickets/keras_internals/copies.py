"""Copies of networks and layers."""

import warnings
from collections.abc import Callable

import keras


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
