"""Which channels of a network live together, and what has to be masked before one can go.

A channel is born as a filter of a convolution or a unit of a dense layer and lives on in the layers
after it: in a normalisation's scale, in a depthwise kernel, in the inputs of the next convolution.
Adding two tensors makes one channel of two, flattening an image spreads one over many positions.
The graph of a Functional network is walked once, every channel carrying a number.

A channel can go without a trace where each layer that mixes it with others reads nothing but zeros
from it. A scale and shift that are zero make it so, and what keeps zeros (a rectifier, pooling,
padding) passes that on.
"""

import dataclasses
import math
from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from tf_tickets.keras_internals import calls_of, graph_of, kind_of
from tf_tickets.protocols import HasChannelVectors, channel_vectors_of

# A place in a normalisation's scale: its variable's path, and the channel's index in it.
Scale = tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Flow:
    """The channels along a tensor's last axis.

    Attributes:
        channels: int array, the number of the channel at each position.
        zeroed_by: for each position the scales that all have to be masked for the tensor to be zero
            there, a frozenset; None where it is not zero whatever is masked.
    """

    channels: np.ndarray
    zeroed_by: list

    def read_as(self, positions) -> "Flow":
        """Return the flow at some of the positions, in that order."""
        return Flow(self.channels[positions], [self.zeroed_by[i] for i in positions])

    def never_zero(self) -> "Flow":
        """Return the same channels, no longer zero where they were."""
        return Flow(self.channels, [None] * len(self.channels))


@dataclasses.dataclass
class LayerChannels:
    """The channels of one layer's weights.

    Attributes:
        layer: the Keras layer.
        axes: weight name -> axis -> which of `channels` lie along it.
        channels: "in", "out" or "mid" -> int array of channel numbers. Those that the layer makes
            are its "out".
        makes: whether the layer makes its output channels, and does not only pass them on.
    """

    layer: keras.layers.Layer
    axes: dict
    channels: dict
    makes: bool = False


# weight name -> axis -> whose channels lie along it
_CONV = {"kernel": {-2: "in", -1: "out"}, "bias": {-1: "out"}}
_TRANSPOSE = {"kernel": {-1: "in", -2: "out"}, "bias": {-1: "out"}}
_DEPTHWISE = {"kernel": {-2: "in"}, "bias": {-1: "out"}}
_SEPARABLE = {
    "depthwise_kernel": {-2: "in"},
    "pointwise_kernel": {-2: "mid", -1: "out"},
    "bias": {-1: "out"},
}
_VECTORS = {
    name: {-1: "out"} for name in ("gamma", "beta", "moving_mean", "moving_variance", "alpha")
}


class ChannelGraph:
    """The channels of one network.

    Args:
        network: a built Functional or Sequential model.

    Attributes:
        layers: LayerChannels of every layer with channels of its own, in the graph's order.
        scales: path of a normalisation's scale -> its channels.
        zeroed_by: channel -> the scales which, all masked, let it go; absent where nothing does.
        reasons: channel -> why it stays, for those that nothing lets go.
        nested: id of a model within the network -> the channels of each of its inputs.
        kept_whole: layer name -> why the layer could not be looked into.
    """

    def __init__(self, network: keras.Model):
        walk = _Walk()
        walk.protect_all(walk.network(network, None), "it is an output of the network")
        self.layers = [
            dataclasses.replace(
                each, channels={side: walk.roots(ids) for side, ids in each.channels.items()}
            )
            for each in walk.layers.values()
        ]
        self.scales = {path: walk.roots(ids) for path, ids in walk.scales.items()}
        self.reasons = walk.reasons_of_roots()
        self.zeroed_by = walk.zeroed_by_of_roots(self.reasons)
        self.nested = {
            key: [walk.roots(channels) for channels in inputs]
            for key, inputs in walk.nested.items()
        }
        self.kept_whole = walk.kept_whole


class _Walk:
    """One walk over a network's graph, from its inputs to its outputs."""

    def __init__(self):
        self.layers: dict[int, LayerChannels] = {}
        self.scales: dict[str, np.ndarray] = {}
        self.nested: dict[int, list] = {}
        self.kept_whole: dict[str, str] = {}
        self._parent: list[int] = []
        self._reasons: dict[int, str] = {}
        self._reads: list[tuple] = []

    def network(self, network, inputs: Sequence[Flow] | None) -> list[Flow]:
        """Walk a network, or one within it, and return the flows of its outputs."""
        graph = graph_of(network)
        if inputs is None:
            inputs = [self._fixed(x.shape, "it is an input of the network") for x in graph.inputs]
        flows = {id(tensor): flow for tensor, flow in zip(graph.inputs, inputs, strict=True)}
        for call in calls_of(graph):
            made = self._visit(call, [flows[id(tensor)] for tensor in call.inputs])
            flows |= {id(tensor): flow for tensor, flow in zip(call.outputs, made, strict=True)}
        return [flows[id(tensor)] for tensor in graph.outputs]

    def protect_all(self, flows, reason):
        """Let nothing of these flows go."""
        for flow in flows:
            self._protect(flow.channels, reason)

    def roots(self, channels) -> np.ndarray:
        """Return the number that stands for each channel and those that it was joined with."""
        return np.array([self._root(channel) for channel in channels], int)

    def reasons_of_roots(self) -> dict[int, str]:
        """Return why a channel stays, for those that have a reason."""
        return {self._root(channel): reason for channel, reason in self._reasons.items()}

    def zeroed_by_of_roots(self, reasons) -> dict[int, frozenset]:
        """Return what lets a channel go, and add to `reasons` why others stay."""
        found = {}
        for channels, zeroed_by, name in self._reads:
            for root, scales in zip(self.roots(channels), zeroed_by, strict=True):
                if scales is None:
                    reasons.setdefault(
                        root, f"no normalisation scales it right before {name}, which reads it"
                    )
                found[root] = found.get(root, frozenset()) | (scales or frozenset())
        return {root: scales for root, scales in found.items() if root not in reasons}

    # --- channels: a forest, in which joining makes one tree of two

    def _new(self, count) -> np.ndarray:
        first = len(self._parent)
        self._parent += range(first, first + count)
        return np.arange(first, first + count)

    def _root(self, channel) -> int:
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return int(channel)

    def _join(self, first, second):
        for one, other in zip(first, second, strict=True):
            one, other = sorted((self._root(one), self._root(other)))
            self._parent[other] = one

    def _protect(self, channels, reason):
        for channel in channels:
            self._reasons.setdefault(int(channel), reason)

    def _fixed(self, shape, reason) -> Flow:
        channels = self._new(shape[-1] or 0 if shape else 0)
        self._protect(channels, reason)
        return Flow(channels, [None] * len(channels))

    # --- layers

    def _visit(self, call, inputs) -> list[Flow]:
        """Return the flows out of one call of a layer or operation."""
        operation = call.operation
        if isinstance(operation, keras.Model) and graph_of(operation):
            known = self.nested.setdefault(id(operation), [flow.channels for flow in inputs])
            for channels, flow in zip(known, inputs, strict=True):
                self._join(channels, flow.channels)
            return self.network(operation, inputs)
        handler, obstacle = _handler_of(operation, call)
        if handler is None:
            return self._leave_whole(operation, call, inputs, obstacle)
        return [handler(self, operation, call, inputs)]

    def _leave_whole(self, operation, call, inputs, obstacle):
        reason = f"{operation.name} ({type(operation).__name__}) {obstacle}"
        self.kept_whole.setdefault(operation.name, obstacle)
        self.protect_all(inputs, reason)
        return [self._fixed(tensor.shape, reason) for tensor in call.outputs]

    def _own(self, layer, axes, makes=False, **channels):
        """Note a layer's channels; a shared layer has the same ones at each of its calls."""
        axes = {**axes, **{name: {-1: "out"} for name in channel_vectors_of(layer)}}
        known = self.layers.setdefault(id(layer), LayerChannels(layer, axes, channels, makes))
        for side, own in known.channels.items():
            if own is not channels[side]:
                self._join(own, channels[side])
        return known.channels

    def _mix(self, layer, flow, axes, units) -> Flow:
        """Return the new channels of a layer that mixes all of its inputs."""
        self._reads.append((flow.channels, flow.zeroed_by, layer.name))
        known = self.layers.get(id(layer))
        out = known.channels["out"] if known else self._new(units)
        sides = {"in": flow.channels, "out": out}
        if "pointwise_kernel" in axes:
            sides["mid"] = np.repeat(flow.channels, layer.depth_multiplier)
        self._own(layer, axes, makes=True, **sides)
        if not _is_elementwise(layer.activation):
            activation = _name_of(layer.activation)
            self._protect(out, f"the activation of {layer.name}, {activation}, may mix them")
        return Flow(out, [None] * len(out))

    def _conv(self, layer, call, inputs):
        return self._mix(layer, inputs[0], _CONV, layer.filters)

    def _conv_transpose(self, layer, call, inputs):
        return self._mix(layer, inputs[0], _TRANSPOSE, layer.filters)

    def _separable(self, layer, call, inputs):
        return self._mix(layer, inputs[0], _SEPARABLE, layer.filters)

    def _dense(self, layer, call, inputs):
        return self._mix(layer, inputs[0], _CONV, layer.units)

    def _depthwise(self, layer, call, inputs):
        (flow,) = inputs
        out = flow.read_as(np.repeat(np.arange(len(flow.channels)), layer.depth_multiplier))
        self._own(layer, _DEPTHWISE, **{"in": flow.channels, "out": out.channels})
        return out.never_zero() if layer.use_bias or not _keeps_zero(layer.activation) else out

    def _batch_norm(self, layer, call, inputs):
        return self._scaled(layer, inputs[0])

    def _group_norm(self, layer, call, inputs):
        # A group's statistics are of all its channels: they go together.
        for group in inputs[0].channels.reshape(layer.groups, -1):
            self._join(group[:1].repeat(len(group)), group)
        return self._scaled(layer, inputs[0])

    def _scaled(self, layer, flow):
        self._own(layer, _VECTORS, out=flow.channels)
        if not layer.scale:
            return flow.never_zero()
        path = layer.gamma.path
        self.scales.setdefault(path, flow.channels)
        return Flow(flow.channels, [frozenset({(path, i)}) for i in range(len(flow.channels))])

    def _pass(self, layer, call, inputs):
        return inputs[0]

    def _activation(self, layer, call, inputs):
        return inputs[0] if _keeps_zero(layer) else inputs[0].never_zero()

    def _prelu(self, layer, call, inputs):
        self._own(layer, _VECTORS, out=inputs[0].channels)
        return inputs[0]

    def _sum(self, layer, call, inputs):
        return self._merge(layer, inputs, _zero_if_all)

    def _product(self, layer, call, inputs):
        return self._merge(layer, inputs, _zero_if_any)

    def _merge(self, layer, inputs, zero_if):
        """Return the channels of tensors that are combined position by position."""
        width = max(len(flow.channels) for flow in inputs)
        full = [flow for flow in inputs if len(flow.channels) == width]
        spread = [flow for flow in inputs if len(flow.channels) != width]
        self.protect_all(spread, f"{layer.name} spreads it over all channels")
        for flow in full[1:]:
            self._join(full[0].channels, flow.channels)
        if spread and zero_if is _zero_if_all:
            return full[0].never_zero()
        return Flow(full[0].channels, [zero_if(sets) for sets in zip(*_zeroed(full), strict=True)])

    def _concatenate(self, layer, call, inputs):
        if layer.axis not in (-1, len(call.outputs[0].shape) - 1):
            return self._merge(layer, inputs, _zero_if_all)
        channels = np.concatenate([flow.channels for flow in inputs])
        return Flow(channels, [scales for flow in inputs for scales in flow.zeroed_by])

    def _reshape(self, layer, call, inputs):
        """Return the channels of a tensor whose positions are arranged anew."""
        before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
        positions = np.arange(len(inputs[0].channels))
        # (positions that share the new last axis, new last axis)
        places = np.broadcast_to(positions, before).reshape(-1, after[-1])
        places = np.unique(places, axis=0)
        for place in places[1:]:
            self._join(inputs[0].channels[places[0]], inputs[0].channels[place])
        flows = [inputs[0].read_as(place) for place in places]
        zeroed_by = [_zero_if_all(sets) for sets in zip(*_zeroed(flows), strict=True)]
        self._own(layer, {}, out=flows[0].channels)
        return Flow(flows[0].channels, zeroed_by)


def _zeroed(flows):
    return [flow.zeroed_by for flow in flows]


def _zero_if_all(sets):
    """Return what makes a sum zero: all that make its terms zero."""
    return None if None in sets else frozenset().union(*sets)


def _zero_if_any(sets):
    """Return what makes a product zero: what does so with any of its factors."""
    return next((scales for scales in sets if scales is not None), None)


def _keeps_zero(activation) -> bool:
    """Return whether a layer or function gives zero for zero."""
    return not np.any(keras.ops.convert_to_numpy(activation(np.zeros((1, 2), "float32"))))


def _is_elementwise(activation) -> bool:
    """Return whether an activation makes of each channel alone what it makes of it among others.

    Softmax does not; nor does what treats channels by their places, or cannot be tried out here.
    """
    if activation is None:
        return True
    values = np.random.default_rng(0).normal(0, 2, (16, 5)).astype("float32")
    try:
        together = keras.ops.convert_to_numpy(activation(values))
        alone = [
            keras.ops.convert_to_numpy(activation(values[:, i : i + 1]))
            for i in range(values.shape[1])
        ]
    except Exception:  # anybody's code, which may be made for one width or shape only
        return False
    if together.shape != values.shape or any(each.shape != (16, 1) for each in alone):
        return False
    return np.allclose(together, np.concatenate(alone, axis=1), rtol=1e-4, atol=1e-5)


def _name_of(activation) -> str:
    return getattr(activation, "__name__", None) or getattr(activation, "name", repr(activation))


_HANDLERS = {
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), _Walk._conv),
    **dict.fromkeys(
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        _Walk._conv_transpose,
    ),
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _Walk._depthwise),
    **dict.fromkeys((layers.SeparableConv1D, layers.SeparableConv2D), _Walk._separable),
    layers.Dense: _Walk._dense,
    layers.BatchNormalization: _Walk._batch_norm,
    layers.GroupNormalization: _Walk._group_norm,
    layers.PReLU: _Walk._prelu,
    **dict.fromkeys((layers.Add, layers.Average, layers.Subtract), _Walk._sum),
    **dict.fromkeys((layers.Maximum, layers.Minimum), _Walk._sum),
    layers.Multiply: _Walk._product,
    layers.Concatenate: _Walk._concatenate,
    **dict.fromkeys((layers.Reshape, layers.Flatten), _Walk._reshape),
    **dict.fromkeys(
        (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Rescaling),
        _Walk._activation,
    ),
    **dict.fromkeys(
        (
            *(layers.Dropout, layers.GaussianDropout, layers.Identity),
            *(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
            *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
            *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
            *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
            *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
            layers.GlobalAveragePooling3D,
            *(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D),
            *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
            *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
        ),
        _Walk._pass,
    ),
}


# What `x + y`, `x * y` and `keras.ops` make of two tensors, as `kind_of` calls it.
_HANDLERS_OF_OPERATIONS = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), _Walk._sum),
    "Multiply": _Walk._product,
    "Concatenate": _Walk._concatenate,
}


def _handler_of(operation, call):
    """Return how a layer treats channels, or None and why that is not known."""
    kind = type(operation)
    if not isinstance(operation, layers.Layer) and len(call.inputs) > 1:
        handler = _HANDLERS_OF_OPERATIONS.get(kind_of(operation))
        return handler, None if handler else "is of a kind that cannot be slimmed"
    if kind not in _HANDLERS and isinstance(operation, HasChannelVectors):
        kind = next((base for base in kind.__mro__ if base in _HANDLERS), kind)
    if kind not in _HANDLERS:
        return None, "is of a kind that cannot be slimmed"
    obstacle = _obstacle(operation, kind, call)
    return (None, obstacle) if obstacle else (_HANDLERS[kind], None)


def _obstacle(layer, kind, call):
    """Return why a layer of a known kind cannot be looked into, or None."""
    shape = call.inputs[0].shape
    if getattr(layer, "data_format", "channels_last") not in ("channels_last", None):
        return "has its channels first"
    if getattr(layer, "groups", 1) != 1 and kind is not layers.GroupNormalization:
        return "convolves in groups"
    passes_on = (layers.Activation, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    if kind in passes_on and not _is_elementwise(layer.activation):
        return f"has an activation, {_name_of(layer.activation)}, that may mix channels"
    if kind is layers.Rescaling and np.ndim(layer.scale) + np.ndim(layer.offset):
        return "rescales each channel by itself"
    norms = (layers.BatchNormalization, layers.GroupNormalization)
    if kind in norms and layer.axis not in (-1, len(shape) - 1):
        return f"normalises along axis {layer.axis}"
    if kind in (layers.Reshape, layers.Flatten):
        before, after = shape[1:], call.outputs[0].shape[1:]
        if None in before or None in after or not after or not math.prod(after):
            return "reshapes images of a size that is not known"
    return None
