"""How many channels have to go for a fraction of a model's weights to go with them."""

import math

import keras
import numpy as np

from tf_tickets.channels.keys import removed_channels
from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.channels.slim import masks_with_widths
from tf_tickets.errors import check_count, check_sparsity
from tf_tickets.pruning.prunable import prunable

_MOST_STEPS = 12


def channel_sparsity_for(
    model: keras.Model,
    weight_sparsity: float,
    whole_groups: bool = False,
    round_to: int = 1,
    by: str = "scale",
) -> float:
    """Return the channel sparsity whose slim model has lost a fraction of the kernels' weights.

    So a smaller model can be compared with a sparse one that keeps as many weights. If each layer
    loses the same fraction of its channels (`pool` is "layer"), the widths follow from that
    fraction alone, whatever the scores are: it is found by bisection before any training. With
    any other pool it is an estimate, as the scores decide which layers become narrow.

    Args:
        model: as `ChannelRanking` takes it; it is left as it is.
        weight_sparsity: fraction of the weights of all kernels to remove, in [0, 1).
        whole_groups: as `ChannelRanking` takes it.
        round_to: as `slim` takes it.
        by: "scale" or "norm", as `ChannelRanking` takes it: by norm more channels may go. Those of
            Taylor terms are the same as by norm.

    Returns:
        A fraction in [0, 1): the one that comes nearest. Channels are whole, so narrow layers
        leave a distance. If the model cannot lose so many weights, it is near 1.

    Raises:
        SettingError: if no channel may go, or an argument cannot work.
    """
    check_sparsity("weight_sparsity", weight_sparsity)
    check_count("round_to", round_to)
    ranking = ChannelRanking(model, whole_groups, "layer", by)
    kernels = {id(kernel): kernel.shape for kernel in prunable(model)}

    def lost(channel_sparsity):
        masks = masks_with_widths(ranking.graphs, ranking.masks(channel_sparsity), round_to)
        shapes = {**kernels, **_slim_shapes(ranking.graphs, masks, kernels)}
        return 1 - sum(map(math.prod, shapes.values())) / sum(map(math.prod, kernels.values()))

    low, high = (0.0, lost(0.0)), None  # every layer keeps a channel, so 1 is not tried
    for number in range(1, _MOST_STEPS + 1):
        middle = (low[0] + high[0]) / 2 if high else 1 - 0.5**number
        found = (middle, lost(middle))
        low, high = (found, high) if found[1] <= weight_sparsity else (low, found)
    tried = [low, high] if high else [low]
    return min(tried, key=lambda each: abs(each[1] - weight_sparsity))[0]


def _slim_shapes(graphs, masks, kernels) -> dict[int, tuple]:
    """Return the shapes that kernels have in the slim model, by the id of each that is followed."""
    shapes = {}
    for graph in graphs:
        gone = removed_channels(graph, masks)
        for each in graph.layers:
            for variable in each.layer.trainable_variables:
                if id(variable) in kernels:
                    shapes[id(variable)] = _slim_shape(each, variable, gone)
    return shapes


def _slim_shape(layer, variable, gone):
    shape = list(variable.shape)
    for axis, side in layer.axes.get(variable.name, {}).items():
        channels = layer.channels[side]
        if shape[axis] == len(channels):  # not one number for all channels
            shape[axis] = int((~np.isin(channels, gone)).sum())
    return tuple(shape)
