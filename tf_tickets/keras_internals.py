"""The only door to what Keras keeps private, so that an upgrade can break one file alone.

Keras has no public way to ask which layer calls which, what an optimizer remembers of a variable,
or for a training step to be traced again. Each function here is such a question, asked once. No
other file of the package uses an underscore name of Keras (tests/test_architecture.py), and each
function has a test of its own (tests/test_keras_internals.py).

Overriding what TensorFlow documents for subclasses, such as `TrackableResource._create_resource`,
is not such a use, and stands where it is needed.
"""

import copy
import dataclasses
import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence

import keras

from tf_tickets.errors import SettingError


def check_model(model) -> None:
    """Raise SettingError unless this is a Keras model."""
    if not isinstance(model, keras.Model):
        hint = " Load it first, by keras.models.load_model." if isinstance(model, str) else ""
        raise SettingError(
            f"`model` must be a Keras model. Received: a {type(model).__name__}.{hint}"
        )


# --- the graph of a model


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or an operation in a model's graph; a shared layer has several.

    Attributes:
        operation: what is called: a `keras.layers.Layer`, which may be a model, or a
            `keras.Operation`, such as the sum of two tensors.
        inputs: the Keras tensors that it is given, however its arguments hold them.
        outputs: the Keras tensors that it returns.
        args, kwargs: all that it is given, as it was passed.
    """

    operation: keras.Operation
    inputs: Sequence
    outputs: Sequence
    args: tuple
    kwargs: dict

    @property
    def arguments(self) -> dict:
        """What it is given, by the names that its `call` has for them."""
        return inspect.signature(self.operation.call).bind(*self.args, **self.kwargs).arguments


def graph_of(model) -> keras.Model | None:
    """Return the Functional model that a model is or, if Sequential and built, holds; else None."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


def calls_of(graph: keras.Model) -> list[Call]:
    """Return the calls of layers and operations in a Functional model, except for its inputs.

    Each comes after those whose outputs it needs.

    Args:
        graph: as `graph_of` returns it.
    """
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth]]
    return [
        Call(
            node.operation,
            node.input_tensors,
            node.outputs,
            node.arguments.args,
            node.arguments.kwargs,
        )
        for node in nodes
        if not node.is_input
    ]


def kind_of(operation: keras.Operation) -> str:
    """Return what an operation of a graph does, such as "Add" for `x + y` and `keras.ops.add`.

    The classes that Keras makes of operators have no public name.
    """
    return type(operation).__name__


# --- layers

# What Keras keeps of a layer's parts, besides the attributes that hold them.
_BOOKKEEPING = {
    *("_trainable_variables", "_non_trainable_variables", "_seed_generators", "_layers"),
    *("_metrics", "_tracker", "_functional", "_operations", "_operations_by_depth"),
    *("_nodes", "_nodes_by_depth", "_inbound_nodes", "_outbound_nodes"),
}
_OF_TENSORFLOW = ("_self_", "_tf_")  # how the names of its own bookkeeping begin


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model and all layers in it, at any depth; each comes after one that holds it."""
    return model._flatten_layers()


def parts_of(layer: keras.layers.Layer) -> list:
    """Return the variables, seed generators and layers right within a layer, not those in these."""
    variables = layer._trainable_variables + layer._non_trainable_variables
    return [*variables, *layer._seed_generators, *layer._layers]


def attributes_of(layer: keras.layers.Layer) -> list[tuple]:
    """Return name and value of a layer's attributes, except for what Keras itself notes of it."""
    return [
        (name, value)
        for name, value in vars(layer).items()
        if name not in _BOOKKEEPING and not name.startswith(_OF_TENSORFLOW)
    ]


def holders_of(model: keras.Model) -> dict[int, list[keras.layers.Layer]]:
    """Return the layers that have a variable as an attribute, by the variable's `id`.

    Args:
        model: built.

    Returns:
        For each variable that is some layer's attribute these layers, the outermost first.
    """
    holders = {}
    for layer in layers_of(model):
        attributes = {id(value) for value in vars(layer).values()}
        for variable in layer.variables:
            if id(variable) in attributes:
                holders.setdefault(id(variable), []).append(layer)
    return holders


def constraints_of(model: keras.Model) -> Iterator[tuple]:
    """Yield the constraints that layers have: the layer, its attribute's name, the constraint."""
    for layer in layers_of(model):
        for name, value in list(vars(layer).items()):
            if isinstance(value, keras.constraints.Constraint):
                yield layer, name, value


def built_shapes(layer: keras.layers.Layer) -> dict[str, tuple]:
    """Return the shapes of the inputs that a layer or model was built for, by argument.

    Returns:
        "input_shape" -> its shape, or structure of shapes, if it takes one argument; if it takes
        several, "<argument>_shape" -> likewise for each. Empty if it is not known.
    """
    config = (layer.get_build_config() or {}) if layer.built else {}
    if "shapes_dict" in config:
        return dict(config["shapes_dict"])
    return {"input_shape": config["input_shape"]} if "input_shape" in config else {}


def has_gate(attention: keras.layers.MultiHeadAttention) -> bool:
    """Return whether an attention layer multiplies its output by a gate, which has weights too."""
    return getattr(attention, "_use_gate", False)


# --- copies of networks and layers


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


# --- training


def retrace(model: keras.Model) -> None:
    """Let a model's compiled training step be traced again, if it has been made already.

    Otherwise the step would go on without what was set since, such as a constraint.
    """
    if getattr(model, "train_function", None) is not None:
        model.train_function = None
        model.make_train_function()


def train_step_of(model: keras.Model) -> Callable:
    """Return the training step that `fit` compiles: a function of an iterator over batches.

    It takes `steps_per_execution` batches, updates the model and returns the logs, which a device
    that works on its own may not have computed yet.
    """
    # TensorFlow's trainer returns the step only if it was made before.
    return model.make_train_function() or model.train_function


def compile_arguments(model: keras.Model) -> dict:
    """Return the arguments that `compile` was called with, as the very objects.

    `get_compile_config` has names instead, which bring back only what is registered.
    """
    return model._compile_config.config


# --- optimizers


def nested_optimizers(owner) -> Iterator[keras.optimizers.Optimizer]:
    """Yield the optimizers that a model or an optimizer has, however they are nested."""
    for value in _flattened(list(vars(owner).values())):
        if isinstance(value, keras.optimizers.Optimizer):
            yield value
            yield from nested_optimizers(value)


def _flattened(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flattened(item)
    else:
        yield value


def innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer that updates the weights: the one that a loss scale is put around."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def trained_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the variables that an optimizer was built for, in its order; none before that."""
    return optimizer._trainable_variables


def slots_of(optimizer: keras.optimizers.Optimizer) -> dict[int, list[keras.Variable]]:
    """Return what an optimizer remembers of each variable that it trains, by the variable's `id`.

    Slots are variables of the trained one's shape, such as Adam's two moments, accumulated
    gradients, and the moving average of `use_ema`. What has another shape, as Adafactor's factored
    moments, is left out.
    """
    inner = innermost(optimizer)
    trained = inner._trainable_variables
    slots = {id(variable): [] for variable in trained}
    for name, values in vars(inner).items():
        of_each = isinstance(values, list) and len(values) == len(trained)
        if of_each and name not in ("_trainable_variables", "_variables"):
            for variable, slot in zip(trained, values, strict=True):
                if getattr(slot, "shape", None) == variable.shape:
                    slots[id(variable)].append(slot)
    return slots


def moving_averages(optimizer: keras.optimizers.Optimizer, variable) -> list[keras.Variable]:
    """Return the moving average of a variable that an optimizer keeps (`use_ema`), or no element.

    An optimizer within this one is not looked into.
    """
    if not (optimizer.use_ema and optimizer.built):
        return []
    averages = optimizer._model_variables_moving_average
    pairs = zip(optimizer._trainable_variables, averages, strict=True)
    return [average for trained, average in pairs if trained is variable]


def schedule_of(optimizer: keras.optimizers.Optimizer) -> Callable | None:
    """Return the function that gives an optimizer its learning rate; None if that is a number.

    `optimizer.learning_rate` is the number of the moment in both cases.
    """
    return optimizer._learning_rate if callable(optimizer._learning_rate) else None


def unbuilt_copy(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a copy of an optimizer that is not built, part by part.

    Keras's own copy goes through the config, which need not bring back what a user has written.
    """
    copied = object.__new__(type(optimizer))
    inner = {id(each): unbuilt_copy(each) for each in nested_optimizers(optimizer)}
    strategy = optimizer._distribution_strategy
    memo = {id(optimizer): copied, id(strategy): strategy, **inner}
    vars(copied).update(copy.deepcopy(vars(optimizer), memo))
    return copied


def build_for(optimizer: keras.optimizers.Optimizer, variables: Sequence) -> None:
    """Build an optimizer for some variables, under the strategy that it was made under."""
    with optimizer._distribution_strategy.scope():
        optimizer.build(variables)
