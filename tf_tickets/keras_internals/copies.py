"""Copies of networks and layers."""

import contextlib
import inspect
import tempfile
import textwrap
import warnings
from collections.abc import Callable

import keras
from keras.src.models.functional import Functional

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals.graphs import graph_of
from tf_tickets.keras_internals.layers import layers_of, parts_of, update_constants


def copy_network(network: keras.Model, copy_layer: Callable, inputs=None) -> keras.Model:
    """Return an uncompiled copy of a Functional or Sequential model, of the same class.

    `keras.models.clone_model` alone would compile it too, from a config that holds no more than the
    names of losses and metrics, and fails for those that are registered nowhere. Of a model whose
    class is the user's it makes a plain one, which trains by another `train_step`, or it calls
    `__init__` with less than that was given. Here only Keras's own part of `__init__` is run; what
    the user's part has set is for the caller to carry over.

    Args:
        network: a built model.
        copy_layer: function of a layer, or an operation of the graph, that returns its copy.
        inputs: Keras tensors to build the copy on, in the structure of the model's own; new ones
            like those by default.
    """
    plain = network
    if type(network) not in (Functional, keras.Sequential):
        graph = graph_of(network)
        plain = Functional(graph.input, graph.output, name=network.name)
    compiled, plain.compiled = plain.compiled, False
    try:
        made = keras.models.clone_model(plain, inputs, copy_layer)
    finally:
        plain.compiled = compiled
    if plain is not network:
        made = _of_class(type(network), made)
    if made.dtype_policy != network.dtype_policy:  # of the time that it was made at
        made.dtype_policy = network.dtype_policy
    return made


def _of_class(cls, made):
    """Return a model of a user's class that is made of what another one is made of."""
    copied = cls.__new__(cls)
    if isinstance(copied, keras.Sequential):
        layers = [layer for layer in made.operations if isinstance(layer, keras.layers.Layer)]
        keras.Sequential.__init__(copied, layers, name=made.name)
    else:
        Functional.__init__(copied, made.input, made.output, name=made.name)
    return copied


def copy_with_state(network: keras.Model) -> keras.Model:
    """Return an uncompiled copy of a Functional or Sequential model that answers as it does.

    Args:
        network: a built model.
    """
    copied = copy_network(network, copy_layer)
    for variable, target in zip(network.variables, copied.variables, strict=True):
        target.assign(variable.value)
    update_constants(copied)
    return copied


def copy_layer(layer: keras.layers.Layer, **changes) -> keras.layers.Layer:
    """Return a new layer of the same class and config, its weights not among it.

    Functions that it was given are handed on as they are, at any depth: a config holds the name of
    one, by which only registered ones are found, or a lambda's code, which nothing should run. Of a
    layer that wraps others, such as TimeDistributed, these are copied likewise. What a layer has
    adapted to and that is no weight, such as a vocabulary, is copied too.

    Args:
        layer: any layer, or an operation of a graph, which may be in several.
        **changes: what is to be different in the config.

    Raises:
        SettingError: if there is no such copy; the message names the layer.
    """
    if not isinstance(layer, keras.layers.Layer):
        return layer  # an operation, such as `keras.ops.relu` makes, has no state of its own
    if graph_of(layer) is not None:
        return copy_network(layer, copy_layer)
    try:
        copied = _copy_of_config(layer, changes)
        _carry_common(layer, copied, changes)
        _carry_assets(layer, copied)
    except SettingError:
        raise  # of a layer within
    except Exception as error:  # it is the user's own code that fails here, in any way
        for part in _layers_within(layer):
            copy_layer(part)  # which names it, if it is the one
        reason = textwrap.shorten(str(error).split("Exception encountered: ")[-1], 140)
        raise SettingError(
            f"The layer {layer.name} ({type(layer).__name__}) cannot be copied: {reason} Give its "
            "class a get_config() of all that its __init__ takes, or leave it out: pass the parts "
            "of the model before and after it one by one."
        ) from error
    return copied


def _layers_within(layer) -> list:
    return [part for part in parts_of(layer) if isinstance(part, keras.layers.Layer)]


def _copy_of_config(layer, changes):
    if type(layer) is keras.layers.Lambda:
        config = keras.layers.Layer.get_config(layer)  # less the functions
        given = (layer.function, layer._output_shape, layer.mask, layer.arguments)
        return keras.layers.Lambda(*given, **(config | changes))
    with warnings.catch_warnings():  # a lambda's code is dropped, not saved
        warnings.filterwarnings("ignore", "The object being serialized includes a `lambda`")
        config = layer.get_config()
    known, copies = _known_objects(layer), {}
    parts = _layers_within(layer)
    config = {key: _with_parts(value, parts, copies) for key, value in config.items()}
    config |= {key: _function(layer, key) for key in config if _function(layer, key) is not None}
    if isinstance(layer, keras.layers.TextVectorization):
        config = {key: _by_name(value, key, known) for key, value in config.items()}
    known[_Handed.__name__] = type(_Handed.__name__, (_Handed,), {"copies": copies})
    with keras.saving.custom_object_scope(known):
        return _of_config(type(layer), config | changes)


def _of_config(cls, config):
    """Return what a class makes of a config, if need be without what every layer has."""
    try:
        return cls.from_config(config)
    except TypeError:
        taken = inspect.signature(cls.__init__).parameters
        if any(each.kind is each.VAR_KEYWORD for each in taken.values()):
            raise
    # Keras's own get_config names these, and a user's __init__ need not take them.
    common = {"name", "trainable", "dtype"} - taken.keys()
    return cls.from_config({key: value for key, value in config.items() if key not in common})


def _carry_common(layer, copied, changes) -> None:
    """Give a copy what every layer has, where its config said nothing of it."""
    if "name" not in changes and copied.name != layer.name:
        copied.name = layer.name
    if "trainable" not in changes and copied.trainable != layer.trainable:
        copied.trainable = layer.trainable
    if "dtype" not in changes and copied.dtype_policy != layer.dtype_policy:
        copied.dtype_policy = layer.dtype_policy


class _Handed:
    """Stands in a config for a layer that was copied already.

    A config may only hold what describes a layer: so this describes which one of `copies` it is.
    """

    copies: dict

    @classmethod
    def from_config(cls, config):
        return cls.copies[config["number"]]

    @classmethod
    def described(cls, number):
        name = cls.__name__
        return {
            "module": None,
            "class_name": name,
            "registered_name": name,
            "config": {"number": number},
        }


def _with_parts(value, parts, copies):
    """Return a value of a config in which the layers within a layer are their copies."""
    if isinstance(value, list | tuple):
        return type(value)(_with_parts(each, parts, copies) for each in value)
    if not isinstance(value, dict):
        return value
    kind, inner = value.get("class_name"), value.get("config")
    if isinstance(inner, dict):
        for part in parts:
            if type(part).__name__ == kind and inner.get("name") == part.name:
                if part.name not in copies:
                    copies[part.name] = copy_layer(part)
                return _Handed.described(part.name)
    return {key: _with_parts(each, parts, copies) for key, each in value.items()}


def _by_name(value, name, known):
    """Return a function of a config as one that is registered is described, and make it known."""
    if not inspect.isroutine(value):
        return value
    known[name] = value
    return {"module": None, "class_name": "function", "config": name, "registered_name": name}


_OF_FUNCTIONS = ("activation", "initializer", "regularizer", "constraint")


def _function(layer, key):
    """Return the function that a layer was given for an entry of its config, if it is one."""
    if not key.endswith(_OF_FUNCTIONS):
        return None
    value = getattr(layer, key, getattr(layer, f"_{key}", None))
    # A layer may serve as an activation; the copy needs one of its own.
    return value if callable(value) and not isinstance(value, keras.layers.Layer) else None


def _known_objects(layer) -> dict:
    """Return the functions and classes that a layer uses, by their names, registered or not."""
    known = {}
    for value in (value for part in layers_of(layer) for value in vars(part).values()):
        named = value if inspect.isfunction(value) else type(value)
        if not (named.__module__ or "").startswith(("keras.", "builtins")):
            known[named.__name__] = named
    known.pop("<lambda>", None)
    return known


def _carry_assets(layer, copied) -> None:
    """Let a copy, and the layers in it, adapt to what those of the original have adapted to.

    As they do in a `.keras` file: what is no weight goes by `save_assets`. It is needed before the
    copy is called, as shapes may follow from it.
    """
    pairs = list(zip(layers_of(layer), layers_of(copied), strict=False))
    for old, new in pairs:
        if type(old) is type(new) and hasattr(old, "save_assets"):
            with tempfile.TemporaryDirectory() as folder, contextlib.suppress(NotImplementedError):
                if type(old).load_own_variables is not keras.layers.Layer.load_own_variables:
                    store = {}
                    old.save_own_variables(store)
                    new.load_own_variables(store)
                old.save_assets(folder)
                new.load_assets(folder)
