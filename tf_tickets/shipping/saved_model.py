"""A SavedModel of any built Keras model: as it is, or with its zeros left out of the files."""

import math
import os
import pathlib
import re
import zlib

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import write_whole_folder
from tf_tickets.keras_internals import built_shapes, check_model
from tf_tickets.names import names_of
from tf_tickets.protocols import named_components

# What a variable of its own adds to the SavedModel, beside its values; 2600 were measured.
_VARIABLE_OVERHEAD_BYTES = 2000

# `tf.split` hands out rows as views instead of copies where each row fills 64 bytes.
_ROW = 16


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
    check_model(model)
    if weights not in ("packed", "dense"):
        raise SettingError(f'`weights` must be "packed" or "dense". Received: weights={weights!r}.')
    path = pathlib.Path(path)
    models = {"serving_default": model, **named_components(model)}
    specs = {name: _input_specs(part) for name, part in models.items()}
    packed = _PackedWeights(_worth_packing(model) if weights == "packed" else [])
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


def _worth_packing(model: keras.Model) -> list[keras.Variable]:
    """Return the float32 weights that take fewer bytes as nonzero values and gaps."""
    chosen = []
    for weight in model.weights:
        if weight.dtype == "float32":
            values = weight.numpy()
            if 5 * np.count_nonzero(values) < values.nbytes + _VARIABLE_OVERHEAD_BYTES:
                chosen.append(weight)
    return chosen


class _PackedWeights(tf.saved_model.experimental.TrackableResource):
    """The packed weights, unpacked into one float32 matrix when the SavedModel is loaded.

    It is a resource because TensorFlow runs the initializers of resources at load. The matrix is
    a variable all the same: a resource ends with the loaded object, while a signature taken from
    that object keeps its variables alive. There is one matrix for all weights, as each variable
    and resource takes more bytes than many a layer's values. Kernels come first, each in rows of
    its own that are read without a copy; then, end to end, what is a vector or fills no rows.
    """

    def __init__(self, weights: list[keras.Variable]):
        super().__init__()
        self._kernels = [weight for weight in weights if _fills_rows(weight)]
        self._others = [weight for weight in weights if not _fills_rows(weight)]
        self.weights = self._kernels + self._others
        self._num_rows = -(-sum(map(_size, self.weights)) // _ROW)
        flat = [weight.numpy().ravel() for weight in self.weights]
        planes = _pack(np.concatenate([*flat, np.zeros(0, np.float32)]))
        self._planes_shape = planes.shape
        # TensorFlow has no checksum for a constant, but zlib has: damage shows at load.
        self._compressed = zlib.compress(planes.tobytes())
        # Saved without a row; the rows come at load.
        self.matrix = tf.Variable(
            tf.zeros((0, _ROW)), trainable=False, name="unpacked", shape=(None, _ROW)
        )

    def _create_resource(self):
        # A resource has to have a handle; nothing is ever kept under this one.
        return tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=(), shared_name="unpack_at_load")

    def _initialize(self):
        planes = tf.io.decode_raw(tf.io.decode_compressed(self._compressed, "ZLIB"), tf.uint8)
        planes = tf.reshape(planes, self._planes_shape)
        positions = tf.cumsum(tf.cast(planes[0], tf.int64)) - 1
        values = tf.bitcast(tf.transpose(planes[1:]), tf.float32)
        size = tf.constant([self._num_rows * _ROW], tf.int64)
        flat = tf.scatter_nd(positions[:, tf.newaxis], values, size)
        self.matrix.assign(tf.reshape(flat, (self._num_rows, _ROW)))

    def read(self, model: keras.Model) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Return those packed weights that `model` holds, each with its unpacked values."""
        held = {id(weight) for weight in model.weights}
        if not any(id(weight) in held for weight in self.weights):
            return []
        kernel_rows = [_size(weight) // _ROW for weight in self._kernels]
        *kernels, rest = tf.split(self.matrix, [*kernel_rows, self._num_rows - sum(kernel_rows)])
        padding = self._num_rows * _ROW - sum(map(_size, self.weights))
        *others, _ = tf.split(tf.reshape(rest, [-1]), [*map(_size, self._others), padding])
        return [
            (weight, values if len(weight.shape) == 1 else tf.reshape(values, weight.shape))
            for weight, values in zip(self.weights, kernels + others, strict=True)
            if id(weight) in held
        ]


def _size(weight: keras.Variable) -> int:
    return math.prod(weight.shape)


def _fills_rows(weight: keras.Variable) -> bool:
    return len(weight.shape) > 1 and _size(weight) % _ROW == 0


def _pack(flat: np.ndarray) -> np.ndarray:
    """Return the nonzero values of a float32 vector, and where they are, as five rows of bytes.

    Row 0 holds the gaps that lead from each nonzero value to the next, the first from position
    -1. A gap over 255 is crossed in steps of 255, each to a zero that is stored as a value. Rows 1
    to 4 hold the first to the fourth byte of the values: kept apart, they compress better.
    """
    positions = np.flatnonzero(flat)
    gaps = np.diff(positions, prepend=-1)
    extra_steps = (gaps - 1) // 255
    last_steps = np.cumsum(extra_steps + 1) - 1
    steps = np.full(gaps.size + extra_steps.sum(), 255, np.uint8)
    steps[last_steps] = gaps - 255 * extra_steps
    values = np.zeros(steps.size, "<f4")
    values[last_steps] = flat[positions]
    return np.vstack([steps, values.view(np.uint8).reshape(-1, 4).T])


def _signature(model: keras.Model, specs, packed: _PackedWeights):
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
