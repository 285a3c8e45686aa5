"""What a slim model lost, and why the rest of it stayed."""

import dataclasses
from collections.abc import Iterator

import keras
import numpy as np

from tf_tickets.channels.graph import ChannelGraph, LayerChannels, Removable
from tf_tickets.channels.keys import removed_channels
from tf_tickets.keras_internals import layers_of
from tf_tickets.pruning.masks import Masks


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


def rows_of(network: keras.Model, graph: ChannelGraph, masks: Masks) -> Iterator[SlimmedLayer]:
    """Yield a SlimmedLayer for each layer that makes channels or was left whole.

    Args:
        network: of the graph.
        graph: whose channels were removed.
        masks: by which they were.
    """
    gone = removed_channels(graph, masks)
    by_kernels = any(name in graph.kernels for name in masks)
    removable = graph.by_kernels if by_kernels else graph.by_scales
    for each in graph.layers:
        if each.makes:
            before = len(each.channels["out"])
            after = int(np.count_nonzero(~np.isin(each.channels["out"], gone)))
            reason = _reason(each, removable) if after == before else ""
            yield SlimmedLayer(each.layer.name, type(each.layer).__name__, before, after, reason)
    followed = {id(each.layer) for each in graph.layers}
    for layer in layers_of(network):
        if layer.name in graph.kept_whole and layer.weights and id(layer) not in followed:
            shapes = [tuple(weight.shape) for weight in layer.weights]
            width = next((shape[-1] for shape in shapes if shape), 1)
            obstacle = graph.kept_whole[layer.name]
            yield SlimmedLayer(layer.name, type(layer).__name__, width, width, obstacle)


def _reason(each: LayerChannels, removable: Removable) -> str:
    channels = each.channels["out"].tolist()
    for channel in channels:
        if channel in removable.reasons:
            return removable.reasons[channel]
    if not any(channel in removable.keys for channel in channels):
        return "nothing reads what it makes"
    names = {name for channel in channels for name, _ in removable.keys.get(channel, ())}
    if len(names) > 1:
        return (
            f"its channels can only go from all of these at once, by whole_groups=True: "
            f"{', '.join(sorted(names))}"
        )
    return "none of its channels is masked"
