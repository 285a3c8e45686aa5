"""Which channels of a network live together, and what has to be masked before one can go.

A channel is born as a filter of a convolution or a unit of a dense layer and lives on in the layers
after it: in a normalisation's scale, in a depthwise kernel, in the inputs of the next convolution.
Adding two tensors makes one channel of two, flattening an image spreads one over many positions.
The graph of a Functional network is walked once, every channel carrying a number.

A channel can go without a trace where each layer that mixes it with others reads nothing but zeros
from it. A scale and shift that are zero make it so, or filters that are, with all that belongs to
the channel behind them. What keeps zeros (a rectifier, pooling, padding) passes that on.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from tf_tickets.channels.flows import NEVER, Flow, Key
from tf_tickets.channels.handlers import handler_of, kernel_of
from tf_tickets.keras_internals import calls_of, graph_of
from tf_tickets.names import names_of
from tf_tickets.protocols import channel_vectors_of


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

    @property
    def kernel(self) -> keras.Variable | None:
        """The weight that has a filter for each channel that the layer makes, if it makes some."""
        return getattr(self.layer, kernel_of(self.axes)) if self.makes else None


@dataclasses.dataclass(frozen=True)
class Removable:
    """Which channels can go, by masks of one kind.

    Attributes:
        keys: channel -> the places which, all masked, let it go; absent where nothing does.
        reasons: channel -> why it stays.
    """

    keys: dict[int, frozenset[Key]]
    reasons: dict[int, str]


class ChannelGraph:
    """The channels of one network.

    Args:
        network: a built Functional or Sequential model.
        names: `id` of each variable of the network -> its name, as `names_of` returns them of a
            model that the network is a part of; by default of the network itself.

    Attributes:
        names: likewise.
        layers: LayerChannels of every layer with channels of its own, in the graph's order.
        scales: name of a normalisation's scale -> its channels.
        kernels: name of a kernel that makes channels -> those of its filters.
        by_name: both, all that channel masks can be of.
        by_scales, by_kernels: what masked scales, and masked filters, let go.
        shapes: pairs of a Reshape layer and the channels that it makes, one for each call.
        nested: id of a model within the network -> the channels of each of its inputs.
        kept_whole: layer name -> why the layer could not be looked into.
    """

    def __init__(self, network: keras.Model, names: Mapping[int, str] | None = None):
        self.names = names_of(network) if names is None else names
        walk = _Walk(self.names)
        walk.protect_all(walk.network(network, None), "it is an output of the network")
        self.layers = [
            dataclasses.replace(
                each, channels={side: walk.roots(ids) for side, ids in each.channels.items()}
            )
            for each in walk.layers.values()
        ]
        self.scales = {name: walk.roots(ids) for name, ids in walk.scales.items()}
        self.kernels = {name: walk.roots(ids) for name, ids in walk.kernels.items()}
        self.by_name = {**self.scales, **self.kernels}
        self.by_scales = walk.removable(
            "scales", "no normalisation scales it right before {}, which reads it"
        )
        self.by_kernels = walk.removable("kernels", "no filters make all of it that {} reads")
        self.shapes = [(layer, walk.roots(ids)) for layer, ids in walk.shapes]
        self.nested = {
            key: [walk.roots(channels) for channels in inputs]
            for key, inputs in walk.nested.items()
        }
        self.kept_whole = walk.kept_whole


class _Walk:
    """One walk over a network's graph, from its inputs to its outputs."""

    def __init__(self, names):
        self.layers: dict[int, LayerChannels] = {}
        self.scales: dict[str, np.ndarray] = {}
        self.kernels: dict[str, np.ndarray] = {}
        self.shapes: list[tuple] = []
        self.nested: dict[int, list] = {}
        self.kept_whole: dict[str, str] = {}
        self._names = names
        self._parent: list[int] = []
        self._reasons: dict[int, str] = {}
        self._reads: list[tuple] = []

    def network(self, network, inputs: Sequence[Flow] | None) -> list[Flow]:
        """Walk a network, or one within it, and return the flows of its outputs."""
        graph = graph_of(network)
        if inputs is None:
            inputs = [self.fixed(x.shape, "it is an input of the network") for x in graph.inputs]
        flows = {id(tensor): flow for tensor, flow in zip(graph.inputs, inputs, strict=True)}
        for call in calls_of(graph):
            made = self._visit(call, [flows[id(tensor)] for tensor in call.inputs])
            flows |= {id(tensor): flow for tensor, flow in zip(call.outputs, made, strict=True)}
        return [flows[id(tensor)] for tensor in graph.outputs]

    def protect_all(self, flows, reason):
        """Let nothing of these flows go."""
        for flow in flows:
            self.protect(flow.channels, reason)

    def roots(self, channels) -> np.ndarray:
        """Return the number that stands for each channel and those that it was joined with."""
        return np.array([self._root(channel) for channel in channels], int)

    def removable(self, kind, unless) -> Removable:
        """Return what masks of one kind let go, and why the rest stays.

        Args:
            kind: "scales" or "kernels".
            unless: the reason if nothing of that kind makes zero what a layer, {}, reads.
        """
        reasons = {self._root(channel): reason for channel, reason in self._reasons.items()}
        found = {}
        for flow, name in self._reads:
            why = flow.why or unless.format(name)
            for root, zeros in zip(self.roots(flow.channels), flow.zeros, strict=True):
                keys = getattr(zeros, kind)
                if keys is None:
                    reasons.setdefault(int(root), why)
                found[int(root)] = found.get(int(root), frozenset()) | (keys or frozenset())
        keys = {root: keys for root, keys in found.items() if root not in reasons}
        return Removable(keys, reasons)

    # --- channels: a forest, in which joining makes one tree of two

    def new_channels(self, count) -> np.ndarray:
        """Return the numbers of so many new channels."""
        first = len(self._parent)
        self._parent += range(first, first + count)
        return np.arange(first, first + count)

    def _root(self, channel) -> int:
        while self._parent[channel] != channel:
            self._parent[channel] = self._parent[self._parent[channel]]
            channel = self._parent[channel]
        return int(channel)

    def join(self, first, second):
        """Make one channel of each two."""
        for one, other in zip(first, second, strict=True):
            one, other = sorted((self._root(one), self._root(other)))
            self._parent[other] = one

    def protect(self, channels, reason):
        """Let none of these channels go."""
        for channel in channels:
            self._reasons.setdefault(int(channel), reason)

    def fixed(self, shape, reason) -> Flow:
        """Return the flow of a tensor of which nothing may go."""
        channels = self.new_channels(_width(shape))
        self.protect(channels, reason)
        return Flow(channels, [NEVER] * len(channels))

    # --- layers

    def _visit(self, call, inputs) -> list[Flow]:
        """Return the flows out of one call of a layer or operation."""
        operation = call.operation
        if isinstance(operation, keras.Model) and graph_of(operation):
            return self._nested(operation, call, inputs)
        handler, obstacle = handler_of(operation, call)
        if handler is None:
            return self._leave_whole(operation, call, inputs, obstacle)
        flow = handler(self, operation, call, inputs)
        if flow is None or not _fit([flow], call.outputs):
            obstacle = "is called in a way that cannot be followed"
            return self._leave_whole(operation, call, inputs, obstacle)
        return [flow]

    def _nested(self, model, call, inputs):
        """Walk a model within the network; it has the same channels at each of its calls."""
        places = graph_of(model).inputs
        if not _fit(inputs, places):
            return self._leave_whole(model, call, inputs, "is called on other shapes than its own")
        known = self.nested.setdefault(id(model), [flow.channels for flow in inputs])
        for place, channels, flow in zip(places, known, inputs, strict=True):
            if _width(place.shape):  # not where it takes any width
                self.join(channels, flow.channels)
        made = self.network(model, inputs)
        if _fit(made, call.outputs):
            return made
        reason = f"{model.name} holds layers that take any width, and cannot be followed"
        self.protect_all([*inputs, *made], reason)
        return [self.fixed(tensor.shape, reason) for tensor in call.outputs]

    def _leave_whole(self, operation, call, inputs, obstacle):
        reason = f"{operation.name} ({type(operation).__name__}) {obstacle}"
        self.kept_whole.setdefault(operation.name, obstacle)
        self.protect_all(inputs, reason)
        return [self.fixed(tensor.shape, reason) for tensor in call.outputs]

    def known(self, layer) -> LayerChannels | None:
        """Return what was noted of a layer at a call before."""
        return self.layers.get(id(layer))

    def own(self, layer, axes, makes=False, **channels):
        """Note a layer's channels; a shared layer has the same ones at each of its calls."""
        axes = {**axes, **{name: {-1: "out"} for name in channel_vectors_of(layer)}}
        known = self.layers.setdefault(id(layer), LayerChannels(layer, axes, channels, makes))
        for side, own in known.channels.items():
            if own is not channels[side]:
                self.join(own, channels[side])

    def note_shape(self, layer, channels):
        """Note the channels that a Reshape or Flatten layer makes."""
        if isinstance(layer, keras.layers.Reshape):
            for other, known in self.shapes:
                if other is layer and layer.target_shape[-1] != -1:  # one number for all calls
                    self.join(known, channels)
            self.shapes.append((layer, channels))

    def read(self, flow, name):
        """Note that a layer of this name mixes a flow with others."""
        self._reads.append((flow, name))

    def add_scale(self, gamma, channels) -> str:
        """Note the channels of a normalisation's scale, and return its name."""
        name = self._names[id(gamma)]
        self.scales.setdefault(name, channels)
        return name

    def add_kernel(self, kernel, channels) -> str:
        """Note the channels of a kernel's filters, and return its name."""
        name = self._names[id(kernel)]
        self.kernels.setdefault(name, channels)
        return name


def _width(shape) -> int:
    """Return how many channels a tensor has; 0 where it has no axis of them, or any number."""
    return shape[-1] or 0 if shape else 0


def _fit(flows, tensors) -> bool:
    """Return whether flows are as wide as tensors, each its own; any width fits an unknown one."""
    return len(flows) == len(tensors) and all(
        len(flow.channels) == _width(tensor.shape) or tensor.shape[-1:] == (None,)
        for flow, tensor in zip(flows, tensors, strict=True)
    )
