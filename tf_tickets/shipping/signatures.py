"""What an exported model takes, what it returns, and by which names."""

import contextlib
import keyword
import re

import keras
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import (
    attributes_of,
    built_shapes,
    flattened,
    graph_of,
    layers_of,
)
from tf_tickets.protocols import named_components
from tf_tickets.shipping.packed_weights import PackedWeights

# Characters of an error: some go on to print a graph.
_LONGEST_REASON = 300


class Changing(Exception):
    """Some packed weights change at inference, so that they cannot be packed.

    Attributes:
        variables: these weights.
    """

    def __init__(self, variables):
        super().__init__()
        self.variables = variables


def signature(model: keras.Model, inputs, packed: PackedWeights):
    """Return the traced function that answers as `model` does, reading the packed weights.

    Args:
        model: built, of one argument.
        inputs: a `tf.TensorSpec` of what it takes, or a structure of them; None for any batch of
            what it was built for, or a batch of that size if it does not take any.
        packed: weights of it, or of a model that it is a part of.

    Raises:
        SettingError: if the model cannot answer so, with the reason in one line.
        Changing: if it assigns some of the packed weights.
    """
    specs = input_specs(model) if inputs is None else _checked(inputs)
    try:
        return _trace(model, specs, packed)
    except (SettingError, Changing):
        raise
    except Exception as error:  # whatever a model of someone else's stumbles on
        if inputs is None:
            with contextlib.suppress(SettingError):
                return signature(model, input_specs(model, any_batch=False), packed)
        raise SettingError(
            f"{model.name} cannot be called on {_described(specs)}. If it takes something else, "
            f"give `inputs`. The reason: {' '.join(str(error).split())[:_LONGEST_REASON]}"
        ) from error


def _checked(inputs):
    for each in keras.tree.flatten(inputs):
        if not isinstance(each, tf.TypeSpec):
            raise SettingError(
                "`inputs` must be a tf.TensorSpec, or a structure of them. Received: a "
                f"{type(each).__name__}"
            )
    return inputs


def _trace(model, specs, packed):
    names = tensor_names("input", specs)

    def answer(**tensors):
        inputs = keras.tree.pack_sequence_as(specs, [tensors[name] for name in names])
        outputs = _call(model, inputs, packed.read(model))
        pairs = zip(tensor_names("output", outputs), keras.tree.flatten(outputs), strict=True)
        return {name: _dense(model, output) for name, output in pairs if output is not None}

    named = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in zip(names, keras.tree.flatten(specs), strict=True)
    }
    return tf.function(answer, autograph=False).get_concrete_function(**named)


def _described(specs) -> str:
    names = tensor_names("input", specs)
    pairs = zip(names, keras.tree.flatten(specs), strict=True)
    return ", ".join(f"{n} of {tf.as_dtype(s.dtype).name} {s.shape}" for n, s in pairs)


def _call(model, inputs, read):
    """Return what a model answers where some of its variables have other values."""
    with keras.StatelessScope(read) as scope:
        before = {id(variable): scope.get_current_value(variable) for variable, _ in read}
        outputs = model(inputs, training=False)
    # The scope withholds what the model assigns, such as the next state of a random seed.
    variables = _variables_of(model)
    if not set(scope.state_mapping) <= set(variables):
        raise SettingError(
            f"{model.name} changes a variable at inference that is no attribute of a layer. "
            "Make it one."
        )
    after = [(variable, scope.get_current_value(variable)) for variable in variables.values()]
    changed = [pair for pair in after if pair[1] is not before.get(id(pair[0]))]
    if changing := [variable for variable, _ in changed if id(variable) in before]:
        raise Changing(changing)
    for variable, value in changed:
        variable.assign(value)
    return outputs


def _variables_of(model) -> dict[int, keras.Variable]:
    """Return all variables of a model by `id`, also those that Keras does not list.

    The states of a stateful recurrent layer are such.
    """
    attributes = [value for each in layers_of(model) for _, value in attributes_of(each)]
    held = flattened(attributes)
    variables = [*model.variables, *(value for value in held if isinstance(value, keras.Variable))]
    return {id(variable): variable for variable in variables}


def _dense(model, output) -> tf.Tensor:
    """Return an output as the tensor that it is, or else raise SettingError."""
    if isinstance(output, tf.RaggedTensor | tf.SparseTensor):
        raise SettingError(
            f"{model.name} returns a {type(output).__name__}, but a signature returns dense "
            "tensors alone. Let the model make it dense, by `to_tensor()` or `tf.sparse.to_dense`."
        )
    return tf.convert_to_tensor(output)


def input_specs(model: keras.Model, any_batch: bool = True):
    """Return what `model` takes: a `tf.TensorSpec`, or a structure of them.

    Args:
        model: built, of one argument.
        any_batch: whether it is to take any number of inputs, or as many as it was built for. A
            model with a stateful layer takes as many as it has states in any case.

    Raises:
        SettingError: if that is not known, or no signature can take it.
    """
    any_batch = any_batch and not any(getattr(each, "stateful", False) for each in layers_of(model))

    def spec(shape, dtype):
        return tf.TensorSpec([None, *shape[1:]] if any_batch else shape, dtype)

    first = model.layers[0] if isinstance(model, keras.Sequential) and model.layers else None
    if graph_of(first) is not None:
        return input_specs(first, any_batch)  # its own graph knows no keys of a dict
    if (graph := graph_of(model)) is not None:
        return keras.tree.map_structure(
            lambda tensor: spec(_dense_input(model, tensor).shape, tensor.dtype), graph.input
        )
    shapes = built_shapes(model)
    if len(shapes) > 1:
        raise SettingError(
            f"{model.name} takes several arguments: {', '.join(shapes)}. "
            "Only models of one argument, which may be a dict or a list, can be exported."
        )
    if "input_shape" not in shapes and named_components(model):
        return input_specs(next(iter(named_components(model).values())), any_batch)
    if "input_shape" not in shapes:
        raise SettingError(
            f"{model.name} is not built, so its input shape is not known. "
            "Call it on a batch of inputs before exporting it; of a model that is not to be "
            "called, such as a GAN of two networks, export these one by one."
        )
    return keras.tree.map_shape_structure(
        lambda shape: spec(shape, model.variable_dtype), shapes["input_shape"]
    )


def _dense_input(model, tensor):
    for kind in ("ragged", "sparse"):
        if getattr(tensor, kind, False):
            raise SettingError(
                f"{model.name} takes the {kind} input {tensor.name}, but a signature takes dense "
                "tensors alone. Build the model on a dense input, padded and masked."
            )
    return tensor


def tensor_names(kind: str, structure) -> list[str]:
    """Return a name for each tensor of a structure: keys where all have one, or else numbers.

    Layers' own names would not do: most are counted up within a process.

    Args:
        kind: "input" or "output".
        structure: of tensors, or whatever stands for them.

    Returns:
        "inputs" for a tensor alone or the one of a list; the keys of a dict, of the innermost one
        if these differ, or else all keys and places on the way, such as "left_0"; otherwise
        "input_0" and so on.
    """
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    if all(path and isinstance(path[-1], str) for path in paths):
        names = [_as_name(kind, path[-1]) for path in paths]
        if len(set(names)) == len(names):
            return names
    if all(path and isinstance(path[0], str) for path in paths):
        names = [_as_name(kind, "_".join(map(str, path))) for path in paths]
        if len(set(names)) == len(names):
            return names
    if len(paths) == 1:
        return [f"{kind}s"]
    return [f"{kind}_{number}" for number in range(len(paths))]


def _as_name(kind: str, key: str) -> str:
    """Return a key as a name that a signature can have, for a tensor that is passed by keyword."""
    name = re.sub(r"\W", "_", key)
    plain = name.isidentifier() and not name.startswith("_") and name != "self"
    return name if plain and not keyword.iskeyword(name) else f"{kind}_{name}"
