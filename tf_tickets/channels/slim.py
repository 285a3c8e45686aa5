"""A physically smaller model: masked channels removed, not zeroed."""

import collections
import functools
import itertools
from collections.abc import Callable, Iterable

import keras
import numpy as np

from tf_tickets.channels.carry import carry, variable_pairs
from tf_tickets.channels.graph import ChannelGraph
from tf_tickets.channels.keys import channel_masks_for, masked_with, removed_channels
from tf_tickets.channels.ranking import graphs_of, networks_of
from tf_tickets.channels.scoring import magnitudes_of
from tf_tickets.channels.slim_report import SlimReport, rows_of
from tf_tickets.errors import check_count
from tf_tickets.keras_internals import copy_layer, copy_network, graph_of
from tf_tickets.protocols import Settles, has_ability, rebuilt
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values


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
        masks: name of a normalisation's scale, or of a kernel that makes channels -> bool
            (channels,), as `channel_masks` returns. With a masked filter go its bias and the scales
            and shifts behind it.
        round_to: widths are rounded up to multiples of this, 1 or more, which hardware may like
            better, by the channels of the largest scales, or filters of the largest norms.

    Returns:
        The slim model, with `slim_report`, a SlimReport.

    Raises:
        SettingError: if the masks are for another model, the model cannot be looked into,
            something of it cannot be copied, or `round_to` is no whole number of 1 or more.
    """
    check_count("round_to", round_to)
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
        tuple(
            row for name, graph in graphs.items() for row in rows_of(networks[name], graph, masks)
        ),
        *(num_values(each.trainable_variables) for each in (model, slimmed)),
        masks,
    )
    return slimmed


def masks_with_widths(graphs: Iterable[ChannelGraph], masks: Masks, round_to: int) -> Masks:
    """Return masks less the channels that come back: no layer is empty, and widths are rounded up.

    Args:
        graphs: of the model, as `graphs_of` returns them.
        masks: name of a scale or kernel -> bool (channels,).
        round_to: as `slim` takes it.
    """
    return functools.reduce(lambda kept, graph: _rounded(graph, kept, round_to), graphs, masks)


def _rounded(graph: ChannelGraph, masks: Masks, round_to: int) -> Masks:
    """Return masks in which enough channels came back, those of the largest scales first."""
    kept = {name: mask.copy() for name, mask in masks.items()}
    keys = {
        int(channel): [key for key in _keys_of(graph, channel) if key[0] in kept]
        for channel in removed_channels(graph, masks)
    }
    sizes = magnitudes_of(graph)
    scale = {
        channel: np.mean([sizes[name][index] for name, index in places])
        for channel, places in keys.items()
    }
    widths = [each.channels["out"] for each in graph.layers if each.makes]
    widths += [channels for _, channels in graph.shapes]
    back = [None]
    while back:  # until no layer needs one: what comes back for one may widen another
        gone = set(removed_channels(graph, kept).tolist())
        back = []
        for channels in widths:
            back += _coming_back(channels.tolist(), gone, scale, round_to)
            gone -= set(back)
        for name, index in itertools.chain.from_iterable(keys[channel] for channel in back):
            kept[name][index] = True
    return Masks(kept)


def _keys_of(graph, channel):
    """Return the places of which some are masked where a channel has gone."""
    by = (graph.by_scales, graph.by_kernels)
    return sorted(frozenset().union(*(each.keys.get(int(channel), ()) for each in by)))


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
        self._shapes = {id(layer): channels for layer, channels in graph.shapes}
        self._made: dict[int, tuple] = {}
        self.slices: dict[int, Callable] = {}
        self.network = copy_network(network, self._clone)
        for layer, copy in self._made.values():
            if id(layer) not in graph.nested:  # whose layers are among these
                self._fill(layer, copy, masks)

    def pairs(self) -> list[tuple]:
        """Return each layer, and the network itself, with its copy."""
        return [(self._network, self.network), *self._made.values()]

    def _kept(self, each, side):
        return ~np.isin(each.channels[side], self._gone)

    def _clone(self, layer):
        """Return a new layer as wide as what it keeps; the same one at each call of a layer."""
        if not isinstance(layer, keras.layers.Layer):  # an operation has no width of its own
            return copy_layer(layer)
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
        lost = int(np.count_nonzero(np.isin(channels, self._gone)))
        takes_any = tensor.shape[-1:] == (None,)
        shape = (
            tensor.shape if takes_any or not lost else (*tensor.shape[:-1], tensor.shape[-1] - lost)
        )
        return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=tensor.name)

    def _clone_layer(self, layer):
        each = self._channels.get(id(layer))
        if id(layer) in self._shapes and layer.target_shape[-1] != -1:
            count = np.count_nonzero(~np.isin(self._shapes[id(layer)], self._gone))
            return copy_layer(layer, target_shape=(*layer.target_shape[:-1], int(count)))
        return copy_layer(layer, **(self._narrower(each) if each else {}))

    def _narrower(self, each) -> dict:
        """Return what changes in a layer's config."""
        layer, kept = each.layer, self._kept(each, "out")
        count = int(np.count_nonzero(kept))
        if isinstance(layer, keras.layers.GroupNormalization):
            return {"groups": count * layer.groups // len(kept)}
        if isinstance(layer, keras.layers.Dense):
            return {"units": count}
        return {"filters": count} if each.makes else {}

    def _fill(self, layer, copy, masks):
        each = self._channels.get(id(layer))
        masked = masked_with(self._graph, each, masks) if each else {}
        for variable, target in variable_pairs(layer, copy):
            value = variable.numpy()
            if variable.name in masked:
                value = value * masked[variable.name]  # what cannot go is zero all the same
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
