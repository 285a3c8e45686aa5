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


class PackedWeights(tf.saved_model.experimental.TrackableResource):
    """The packed weights, unpacked into one float32 matrix when the SavedModel is loaded.

    A resource holds a tensor that functions capture, and TensorFlow makes that tensor once at
    load. Mostly it is a handle; here it is the matrix itself. So it lives as long as a signature
    reads it, its shape is known to every reader of the graph, and as it is no variable, a
    strategy under which the SavedModel is loaded has nothing to mirror. There is one matrix for
    all weights, as each resource takes more bytes than many a layer's values. Kernels come first,
    each in rows of its own that are read without a copy; then, end to end, what is a vector or
    fills no rows.
    """

    def __init__(self, weights: list[keras.Variable]):
        super().__init__()
        self._kernels = [weight for weight in weights if _fills_rows(weight)]
        self._others = [weight for weight in weights if not _fills_rows(weight)]
        self.weights = self._kernels + self._others
        self._num_rows = -(-sum(map(_size, self.weights)) // _ROW)
        flat = [weight.numpy().ravel() for weight in self.weights]
        planes = pack(np.concatenate([*flat, np.zeros(0, np.float32)]))
        self._planes_shape = planes.shape
        # TensorFlow has no checksum for a constant, but zlib has: damage shows at load.
        self._compressed = zlib.compress(planes.tobytes())
        # Traced once, so that the graph has its constant once, however many call it.
        self._unpacked = tf.function(self._unpack, autograph=False).get_concrete_function()
        self.resource_handle  # noqa: B018 - made here, as one made within a trace belongs to it

    def _unpack(self):
        planes = tf.io.decode_raw(tf.io.decode_compressed(self._compressed, "ZLIB"), tf.uint8)
        planes = tf.reshape(planes, self._planes_shape)
        positions = tf.cumsum(tf.cast(planes[0], tf.int64)) - 1
        values = tf.bitcast(tf.transpose(planes[1:]), tf.float32)
        size = tf.constant([self._num_rows * _ROW], tf.int64)
        flat = tf.scatter_nd(positions[:, tf.newaxis], values, size)
        return tf.reshape(flat, (self._num_rows, _ROW))

    def _create_resource(self):
        shape = (self._num_rows, _ROW)
        if tf.executing_eagerly():  # here, where signatures are traced but nothing is answered
            return left_out_of_files(tf.zeros(shape))
        if tf.compat.v1.get_default_graph().building_function:  # run once by whoever loads it
            return self._unpacked()
        # The graph that sessions and TensorFlow Serving run would unpack for each answer, so it
        # keeps the matrix in a variable. Two SavedModels in one session must not share theirs.
        name = f"unpacked_{hashlib.sha256(self._compressed).hexdigest()[:16]}"
        handle = tf.raw_ops.VarHandleOp(dtype=tf.float32, shape=shape, shared_name=name)

        def read():
            return tf.raw_ops.ReadVariableOp(resource=handle, dtype=tf.float32)

        def unpack_first():
            unpacked = self._unpacked()
            tf.raw_ops.AssignVariableOp(resource=handle, value=unpacked)
            return tf.ensure_shape(unpacked, shape)

        return tf.cond(tf.raw_ops.VarIsInitializedOp(resource=handle), read, unpack_first)

    def _initialize(self):
        # A session unpacks, and finds damage, as soon as something needs the matrix: this does, at
        # load. Any integer of 32 bits is less than that one, but TensorFlow has to look.
        first = tf.bitcast(self.resource_handle[0, 0], tf.int32)
        tf.debugging.Assert(tf.cast(first, tf.int64) < 2**31, [first])

    def read(self, model: keras.Model) -> list[tuple[keras.Variable, tf.Tensor]]:
        """Return those packed weights that `model` holds, each with its unpacked values."""
        held = {id(weight) for weight in model.weights}
        if not any(id(weight) in held for weight in self.weights):
            return []
        kernel_rows = [_size(weight) // _ROW for weight in self._kernels]
        rows = [*kernel_rows, self._num_rows - sum(kernel_rows)]
        *kernels, rest = tf.split(self.resource_handle, rows)
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
