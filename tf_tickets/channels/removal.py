"""What channel masks remove of a model's weights, and which channels are gone already."""

import keras
import numpy as np

from tf_tickets.channels.graph import ChannelGraph
from tf_tickets.channels.keys import (
    along,
    channel_masks_for,
    kernels_of,
    masked_with,
    removed_channels,
)
from tf_tickets.channels.ranking import graphs_of
from tf_tickets.channels.scoring import magnitudes_of
from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model
from tf_tickets.pruning.masks import Masks

# What all that follows depends on, be its layer frozen or not; beside kernels.
_DECIDING = ("gamma", "beta", "bias")


def weight_masks(model: keras.Model, masks: Masks) -> Masks:
    """Return masks of all trainable weights that channel masks make useless.

    Held to them, the whole model computes what the slim one does: scales, shifts, filters and the
    inputs of the next layers are zero where a channel went. Scales and shifts are so even where
    their layer is frozen, as all that follows depends on it; and where masked filters let a channel
    go, so are the moving means of normalisations without a scale. A channel that cannot go, because
    something else still needs it, loses its scale and shift alone, or its filter and bias.

    Args:
        model: as `ChannelRanking` takes it.
        masks: name of a normalisation's scale, or of a kernel -> bool (channels,), as
            `channel_masks` returns.

    Raises:
        SettingError: if the masks are for another model, or of something that is neither.
    """
    graphs = graphs_of(model).values()
    masks = channel_masks_for(model, graphs, masks)
    found = {}
    for graph in graphs:
        gone = removed_channels(graph, masks)
        emptied = removed_channels(graph, masks, ["kernels"])
        for each in graph.layers:
            own = masked_with(graph, each, masks)
            for variable in each.layer.variables:
                mask = np.ones(variable.shape, bool) & own.get(variable.name, True)
                which = gone if variable.trainable and each.layer.trainable else []
                if _decides(each, variable):
                    which = np.union1d(which, emptied)
                for axis, side in each.axes.get(variable.name, {}).items():
                    mask &= along(~np.isin(each.channels[side], which), variable.shape, axis)
                found[graph.names[id(variable)]] = mask
    return Masks({name: mask for name, mask in found.items() if not mask.all()})


def _decides(each, variable):
    """Return whether a variable has to be zero for a channel whose filters are masked to be so."""
    if variable.name == "moving_mean":
        return each.layer.gamma is None
    return variable.name in _DECIDING


def channel_masks_of_zeros(model: keras.Model) -> Masks:
    """Return masks of a model's channels that keep what is not zero already.

    A channel whose scale and shift are both zero, as one that was held to `weight_masks`, is gone
    for all that follows: `slim` removes it and the model computes the same. So is one whose filters
    and biases are zero, with all scales, shifts and moving means behind them. A layer of which all
    are zero was not pruned, which never empties one, but made with `gamma_initializer="zeros"` or
    the like, and is to learn yet: its channels stay.

    Args:
        model: a built model of any kind.

    Returns:
        Masks: name of each scale -> bool (channels,), and of each kernel that has channels which no
        scale lets go; empty where no channel is zero, or the model has none that could be followed.
    """
    check_model(model)
    try:
        graphs = graphs_of(model).values()
    except SettingError:
        return Masks({})
    kept = {}
    for graph in graphs:
        kept |= _scales_not_zero(graph)
    for graph in graphs:
        kept |= _filters_not_zero(model, graph, Masks(kept))
    return Masks({} if all(mask.all() for mask in kept.values()) else kept)


def _scales_not_zero(graph) -> dict[str, np.ndarray]:
    kept = {}
    for layer in (each.layer for each in graph.layers):
        gamma, beta = (getattr(layer, name, None) for name in ("gamma", "beta"))
        if gamma is not None:
            mask = gamma.numpy() != 0
            if beta is not None:
                mask |= beta.numpy() != 0
            kept[graph.names[id(gamma)]] = mask if mask.any() else ~mask
    return kept


def _filters_not_zero(model, graph: ChannelGraph, by_scales: Masks) -> dict[str, np.ndarray]:
    """Return masks of the kernels with filters that are zero, and let go what scales do not."""
    sizes, kept = magnitudes_of(graph), {}
    for name, each in kernels_of([graph]).items():
        bias = getattr(each.layer, "bias", None)
        mask = sizes[name] != 0
        if bias is not None:
            mask |= bias.numpy() != 0
        kept[name] = mask if mask.any() else ~mask
    gone = set(removed_channels(graph, Masks(kept)).tolist())
    gone -= set(removed_channels(graph, by_scales).tolist())
    gone -= _still_shifted(graph, gone)
    lost = {key for channel in gone for key in graph.by_kernels.keys[channel]}
    return {
        name: np.array([(name, i) not in lost for i in range(len(mask))])
        for name, mask in kept.items()
        if any(key[0] == name for key in lost)
    }


def _still_shifted(graph, channels) -> set[int]:
    """Return the channels that something behind their filters makes other than zero."""
    found = set()
    for each in graph.layers:
        for variable in each.layer.variables:
            if _decides(each, variable) and variable.shape == each.channels["out"].shape:
                found |= set(each.channels["out"][variable.numpy() != 0].tolist())
    return found & set(channels)
