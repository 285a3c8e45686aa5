import keras
import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets.names import named
from tf_tickets.pruning.kernel_matrices import KernelMatrix, kernel_matrices

L = keras.layers
RANDOM = np.random.default_rng(0)

# layer, shape of an image that it takes, axis of its inputs, axis of its outputs
LAYERS = {
    "dense": (lambda: L.Dense(5), (6,), 1, 1),
    "conv1d": (lambda: L.Conv1D(5, 3), (7, 6), 2, 2),
    "conv2d": (lambda: L.Conv2D(5, 3), (7, 7, 6), 3, 3),
    "conv3d": (lambda: L.Conv3D(5, 2), (4, 4, 4, 6), 4, 4),
    "transposed 1d": (lambda: L.Conv1DTranspose(5, 3), (4, 6), 2, 2),
    "transposed 2d": (lambda: L.Conv2DTranspose(5, 3, strides=2), (4, 4, 6), 3, 3),
    "einsum": (lambda: L.EinsumDense("abc,cd->abd", (None, 5)), (4, 6), 2, 2),
    "einsum, outputs first": (lambda: L.EinsumDense("abc,dc->abd", (None, 5)), (4, 6), 2, 2),
}


def build(name):
    make, shape, input_axis, output_axis = LAYERS[name]
    inputs = keras.Input(shape)
    model = keras.Model(inputs, make()(inputs))
    (kernel,) = tt.prunable(model)
    kernel.assign(RANDOM.normal(size=kernel.shape))
    (matrix,) = kernel_matrices(model, [kernel]).values()
    return model, kernel, matrix, input_axis, output_axis


def without(matrix, kernel, side, index):
    """Return the kernel with one input, or one output, cut off."""
    values = matrix.of(kernel.numpy()).copy()
    values[(..., index, slice(None)) if side == "input" else (..., index)] = 0
    return matrix.back(values, kernel.shape)


@pytest.mark.parametrize("name", LAYERS)
def test_rows_are_inputs(name):
    model, kernel, matrix, axis, _ = build(name)
    images = RANDOM.normal(size=(2, *model.input_shape[1:])).astype("float32")
    changed = images.copy()
    changed[(slice(None),) * axis + (3,)] += 1
    assert not np.allclose(model(images), model(changed))
    kernel.assign(without(matrix, kernel, "input", 3))
    np.testing.assert_allclose(model(images), model(changed), atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_columns_are_outputs(name):
    model, kernel, matrix, _, axis = build(name)
    images = RANDOM.normal(size=(2, *model.input_shape[1:])).astype("float32")
    kernel.assign(without(matrix, kernel, "output", 2))
    outputs = np.moveaxis(model(images).numpy(), axis, 0)
    assert not outputs[2].any() and outputs[1].any()


def test_the_parts_of_attention():
    inputs = keras.Input((4, 6))
    model = keras.Model(inputs, L.MultiHeadAttention(2, 8, name="attention")(inputs, inputs))
    kernels = named(tt.prunable(model))
    matrices = kernel_matrices(model, kernels.values())
    places = "attention/query_dense/kernel", "attention/output_dense/kernel"
    query, output = (kernels[name] for name in places)
    assert query.shape == (6, 2, 8) and output.shape == (2, 8, 6)
    assert matrices[places[0]].of(query.numpy()).shape == (6, 2 * 8)
    assert matrices[places[1]].of(output.numpy()).shape == (2 * 8, 6)


def test_depthwise_kernels_are_taken_as_they_are():
    inputs = keras.Input((5, 5, 6))
    model = keras.Model(inputs, L.DepthwiseConv2D(3, name="conv")(inputs))
    (kernel,) = tt.prunable(model)
    assert kernel_matrices(model, [kernel]) == {"conv/kernel": KernelMatrix((2,), (3,), (0, 1))}


@pytest.mark.parametrize(
    "matrix",
    [
        KernelMatrix((2,), (3,), (0, 1)),
        KernelMatrix((3,), (0, 2), (1,)),
        KernelMatrix((0, 1), (2, 3)),
    ],
)
def test_back_undoes_of(matrix):
    values = RANDOM.normal(size=(2, 3, 4, 5))
    np.testing.assert_array_equal(matrix.back(matrix.of(values), values.shape), values)
