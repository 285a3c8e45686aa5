"""A physically smaller model: masked channels removed, not zeroed."""

import collections
import dataclasses
import functools
import itertools
import numbers
from collections.abc import Callable, Iterable

import keras
import numpy as np

from tf_tickets.channels.carry import carry
from tf_tickets.channels.graph import ChannelGraph, LayerChannels
from tf_tickets.channels.ranking import (
    channel_masks_for,
    graphs_of,
    networks_of,
    removed_channels,
)
from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import copy_layer, copy_network, graph_of
from tf_tickets.protocols import Settles, has_ability, rebuilt
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values


@dataclasses.dataclass(frozen=True)
class SlimmedLayer:
    """What became of one layer.

    Attributes:
        name, kind: of the layer.
        before, after: channels that it makes.
        reason: why it lost none of them; empty where it did.
    """

    name: str
    kind: str
    before: int
    after: int
    reason: str = ""


@dataclasses.dataclass(frozen=True)
class SlimReport:
    """What was slimmed, and what was left whole for which reason.

    Attributes:
        layers: a SlimmedLayer for each layer that makes channels or could not be looked into.
        params_before, params_after: trainable parameters of the model.
        masks: the channel masks that the slim model stands for: those asked for, less the channels
            that came back so that no layer was emptied and widths were rounded.
    """

    layers: tuple[SlimmedLayer, ...]
    params_before: int
    params_after: int
    masks: Masks

    def __str__(self):
        rows = [
            f"{each.name:<32} {each.kind:<20} {each.before:>6} -> {each.after:<6} {each.reason}"
            for each in self.layers
        ]
        total = f"{self.params_before:,} -> {self.params_after:,} trainable parameters"
        return "\n".join([*(row.rstrip() for row in rows), total])


def slim(model: keras.Model, masks: Masks, round_to: int = 1) -> keras.Model:
    """Return a new, smaller model that computes what the channel-masked one does.

    The model itself is left as it is. The slim one is made of layers of the same classes, so its
    `.keras` file loads wherever the first one's does. It is of the model's class, though `__init__`
    is not called, with the attributes that were set on it: what is trained there is copied, and
    what is not, such as a teacher, is shared. If the model is compiled, so is the slim one, and its
    optimizers go on with their state and all that they were told; its loss and metric objects are
    those of the model.

    Args:
        model: a built Functional or Sequential model, or a model whose `components` are such and
            that can be made again of others by `with_networks(**components)`.
        masks: name of a normalisation's scale -> bool (channels,), as `channel_masks` returns.
        round_to: widths are rounded up to multiples of this, 1 or more, which hardware may like
            better, by the channels of the largest scales.

    Returns:
        The slim model, with `slim_report`, a SlimReport.

    Raises:
        SettingError: if the masks are for another model, the model cannot be looked into,
            something of it cannot be copied, or `round_to` is no whole number of 1 or more.
    """
    if not isinstance(round_to, numbers.Integral) or round_to < 1:
        raise SettingError(f"`round_to` must be a whole number >= 1. Received: {round_to!r}.")
    networks = networks_of(model)
    graphs = graphs_of(model)
    masks = channel_masks_for(model, graphs.values(), masks)
    masks = masks_with_widths(graphs.values(), masks, round_to)
    with model.distribute_strategy.scope():
        copies = {name: _Copy(network, graphs[name], masks) for name, network in networks.items()}
        made = {name: copy.network for name, copy in copies.items()}
        slimmed = rebuilt(model, made)
        slices = {key: cut for copy in copies.values() for key, cut in copy.slices.items()}
        pairs = [pair for copy in copies.values() for pair in copy.pairs()]
        carry(model, slimmed, pairs, slices)
    slimmed.slim_report = SlimReport(
        tuple(row for copy in copies.values() for row in copy.rows()),
        *(num_values(each.trainable_variables) for each in (model, slimmed)),
        masks,
    )
    return slimmed


def masks_with_widths(graphs: Iterable[ChannelGraph], masks: Masks, round_to: int) -> Masks:
    """Return masks less the channels that come back: no layer is empty, and widths are rounded up.

    Args:
        graphs: of the model, as `graphs_of` returns them.
        masks: name of a normalisation's scale -> bool (channels,).
        round_to: as `slim` takes it.
    """
    return functools.reduce(lambda kept, graph: _rounded(graph, kept, round_to), graphs, masks)


def _rounded(graph: ChannelGraph, masks: Masks, round_to: int) -> Masks:
    """Return masks in which enough channels came back, those of the largest scales first."""
    kept = {name: mask.copy() for name, mask in masks.items()}
    scaled = [each.layer.gamma for each in _scaled(graph)]
    gammas = {graph.names[id(gamma)]: np.abs(gamma.numpy()) for gamma in scaled}
    scale = {
        channel: np.mean([gammas[name][index] for name, index in scales])
        for channel, scales in graph.zeroed_by.items()
        if scales
    }
    back = [None]
    while back:  # until no layer needs one: what comes back for one may widen another
        gone = set(removed_channels(graph, kept).tolist())
        back = []
        for each in graph.layers:
            if each.makes or isinstance(each.layer, keras.layers.Reshape):
                back += _coming_back(each.channels["out"].tolist(), gone, scale, round_to)
                gone -= set(back)
        for name, index in itertools.chain.from_iterable(graph.zeroed_by[c] for c in back):
            kept[name][index] = True
    return Masks(kept)


def _coming_back(channels, gone, scale, round_to) -> list:
    """Return which channels have to come back for a layer to have a width that is wanted.

    Args:
        channels: of each position in the layer's output; a channel may have several, as all of a
            group normalisation's group are one.
        gone: the channels that went.
        scale: channel -> the mean of its scales.
    """
    positions = collections.Counter(channels)
    lost = sorted(gone & positions.keys(), key=scale.get)
    width = len(channels) - sum(positions[channel] for channel in lost)
    back = []
    while lost and (width == 0 or width % round_to):
        back.append(lost.pop())
        width += positions[back[-1]]
    return back


def _scaled(graph):
    return [each for each in graph.layers if getattr(each.layer, "gamma", None) is not None]


def _shapes(layer):
    return [tuple(variable.shape) for variable in layer.variables]


class _Copy:
    """A slim copy of one network.

    Attributes:
        network: the copy.
        slices: id of a variable of the original -> function of an array of its shape, which cuts
            out what the copy's variable keeps; absent where that is all.
    """

    def __init__(self, network, graph: ChannelGraph, masks: Masks):
        self._network = network
        self._graph = graph
        self._gone = removed_channels(graph, masks)
        self._channels = {id(each.layer): each for each in graph.layers}
        self._made: dict[int, tuple] = {}
        self.slices: dict[int, Callable] = {}
        self.network = copy_network(network, self._clone)
        for layer, copy in self._made.values():
            if id(layer) not in graph.nested:  # whose layers are among these
                self._fill(layer, copy, masks)

    def pairs(self) -> list[tuple]:
        """Return each layer, and the network itself, with its copy."""
        return [(self._network, self.network), *self._made.values()]

    def rows(self):
        """Yield a SlimmedLayer for each layer that makes channels or was left whole."""
        for each in self._graph.layers:
            if each.makes:
                kept = int(np.count_nonzero(self._kept(each, "out")))
                before = len(each.channels["out"])
                reason = self._reason(each) if kept == before else ""
                yield SlimmedLayer(each.layer.name, type(each.layer).__name__, before, kept, reason)
        for name, obstacle in self._graph.kept_whole.items():
            layer = next((old for old, _ in self._made.values() if old.name == name), None)
            if layer is not None and layer.weights:
                width = next((v.shape[-1] for v in layer.weights if len(v.shape)), 1)
                yield SlimmedLayer(name, type(layer).__name__, width, width, obstacle)

    def _reason(self, each: LayerChannels):
        channels = each.channels["out"].tolist()
        for channel in channels:
            if channel in self._graph.reasons:
                return self._graph.reasons[channel]
        if not any(channel in self._graph.zeroed_by for channel in channels):
            return "nothing reads what it makes"
        scales = {
            name for channel in channels for name, _ in self._graph.zeroed_by.get(channel, ())
        }
        if len(scales) > 1:
            return (
                f"its channels can only go from all of these at once, by whole_groups=True: "
                f"{', '.join(sorted(scales))}"
            )
        return "none of its channels is masked"

    def _kept(self, each, side):
        return ~np.isin(each.channels[side], self._gone)

    def _clone(self, layer):
        """Return a new layer as wide as what it keeps; the same one at each call of a layer."""
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation, such as the sum of two tensors, has no width of its own
        if id(layer) not in self._made:
            is_model = id(layer) in self._graph.nested
            copy = self._clone_model(layer) if is_model else self._clone_layer(layer)
            self._made[id(layer)] = (layer, copy)
        return self._made[id(layer)][1]

    def _clone_model(self, model):
        inputs = [
            self._narrower_input(tensor, channels)
            for tensor, channels in zip(model.inputs, self._graph.nested[id(model)], strict=True)
        ]
        structure = graph_of(model).input  # one tensor, or a list or dict of them
        return copy_network(model, self._clone, keras.tree.pack_sequence_as(structure, inputs))

    def _narrower_input(self, tensor, channels):
        lost = np.count_nonzero(np.isin(channels, self._gone))
        shape = (*tensor.shape[:-1], tensor.shape[-1] - lost) if lost else tensor.shape
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)

    def _clone_layer(self, layer):
        each = self._channels.get(id(layer))
        return copy_layer(layer, **(self._narrower(each) if each else {}))

    def _narrower(self, each) -> dict:
        """Return what changes in a layer's config."""
        layer, kept = each.layer, self._kept(each, "out")
        count = int(np.count_nonzero(kept))
        if isinstance(layer, keras.layers.Reshape):
            return {"target_shape": (*layer.output.shape[1:-1], count)}
        if isinstance(layer, keras.layers.GroupNormalization):
            return {"groups": count * layer.groups // len(kept)}
        if isinstance(layer, keras.layers.Dense):
            return {"units": count}
        return {"filters": count} if each.makes else {}

    def _fill(self, layer, copy, masks):
        each = self._channels.get(id(layer))
        gamma = getattr(layer, "gamma", None) if each else None
        mask = masks.get(self._graph.names[id(gamma)]) if gamma is not None else None
        for variable, target in zip(layer.variables, copy.variables, strict=True):
            value = variable.numpy()
            if mask is not None and variable.name in ("gamma", "beta"):
                value = value * mask  # a channel that cannot go is zero all the same
            if each is not None and variable.name in each.axes:
                cut = functools.partial(self._cut, each, each.axes[variable.name])
                self.slices[id(variable)] = cut
                value = cut(value)
            target.assign(value)
        if has_ability(copy, Settles) and _shapes(layer) != _shapes(copy):
            copy.settle()

    def _cut(self, each, axes, value):
        for axis, side in axes.items():
            keep = self._kept(each, side)
            if value.shape[axis] == len(keep):  # not where one number serves all channels
                value = np.compress(keep, value, axis)
        return value
