"""Weights that a SavedModel stores without their zeros, and unpacks once it is loaded."""

import hashlib
import math
import zlib

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.interop import left_out_of_files

# What a variable of its own adds to the SavedModel, beside its values; 2600 were measured.
_VARIABLE_OVERHEAD_BYTES = 2000

# `tf.split` hands out rows as views instead of copies where each row fills 64 bytes.
_ROW = 16


def worth_packing(model: keras.Model) -> list[keras.Variable]:
    """Return the float32 weights that take fewer bytes as nonzero values and gaps."""
    chosen = []
    for weight in model.weights:
        if weight.dtype == "float32":
            values = weight.numpy()
            if 5 * np.count_nonzero(values) < values.nbytes + _VARIABLE_OVERHEAD_BYTES:
                chosen.append(weight)
    return chosen


class PackedWeights:
    """The packed weights, unpacked into one float32 matrix when the SavedModel is loaded.

    There is one matrix for all weights, as each resource takes more bytes than many a layer's
    values. Kernels come first, each in rows of its own that are read without a copy; then, end to
    end, what is a vector or fills no rows.

    Attributes:
        resources: what the SavedModel has to track; nothing if there is nothing to pack.
    """

    def __init__(self, weights: list[keras.Variable]):
        self._kernels = [weight for weight in weights if _fills_rows(weight)]
        self._others = [weight for weight in weights if not _fills_rows(weight)]
        flat = [weight.numpy().ravel() for weight in self._kernels + self._others]
        unpacking = _Unpacking(np.concatenate([*flat, np.zeros(0, np.float32)]))
        self._matrix = _Matrix(unpacking)
        self.resources = [self._matrix, _SessionVariable(unpacking)] if weights else []

    def read(self, model: keras.Model) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Return those packed weights that `model` holds, each with its unpacked values."""
        weights, matrix = self._kernels + self._others, self._matrix.resource_handle
        held = {id(weight) for weight in model.weights}
        if not any(id(weight) in held for weight in weights):
            return []
        num_rows = [_size(weight) // _ROW for weight in self._kernels]
        *kernels, rest = tf.split(matrix, [*num_rows, matrix.shape[0] - sum(num_rows)])
        sizes = [_size(weight) for weight in self._others]
        *others, _ = tf.split(tf.reshape(rest, [-1]), [*sizes, _size(rest) - sum(sizes)])
        return [
            (weight, values if len(weight.shape) == 1 else tf.reshape(values, weight.shape))
            for weight, values in zip(weights, kernels + others, strict=True)
            if id(weight) in held
        ]


class _Unpacking:
    """Makes the matrix (rows, _ROW) of packed values; the graph has them once for all calls."""

    def __init__(self, flat: np.ndarray):
        self.shape = -(-flat.size // _ROW), _ROW
        planes = pack(flat)
        self._planes_shape = planes.shape
        # TensorFlow has no checksum for a constant, but zlib has: damage shows at load.
        self._compressed = zlib.compress(planes.tobytes())
        # Two SavedModels in one session must not share a variable.
        self._name = f"unpacked_{hashlib.sha256(self._compressed).hexdigest()[:16]}"
        self.matrix = tf.function(self._matrix, autograph=False).get_concrete_function()

    def _matrix(self):
        # A constant would be unpacked twice: first by TensorFlow's optimizer, even in a branch that
        # is never run, to find the result too large for a constant. It cannot know this zero.
        start = tf.cast(tf.timestamp() < 0, tf.int32)
        compressed = tf.strings.substr(self._compressed, start, len(self._compressed))
        planes = tf.io.decode_raw(tf.io.decode_compressed(compressed, "ZLIB"), tf.uint8)
        planes = tf.reshape(planes, self._planes_shape)
        positions = tf.cumsum(tf.cast(planes[0], tf.int64)) - 1
        values = tf.bitcast(tf.transpose(planes[1:]), tf.float32)
        size = tf.constant([self.shape[0] * _ROW], tf.int64)
        return tf.reshape(tf.scatter_nd(positions[:, tf.newaxis], values, size), self.shape)

    def variable(self):
        """Return the handle of the variable that a session keeps the matrix in."""
        # TFLite's converter looks for it by the name of the node.
        return tf.raw_ops.VarHandleOp(
            dtype=tf.float32, shape=self.shape, shared_name=self._name, name=self._name
        )


class _Matrix(tf.saved_model.experimental.TrackableResource):
    """The unpacked matrix as the tensor that a resource holds, which is mostly a handle.

    TensorFlow makes what a resource holds once, at load. So the matrix lives as long as a signature
    reads it, and its shape is known to every reader of the graph. It is no variable: a strategy
    under which the SavedModel is loaded would mirror one, and could not fill it.
    """

    def __init__(self, unpacking: _Unpacking):
        super().__init__()
        self._unpacking = unpacking
        self.resource_handle  # noqa: B018 - made here: one that is made in a trace belongs to it

    def _create_resource(self):
        if tf.executing_eagerly():  # only signatures are traced with it
            return left_out_of_files(tf.zeros(self._unpacking.shape))
        if tf.compat.v1.get_default_graph().building_function:  # run by `tf.saved_model.load`
            return self._unpacking.matrix()
        # In the graph of a session, which would unpack it for each answer.
        handle = self._unpacking.variable()
        return tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)


class _SessionVariable(tf.saved_model.experimental.TrackableResource):
    """The variable that holds the matrix where sessions run the SavedModel, as TF Serving does.

    Elsewhere nothing reads it. It is made full of nothing there, so that it is not filled.
    """

    def __init__(self, unpacking: _Unpacking):
        super().__init__()
        self._unpacking = unpacking
        self.resource_handle  # noqa: B018 - as above

    def _create_resource(self):
        if tf.executing_eagerly() or not tf.compat.v1.get_default_graph().building_function:
            return self._unpacking.variable()
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=None, shared_name="unused")
        tf.raw_ops.AssignVariableOp(resource=handle, value=tf.zeros((0, _ROW)))
        return handle

    def _initialize(self):
        handle = self.resource_handle

        def fill():
            tf.raw_ops.AssignVariableOp(resource=handle, value=self._unpacking.matrix())

        tf.cond(tf.raw_ops.VarIsInitializedOp(resource=handle), lambda: None, fill)

    def _destroy_resource(self):
        handle = self.resource_handle
        tf.raw_ops.DestroyResourceOp(resource=handle, ignore_lookup_error=True)


def _size(weight) -> int:
    return math.prod(weight.shape)


def _fills_rows(weight: keras.Variable) -> bool:
    return len(weight.shape) > 1 and _size(weight) % _ROW == 0


def pack(flat: np.ndarray) -> np.ndarray:
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
