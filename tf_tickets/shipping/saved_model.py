"""A SavedModel of any built Keras model: as it is, or with its zeros left out of the files."""

import os
import pathlib
import re

import keras
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import write_whole_folder
from tf_tickets.keras_internals import built_shapes
from tf_tickets.names import names_of
from tf_tickets.protocols import named_components
from tf_tickets.shipping.packed_weights import PackedWeights, worth_packing

def export_saved_model(
    model: keras.Model, path: str | os.PathLike, weights: str = "packed"
) -> pathlib.Path:
    """Write `model` as a SavedModel for inference and return its path.

    Any TensorFlow runtime that runs initializers can serve the result: it needs neither this
    package nor Keras. The signature `serving_default` is `model(inputs, training=False)` for any
    batch size; each entry of `model.components`, where there is one, adds a signature of its own
    name. A single tensor is called `inputs` or `outputs`; those of a dict go by their keys, and
    those of a list are `input_0`, `output_0` and so on.

    "packed" makes a pruned model small on disk: of the float32 weights whose exact zeros make it
    worth while, only the other values and the gaps between them are stored, under a checksum. A
    convolutional net of 2.4 M weights took 0.10 of its dense size at 90 % sparsity, 0.02 at 99 %;
    in a small net the graph weighs more. The weights are unpacked once, at load, so memory and
    time at inference are those of the dense model. "dense" stores all weights as they are.

    The folder appears under `path` only when it is whole; an older SavedModel there is replaced.

    Args:
        model: built Functional, Sequential or subclassed model of one (possibly nested) argument.
            A subclassed model is given inputs of its `variable_dtype` and of the shape that it
            was built for, or else what the first of its components takes.
        path: the folder to write; missing parents are made.
        weights: "packed" or "dense".

    Returns:
        `path`.

    Raises:
        SettingError: if the model is not built, takes several arguments, or `weights` is unknown.
        FileError: if the folder cannot be written, or `path` holds something else.

    Example:
        >>> export_saved_model(model, "exported")
        >>> answer = tf.saved_model.load("exported").signatures["serving_default"]
        >>> answer(inputs=images)["outputs"]
    """
    if weights not in ("packed", "dense"):
        raise SettingError(f'`weights` must be "packed" or "dense". Received: weights={weights!r}.')
    path = pathlib.Path(path)
    models = {"serving_default": model, **named_components(model)}
    specs = {name: _input_specs(part) for name, part in models.items()}
    packed = PackedWeights(worth_packing(model) if weights == "packed" else [])
    signatures = {name: _signature(part, specs[name], packed) for name, part in models.items()}
    # TensorFlow saves what the module leads to: the packed weights, and all that are read as is.
    module = tf.Module()
    if packed.weights:
        module.packed = packed
    as_is = [variable for trace in signatures.values() for variable in trace.variables]
    module.as_is = list({id(variable): variable for variable in as_is}.values())
    try:
        _check_replaceable(path)
        # Made absolute, so that "." has a name to write beside.
        with write_whole_folder(os.path.abspath(path)) as folder:
            tf.saved_model.save(module, str(folder), signatures=signatures)
    except (OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise FileError(f"Cannot write the SavedModel to {path}: {reason}") from error
    return path


def _check_replaceable(path: pathlib.Path) -> None:
    """Refuse to replace what is not a SavedModel: it could be a folder of someone's work."""
    empty_folder = path.is_dir() and not any(path.iterdir())
    if path.exists() and not empty_folder and not (path / "saved_model.pb").exists():
        raise FileError(
            f"{path} exists and is no SavedModel, so it is not replaced. Choose another path."
        )


def _signature(model: keras.Model, specs, packed: PackedWeights):
    """Return the traced function that answers as `model` does, reading the packed weights."""
    names = _names("input", specs)
    named_specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in zip(names, keras.tree.flatten(specs), strict=True)
    }

    def answer(**tensors):
        inputs = keras.tree.pack_sequence_as(specs, [tensors[name] for name in names])
        read = packed.read(model)
        with keras.StatelessScope(read) as scope:
            given = {id(variable): scope.get_current_value(variable) for variable, _ in read}
            outputs = model(inputs, training=False)
        # The scope withholds what the model assigns, such as the next state of a random seed.
        for variable in model.variables:
            value = scope.get_current_value(variable)
            if value is given.get(id(variable)):
                continue
            if id(variable) in given:
                name = names_of(model)[id(variable)]
                raise SettingError(
                    f"{name} changes at inference, so it cannot be packed. "
                    'Export with weights="dense".'
                )
            variable.assign(value)
        return dict(zip(_names("output", outputs), keras.tree.flatten(outputs), strict=True))

    return tf.function(answer, autograph=False).get_concrete_function(**named_specs)


def _input_specs(model: keras.Model):
    """Return what `model` takes: a `tf.TensorSpec`, or a structure of them, of any batch size."""
    if isinstance(model, keras.Sequential) and model.built:
        return _any_batch(model.inputs[0].shape, model.inputs[0].dtype)
    if getattr(model, "inputs", None):  # Functional
        return keras.tree.map_structure(
            lambda tensor: _any_batch(tensor.shape, tensor.dtype), model.input
        )
    shapes = built_shapes(model)
    if len(shapes) > 1:
        raise SettingError(
            f"{model.name} takes several arguments: {', '.join(shapes)}. "
            "Only models of one argument, which may be a dict or a list, can be exported."
        )
    if "input_shape" not in shapes and named_components(model):
        return _input_specs(next(iter(named_components(model).values())))
    if "input_shape" not in shapes:
        raise SettingError(
            f"{model.name} is not built, so its input shape is not known. "
            "Call it on a batch of inputs before exporting it; of a model that is not to be "
            "called, such as a GAN of two networks, export these one by one."
        )
    return keras.tree.map_shape_structure(
        lambda shape: _any_batch(shape, model.variable_dtype), shapes["input_shape"]
    )


def _any_batch(shape, dtype) -> tf.TensorSpec:
    return tf.TensorSpec([None, *shape[1:]], dtype)


def _names(kind: str, structure) -> list[str]:
    """Return a name for each tensor of a structure: keys where all have one, or else numbers.

    Layers' own names would not do: most are counted up within a process.
    """
    paths = [path for path, _ in keras.tree.flatten_with_path(structure)]
    if len(paths) == 1:
        return [f"{kind}s"]
    if all(path and isinstance(path[-1], str) for path in paths):
        names = [re.sub(r"\W", "_", path[-1]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{kind}_{number}" for number in range(len(paths))]
