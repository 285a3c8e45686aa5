"""A walk through networks that counts the floating-point operations of each layer."""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping

import keras
from keras import layers

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import attention_of, built_shapes, calls_of, graph_of
from tf_tickets.names import place_names

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
)
_ATTENTION = (layers.MultiHeadAttention, layers.GroupQueryAttention)
_OPERANDS = ("query", "value", "key")  # of attention, as its `call` takes them
_WRAPPERS = (layers.TimeDistributed, layers.SpectralNormalization)


@dataclasses.dataclass(frozen=True)
class LayerFlops:
    """What one call of a layer takes for one image.

    Attributes:
        path: the component, and the layer's place in it, as in the names of its variables; for a
            call within a shared network, the place of that call.
        kind: the layer's class.
        component: the part of the model that it belongs to.
        forward: FLOPs of the forward pass.
        backward: FLOPs of the gradients that training needs.
        sparse_ideal: `forward`, if pruned weights took no time.
    """

    path: str
    kind: str
    component: str
    forward: int
    backward: int
    sparse_ideal: int


class Counter:
    """Collects rows while networks are walked through.

    Args:
        density: variable name -> fraction of its weights that are kept, as `count_flops` takes it.
        names: `id` of each variable of the model -> its name.

    Attributes:
        rows: a LayerFlops for each call of each layer that counts.
        uncounted: paths of layers, or names of networks' own weights, that are of no known kind.
    """

    def __init__(self, density: Mapping[str, float], names: Mapping[int, str]):
        self._density = density
        self._names = names
        self.rows: list[LayerFlops] = []
        self.uncounted: list[str] = []

    def add_component(self, name: str, network: keras.Model, input_gradient: bool) -> None:
        """Count a network or layer; `input_gradient` says whether that of its inputs is needed."""
        self._component = name
        if isinstance(network, keras.Model):
            self._add_network(network, name, input_gradient)
        else:
            self._add_without_graph(network, name)

    def own_weights(self, network: keras.Model, parts: Iterable) -> list[str]:
        """Return the names of a network's trained weights that none of its parts holds."""
        held = {id(weight) for part in parts for weight in part.weights}
        own = [weight for weight in network.trainable_weights if id(weight) not in held]
        return [self._names.get(id(weight), weight.path) for weight in own]

    def _add_network(self, network, path, wanted):
        """Count a network; `wanted` says whether the gradients of its inputs are needed."""
        graph = graph_of(network)
        if graph is not None:
            self._add_graph(graph, path, [wanted] * len(graph.inputs))
            return
        places = place_names(network)
        for layer in network.layers:
            self._add_without_graph(layer, f"{path}/{places[id(layer)]}")
        self.uncounted += self.own_weights(network, network.layers)

    def _add_without_graph(self, layer, path):
        if isinstance(layer, keras.Model):
            self._add_network(layer, path, wanted=True)
        elif _is_counted(layer) and layer.built:
            shapes = _built_for(layer)
            self._add_layer(layer, path, shapes, [True] * len(shapes))
        elif layer.weights:
            self.uncounted.append(path)

    def _add_graph(self, graph, path, wanted) -> list[bool]:
        """Count a graph, given which of its inputs' gradients are needed; return which outputs'."""
        needed = {id(tensor): value for tensor, value in zip(graph.inputs, wanted, strict=True)}
        places = place_names(graph)
        for call in calls_of(graph):
            given = [needed[id(tensor)] for tensor in call.inputs]
            place = places.get(id(call.operation), call.operation.name)
            returned = self._add_call(call, f"{path}/{place}", given)
            for tensor, value in zip(call.outputs, returned, strict=True):
                needed[id(tensor)] = value
        return [needed[id(tensor)] for tensor in graph.outputs]

    def _add_call(self, call, path, given) -> list[bool]:
        """Count one call in a graph; return which of its outputs' gradients are needed."""
        called, graph = call.operation, graph_of(call.operation)
        if graph is not None and _sizes(graph.inputs) == _sizes(call.inputs):
            return self._add_graph(graph, path, given)
        if _is_counted(called):
            wanted = dict(zip(map(id, call.inputs), given, strict=True))
            operands = _operands(call)
            shapes = [tensor.shape for tensor in operands]
            self._add_layer(called, path, shapes, [wanted[id(tensor)] for tensor in operands])
        elif isinstance(called, keras.Model) and graph is None:
            self._add_network(called, path, any(given))
        elif getattr(called, "weights", ()):
            # Of no known kind; or a network whose graph has other sizes than in this call.
            self.uncounted.append(path)
        trained = bool(getattr(called, "trainable_variables", ()))
        return [trained or any(given)] * len(call.outputs)

    def _add_layer(self, layer, path, shapes, wanted):
        """Count a layer, given its inputs' shapes and which of their gradients are needed."""
        if isinstance(layer, _ATTENTION):
            self._add_attention(layer, path, shapes, wanted)
            return
        if isinstance(layer, _WRAPPERS):
            self._add_wrapped(layer, path, shapes, wanted)
            return
        kernels, others = _flops_of_weights(layer, path, shapes[0])
        ideal = others + sum(round(flops * self._density_of(v)) for v, flops in kernels)
        forward = others + sum(flops for _, flops in kernels)
        self._add_row(layer, path, forward, ideal, wanted[0] + bool(layer.trainable_variables))

    def _density_of(self, kernel):
        return self._density.get(self._names.get(id(kernel)), 1)

    def _add_attention(self, layer, path, shapes, wanted):
        parts = attention_of(layer)
        for name, shape, needed in zip(_OPERANDS, shapes, wanted, strict=True):
            self._add_layer(getattr(parts, name), f"{path}/{name}", [shape], [needed])
        products = 2 * _pairs(parts, path, *shapes[:2]) * parts.num_heads
        products *= parts.key_dim + parts.value_dim
        learns = any(wanted) or bool(layer.trainable_variables)
        self._add_row(layer, path, products, products, 2 * learns)
        heads = (*shapes[0][:-1], parts.num_heads, parts.value_dim)
        self._add_layer(parts.output, f"{path}/attention_output", [heads], [learns])

    def _add_wrapped(self, layer, path, shapes, wanted):
        """Count the layer that another one wraps, at each of its steps where there are some."""
        if not isinstance(layer, layers.TimeDistributed):
            self._add_layer(layer.layer, path, shapes, wanted)
            return
        begin, steps = len(self.rows), _size(shapes[0][1:2], path)
        self._add_layer(layer.layer, path, [(shapes[0][0], *shapes[0][2:])], wanted)
        sums = ("forward", "backward", "sparse_ideal")
        self.rows[begin:] = [
            dataclasses.replace(row, **{name: steps * getattr(row, name) for name in sums})
            for row in self.rows[begin:]
        ]

    def _add_row(self, layer, path, forward, ideal, gradients):
        row = (path, type(layer).__name__, self._component, forward, gradients * forward, ideal)
        self.rows.append(LayerFlops(*row))


def _is_counted(layer):
    if isinstance(layer, _WRAPPERS):
        return _is_counted(layer.layer) and not isinstance(layer.layer, _ATTENTION)
    # What a gate of attention takes is not worked out here.
    return isinstance(layer, _COUNTED) or attention_of(layer) is not None


def _operands(call):
    """Return the tensors that a call is given to compute with, less its masks."""
    if not isinstance(call.operation, _ATTENTION):
        return call.inputs[:1]
    return _with_key(call.arguments, *_OPERANDS)


def _built_for(layer):
    """Return the shapes of the inputs that a layer was built for."""
    shapes = built_shapes(layer)
    if not isinstance(layer, _ATTENTION):
        return [shapes["input_shape"]]
    return _with_key(shapes, *(f"{name}_shape" for name in _OPERANDS))


def _with_key(given, query, value, key):
    """Return what is given for attention's operands, whose key is the value by default."""
    return [given[query], given[value], given.get(key, given[value])]


def _pairs(parts, path, query_shape, value_shape):
    """Return how many pairs of a query and a key meet: those that attention's axes tell apart."""
    along = [axis - 1 for axis in parts.axes]
    queries, keys = query_shape[1:-1], value_shape[1:-1]
    return _size(queries, path) * _size([keys[axis] for axis in along], path)


def _flops_of_weights(layer, path, input_shape):
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


def _sizes(tensors):
    return [tuple(tensor.shape[1:]) for tensor in tensors]
