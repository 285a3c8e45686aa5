"""How much each channel matters: by its scales, by the norm of its weights, by what a loss says."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.channels.graph import ChannelGraph
from tf_tickets.channels.keys import filter_axis, kernels_of
from tf_tickets.errors import SettingError
from tf_tickets.pruning.scores.gradients import mean_gradients

POOLS = ("model", "component", "layer")
RANKINGS = ("scale", "norm", "taylor")
WITHOUT_LOSSES = RANKINGS[:2]


def check_ranking(
    pool: str, by: str, losses: Sequence | None = None, rankings: Sequence[str] = RANKINGS
) -> None:
    """Raise SettingError unless channels can be ranked in this way, one of `rankings`."""
    if pool not in POOLS:
        raise SettingError(f"`pool` must be one of {', '.join(POOLS)}. Received: {pool!r}")
    if by not in rankings:
        raise SettingError(f"`by` must be one of {', '.join(rankings)}. Received: {by!r}")
    if (by == "taylor") != bool(losses):
        raise SettingError(
            "`losses` are for by='taylor', which needs one function or more, each the loss of a "
            f"batch, as `tt.snip_scores` takes them. Received: by={by!r}, losses={losses!r}"
        )


def magnitudes_of(graph: ChannelGraph) -> dict[str, np.ndarray]:
    """Return name of a scale or kernel -> magnitude of each scale, L2 norm of each filter."""
    found = {}
    for each in graph.layers:
        gamma = getattr(each.layer, "gamma", None)
        if gamma is not None:
            found[graph.names[id(gamma)]] = np.abs(_float(gamma))
    for name, each in kernels_of([graph]).items():
        kernel = np.moveaxis(_float(each.kernel), filter_axis(each), -1)
        found[name] = np.linalg.norm(kernel.reshape(-1, kernel.shape[-1]), axis=0)
    return found


def mean_squares(graph: ChannelGraph) -> dict[int, float]:
    """Return for each channel the mean over its layers of the squares of what it has in them.

    That is, in a layer that makes the channel its filter and its bias, in a normalisation its scale
    and its shift, in a layer that reads it the weights of that input: the squares of all of these
    are summed, and the sums averaged over the layers.

    Source: Fang et al., 2023, arXiv:2301.12900, sec. 3.3; the squares and the mean as in
    `GroupMagnitudeImportance` of their Torch-Pruning.
    """
    total, count = _sums(graph, lambda variable: np.square(_float(variable)))
    return {channel: total[channel] / count[channel] for channel in total}


def taylor_terms(
    model: keras.Model,
    graphs: Sequence[ChannelGraph],
    losses: Sequence[Callable[[], tf.Tensor]],
) -> list[dict[int, float]]:
    """Return for each graph, for each channel, the magnitude of the sum of `w dL/dw` over it.

    That is how much the loss changes to first order if all of the channel's weights become zero.

    Args:
        model: of the graphs.
        graphs: as `graphs_of` returns them.
        losses: as `snip_scores` takes them.

    Source: Molchanov et al., 2019, arXiv:1906.10771, eq. 8, over groups.
    """
    variables = {id(v): v for graph in graphs for v in _weights(graph)}
    gradients = mean_gradients(list(variables.values()), losses)
    terms = {
        key: _float(variable) * gradient
        for (key, variable), gradient in zip(variables.items(), gradients, strict=True)
    }
    summed = (_sums(graph, lambda variable: terms[id(variable)])[0] for graph in graphs)
    return [{channel: abs(value) for channel, value in sums.items()} for sums in summed]


def relative(scores: np.ndarray) -> np.ndarray:
    """Return scores over their mean, so that those of several groups of layers compare."""
    mean = scores.mean()
    return scores / mean if mean else scores


def _sums(graph, values_of) -> tuple[dict, dict]:
    """Return for each channel the sum of values over its weights, and how many layers have some."""
    total, count = {}, {}
    for each in graph.layers:
        here = {}
        for side, channels in each.channels.items():
            for variable, axis in _along_side(each, side):
                if variable.shape[axis] == len(channels):  # not one number for all channels
                    values = np.moveaxis(values_of(variable), axis, -1)
                    values = values.reshape(-1, len(channels)).sum(axis=0)
                    for channel, value in zip(channels.tolist(), values.tolist(), strict=True):
                        here[channel] = here.get(channel, 0.0) + value
        for channel, value in here.items():
            total[channel] = total.get(channel, 0.0) + value
            count[channel] = count.get(channel, 0) + 1
    return total, count


def _along_side(each, side):
    """Yield the weights of a layer that have channels of a side along an axis, and the axis."""
    for variable in each.layer.weights:
        if not variable.name.startswith("moving_"):
            for axis, other in each.axes.get(variable.name, {}).items():
                if other == side:
                    yield variable, axis


def _weights(graph):
    for each in graph.layers:
        for side in each.channels:
            yield from (variable for variable, _ in _along_side(each, side))


def _float(variable) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")
