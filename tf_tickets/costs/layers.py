"""What a layer that is counted computes with, and how many FLOPs each of its weights takes."""

import inspect
import math
import re

from keras import layers

from tf_tickets.errors import SettingError

# Every weight of a kernel is used once at each place of the output, or of a transposed
# convolution's input: the rest of its output is overlap, or zeros that nobody multiplies.
_AT_OUTPUT = (
    layers.Conv1D,
    layers.Conv2D,
    layers.Conv3D,
    layers.DepthwiseConv1D,
    layers.DepthwiseConv2D,
    layers.SeparableConv1D,
    layers.SeparableConv2D,
)
_AT_INPUT = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
_COUNTED = (
    *_AT_OUTPUT,
    *_AT_INPUT,
    layers.Dense,
    layers.EinsumDense,
    layers.BatchNormalization,
    layers.MultiHeadAttention,
)
OPERANDS = ("query", "value", "key")  # of attention, as its `call` takes them


def is_counted(layer) -> bool:
    """Return whether what a layer takes is worked out here; of attention with a gate it is not."""
    return isinstance(layer, _COUNTED) and not getattr(layer, "_use_gate", False)


def operands(node) -> list:
    """Return the tensors that a call is given to compute with, less its masks."""
    if not isinstance(node.operation, layers.MultiHeadAttention):
        return node.input_tensors[:1]
    given = inspect.signature(node.operation.call).bind(
        *node.arguments.args, **node.arguments.kwargs
    )
    return _with_key(given.arguments, *OPERANDS)


def built_for(layer) -> list:
    """Return the shapes of the inputs that a layer was built for."""
    config = layer.get_build_config()
    if not isinstance(layer, layers.MultiHeadAttention):
        return [config["input_shape"]]
    return _with_key(config["shapes_dict"], *(f"{name}_shape" for name in OPERANDS))


def _with_key(given, query, value, key):
    """Return what is given for attention's operands, whose key is the value by default."""
    return [given[query], given[value], given.get(key, given[value])]


def pairs(layer, path, query_shape, value_shape) -> int:
    """Return how many pairs of a query and a key meet: those that attention's axes tell apart."""
    along = [axis - 1 for axis in layer.attention_axes]
    queries, keys = query_shape[1:-1], value_shape[1:-1]
    return _size(queries, path) * _size([keys[axis] for axis in along], path)


def flops_of_weights(layer, path, input_shape) -> tuple:
    """Return pairs of a kernel and its FLOPs for one image, and the FLOPs of all else."""
    if isinstance(layer, layers.EinsumDense):
        return _flops_of_einsum(layer, path, input_shape)
    output_shape = layer.compute_output_shape(input_shape)
    outputs = _size(output_shape[1:], path)
    if isinstance(layer, layers.BatchNormalization):
        return [], 2 * outputs
    shape = input_shape if isinstance(layer, _AT_INPUT) else output_shape
    channels_first = getattr(layer, "data_format", None) == "channels_first"
    places = _size(shape[2:] if channels_first else shape[1:-1], path)
    separable = isinstance(layer, _SEPARABLE)
    kernels = [layer.depthwise_kernel, layer.pointwise_kernel] if separable else [layer.kernel]
    flops = [(kernel, 2 * math.prod(kernel.shape) * places) for kernel in kernels]
    return flops, outputs if layer.use_bias else 0


def _flops_of_einsum(layer, path, input_shape):
    """Return the same of a dense layer of any axes, such as "abc,cde->abde"."""
    received, letters, result = re.split(",|->", layer.equation.replace(" ", ""))
    axes = list(zip(letters, layer.kernel.shape, strict=True))
    shared = math.prod(size for letter, size in axes if letter in received)
    places = _size(input_shape[1:], path) // shared
    outputs = places * math.prod(size for letter, size in axes if letter in result)
    flops = [(layer.kernel, 2 * math.prod(layer.kernel.shape) * places)]
    return flops, 0 if layer.bias is None else outputs


def _size(shape, path):
    if None in shape:
        raise SettingError(
            f"FLOPs need sizes that are known. {path} has {tuple(shape)}. Make the model with a "
            "`keras.Input` of a fixed shape."
        )
    return math.prod(shape)


def sizes(tensors) -> list[tuple]:
    """Return the shapes of tensors, less the batch."""
    return [tuple(tensor.shape[1:]) for tensor in tensors]
