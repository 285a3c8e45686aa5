"""How many channels have to go for a fraction of a model's weights to go with them."""

import keras

from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.channels.slim import slim
from tf_tickets.errors import check_sparsity
from tf_tickets.pruning.prunable import num_values, prunable

_MOST_STEPS = 12


def channel_sparsity_for(
    model: keras.Model, weight_sparsity: float, whole_groups: bool = False, round_to: int = 1
) -> float:
    """Return the channel sparsity whose slim model has lost a fraction of the kernels' weights.

    So a smaller model can be compared with a sparse one that keeps as many weights. If each layer
    loses the same fraction of its channels (`pool` is "layer"), the widths follow from that
    fraction alone, whatever the scales are: it is found by bisection before any training. With
    any other pool it is an estimate, as the scales decide which layers become narrow.

    Args:
        model: as `ChannelRanking` takes it; it is left as it is.
        weight_sparsity: fraction of the weights of all kernels to remove, in [0, 1).
        whole_groups: as `ChannelRanking` takes it.
        round_to: as `slim` takes it.

    Returns:
        A fraction in [0, 1): the one that comes nearest. Channels are whole, so narrow layers
        leave a distance. If the model cannot lose so many weights, it is near 1.

    Raises:
        SettingError: if no channel may go, or an argument cannot work.
    """
    check_sparsity("weight_sparsity", weight_sparsity)
    ranking = ChannelRanking(model, whole_groups, "layer")
    whole = num_values(prunable(model))

    def lost(channel_sparsity):
        slimmed = slim(model, ranking.masks(channel_sparsity), round_to)
        return 1 - num_values(prunable(slimmed)) / whole

    low, high = (0.0, lost(0.0)), (1.0, 1.0)
    for _ in range(_MOST_STEPS):
        middle = (low[0] + high[0]) / 2
        found = (middle, lost(middle))
        low, high = (found, high) if found[1] <= weight_sparsity else (low, found)
    # Above `high` stands 1, which was never tried: every layer keeps a channel.
    nearest = min((low, high), key=lambda each: abs(each[1] - weight_sparsity))
    return low[0] if nearest[0] == 1.0 else nearest[0]
