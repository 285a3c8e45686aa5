"""A SavedModel of any built Keras model: as it is, or with its zeros left out of the files."""

import os
import pathlib

import keras
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_text_path, write_whole_folder
from tf_tickets.keras_internals import check_model
from tf_tickets.protocols import named_components
from tf_tickets.shipping.packed_weights import PackedWeights, worth_packing
from tf_tickets.shipping.signatures import Changing, signature


def export_saved_model(
    model: keras.Model, path: str | os.PathLike, weights: str = "packed", inputs=None
) -> pathlib.Path:
    """Write `model` as a SavedModel for inference and return its path.

    Any TensorFlow runtime that runs initializers can serve the result: it needs neither this
    package nor Keras. The signature `serving_default` is `model(inputs, training=False)` for any
    batch size, or for the one that it was built for if it takes no other; each entry of
    `model.components`, where there is one, adds a signature of its own name. A single tensor is
    called `inputs` or `outputs`; those of a dict go by their keys, also where it has but one, and
    those of a list are `input_0`, `output_0` and so on. The vocabularies of lookup layers, such as
    TextVectorization, are in the files.

    "packed" makes a pruned model small on disk: of the float32 weights whose exact zeros make it
    worth while, only the other values and the gaps between them are stored, under a checksum. A
    convolutional net of 2.4 M weights took 0.10 of its dense size at 90 % sparsity, 0.02 at 99 %;
    in a small net the graph weighs more. The weights are unpacked once, at load, so memory and
    time at inference are those of the dense model. What a model changes at inference, such as the
    states of a stateful layer, is stored as it is. "dense" stores all weights as they are, for
    readers that cannot run what unpacks them: docs/shipping.md lists who reads which form.

    The folder appears under `path` only when it is whole; an older SavedModel there is replaced.

    Args:
        model: built Functional, Sequential or subclassed model of one (possibly nested) argument.
            A subclassed model is given inputs of its `variable_dtype` and of the shape that it
            was built for, or else what the first of its components takes.
        path: the folder to write; missing parents are made.
        weights: "packed" or "dense".
        inputs: a `tf.TensorSpec`, or a structure of them, of what the model is called with, where
            that cannot be told: a subclassed model does not say that it takes strings or integers,
            or any size.

    Returns:
        `path`.

    Raises:
        SettingError: if the model is not built, takes several arguments, or `weights` is unknown;
            if it takes or returns ragged or sparse tensors, fails on what it should take, or reads
            a table that no layer holds.
        FileError: if the folder cannot be written, or `path` holds something else.

    Example:
        >>> export_saved_model(model, "exported")
        >>> answer = tf.saved_model.load("exported").signatures["serving_default"]
        >>> answer(inputs=images)["outputs"]
    """
    check_model(model)
    if weights not in ("packed", "dense"):
        raise SettingError(f'`weights` must be "packed" or "dense". Received: weights={weights!r}.')
    path = as_text_path(path)
    models = {"serving_default": model, **named_components(model)}
    inputs_of = {name: inputs if part is model else None for name, part in models.items()}
    chosen = worth_packing(model) if weights == "packed" else []
    signatures, packed = _traced(models, inputs_of, chosen)
    # TensorFlow saves what the module leads to: the packed weights, and all that is read as it is.
    module = tf.Module()
    module.packed = packed.resources
    as_is = [variable for trace in signatures.values() for variable in trace.variables]
    module.as_is = list({id(variable): variable for variable in as_is}.values())
    module.resources = _resources_of(model)
    try:
        _check_replaceable(path)
        # Made absolute, so that "." has a name to write beside.
        with write_whole_folder(os.path.abspath(path)) as folder:
            tf.saved_model.save(module, str(folder), signatures=signatures)
    except (OSError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise FileError(f"Cannot write the SavedModel to {path}: {reason}") from error
    except AssertionError as error:
        if "untracked" not in str(error):
            raise
        raise SettingError(
            f"{model.name} reads a table, or another resource, that none of its layers holds. "
            "Make it an attribute of the layer that reads it."
        ) from error
    return path


def _traced(models, inputs_of, chosen) -> tuple[dict, PackedWeights]:
    """Return the signatures, and the weights that they read packed: those chosen, if they stay."""
    packed = PackedWeights(chosen)
    try:
        traces = {name: signature(part, inputs_of[name], packed) for name, part in models.items()}
    except Changing as changing:
        ids = {id(variable) for variable in changing.variables}
        staying = [weight for weight in chosen if id(weight) not in ids]
        return _traced(models, inputs_of, staying)
    return traces, packed


def _resources_of(model) -> list:
    """Return what layers hold besides variables, such as the tables of lookup layers."""
    kind = tf.saved_model.experimental.TrackableResource
    return [held for held in tf.train.TrackableView(model).descendants() if isinstance(held, kind)]


def _check_replaceable(path: pathlib.Path) -> None:
    """Refuse to replace what is not a SavedModel: it could be a folder of someone's work."""
    empty_folder = path.is_dir() and not any(path.iterdir())
    if path.exists() and not empty_folder and not (path / "saved_model.pb").exists():
        raise FileError(
            f"{path} exists and is no SavedModel, so it is not replaced. Choose another path."
        )
