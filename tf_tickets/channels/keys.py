"""What channel masks are of: scales and kernels, and what goes with a masked place in one."""

from collections.abc import Iterable

import numpy as np

from tf_tickets.channels.graph import ChannelGraph, LayerChannels
from tf_tickets.channels.handlers import kernel_of
from tf_tickets.errors import SettingError
from tf_tickets.names import under_names, variable_names
from tf_tickets.pruning.masks import Masks, masks_of


def channel_masks_for(model, graphs: Iterable[ChannelGraph], masks: Masks) -> Masks:
    """Return channel masks under the names that the model's variables have, bool (channels,) each.

    A mask of a kernel's own shape will do as well, where it keeps or removes whole filters.

    Raises:
        SettingError: unless they are of the model's scales, or of its kernels that make channels;
            the message names the first difference.
    """
    if masks is None:
        raise SettingError(
            "There are no channel masks: no early-bird ticket was drawn. Train longer, or take "
            "those of now, tt.channel_masks(model, channel_sparsity)."
        )
    kernels = kernels_of(graphs)
    widths = {name: len(ids) for graph in graphs for name, ids in graph.by_name.items()}
    found = {}
    for name, mask in under_names(model, masks_of(masks)).items():
        if name not in widths:
            Masks({name: mask}).check_fits(variable_names(model))
            raise SettingError(
                f"{name} is not the scale of a normalisation, nor a kernel that makes channels: "
                "no channel mask."
            )
        if name in kernels and mask.shape == tuple(kernels[name].kernel.shape):
            mask = _whole_filters(name, mask, filter_axis(kernels[name]))
        if mask.shape != (widths[name],):
            raise SettingError(
                f"These masks are for another model: the mask of {name} has shape {mask.shape}, "
                f"that of its channels has shape {(widths[name],)}."
            )
        found[name] = mask
    return Masks(found)


def _whole_filters(name, mask, axis):
    """Return which filters a kernel's mask keeps."""
    filters = np.moveaxis(mask, axis, -1).reshape(-1, mask.shape[axis])
    if np.any(filters != filters[:1]):
        raise SettingError(
            f"The mask of {name} removes single weights: a channel mask removes whole filters."
        )
    return filters[0]


def over_kernels(graphs: Iterable[ChannelGraph], masks: Masks) -> Masks:
    """Return channel masks shaped like their variables, as tickets hold them."""
    found = dict(masks)
    for name, each in kernels_of(graphs).items():
        if name in found:
            shape = tuple(each.kernel.shape)
            found[name] = np.broadcast_to(along(found[name], shape, filter_axis(each)), shape)
    return Masks(found)


def kernels_of(graphs: Iterable[ChannelGraph]) -> dict[str, LayerChannels]:
    """Return the layers that make channels, by the names of their kernels."""
    layers = ((graph, each) for graph in graphs for each in graph.layers)
    return {graph.names[id(each.kernel)]: each for graph, each in layers if each.makes}


def filter_axis(each: LayerChannels) -> int:
    """Return the axis of a layer's kernel along which its filters lie."""
    sides = each.axes[kernel_of(each.axes)]
    return next(axis for axis, side in sides.items() if side == "out")


def along(keep, shape, axis):
    """Return a bool array per position of one axis, shaped to be spread over all axes."""
    if shape[axis] != len(keep):  # one number for all channels, as a PReLU may share
        return True
    return keep.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])


def removed_channels(graph: ChannelGraph, masks: Masks, kinds=("scales", "kernels")) -> np.ndarray:
    """Return the channels that can go, all that lets them go being masked."""
    masked = {
        (name, int(index))
        for name, mask in masks.items()
        if name in graph.by_name
        for index in np.flatnonzero(~mask)
    }
    found = {"scales": graph.by_scales, "kernels": graph.by_kernels}
    gone = {
        channel
        for kind in kinds
        for channel, keys in found[kind].keys.items()
        if keys and keys <= masked
    }
    return np.array(sorted(gone), int)


def masked_with(graph: ChannelGraph, each: LayerChannels, masks: Masks) -> dict[str, np.ndarray]:
    """Return what channel masks remove of a layer's own variables, whether a channel can go or not.

    That is a masked scale with its shift, and a masked filter with its bias.

    Returns:
        A variable's name within its layer -> bool array that spreads over its shape.
    """
    found = {}
    gamma = getattr(each.layer, "gamma", None)
    if gamma is not None and graph.names[id(gamma)] in masks:
        found = dict.fromkeys(("gamma", "beta"), masks[graph.names[id(gamma)]])
    kernel = each.kernel
    if kernel is not None and graph.names[id(kernel)] in masks:
        mask = masks[graph.names[id(kernel)]]
        found[kernel.name] = along(mask, kernel.shape, filter_axis(each))
        found["bias"] = mask
    return found
