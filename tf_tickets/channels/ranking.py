"""Channel masks: which channels of the normalisations' scales are kept."""

import dataclasses
from collections.abc import Collection

import keras
import numpy as np

from tf_tickets.channels.graph import ChannelGraph
from tf_tickets.errors import SettingError, check_sparsity
from tf_tickets.keras_internals import check_model, graph_of
from tf_tickets.names import names_of, variable_names
from tf_tickets.protocols import components_of
from tf_tickets.pruning.masks import Masks, masks_for
from tf_tickets.pruning.selection import global_masks

POOLS = ("model", "component", "layer")


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A channel that may go, and the scales that have to be masked for that."""

    channel: int
    scales: tuple


class ChannelRanking:
    """The channels of a model that may be pruned, ready to be ranked again and again.

    Reading the graph takes longer than ranking, so whoever asks for masks at every epoch keeps one
    of these.

    Args:
        model: a built Functional or Sequential model, or a model whose `components` are.
        whole_groups: whether channels may go that several normalisations have to mask together,
            such as those that a residual block adds to its input; they are ranked by the mean of
            their scales. By default only channels with one normalisation of their own may.
        pool: "model" ranks all channels together; "component" those of each network, and
            "layer" those of each layer or group, by themselves, to the same sparsity. Ranked
            together, a layer whose scales are all somewhat smaller than the others' can be left
            with one channel or two.

    Raises:
        SettingError: if there is no channel that may go, the message says why not; or if `pool` is
            unknown.

    Attributes:
        graphs: a ChannelGraph for each network of the model.
    """

    def __init__(self, model: keras.Model, whole_groups: bool = False, pool: str = "model"):
        if pool not in POOLS:
            raise SettingError(f"`pool` must be one of {', '.join(POOLS)}. Received: {pool!r}")
        self.graphs = list(graphs_of(model).values())
        self._gammas = _gammas(model, self.graphs)
        self._groups = {}
        for graph in self.graphs:
            order = {name: place for place, name in enumerate(graph.scales)}
            for channel, scales in graph.zeroed_by.items():
                names = tuple(sorted({name for name, _ in scales}, key=order.get))
                if len(names) == 1 or whole_groups:
                    group = self._groups.setdefault(names, [])
                    group.append(_Candidate(channel, tuple(sorted(scales))))
        if not self._groups:
            raise SettingError(_why_none(model, self.graphs))
        self._by_layer = pool == "layer"
        self._pools = self._pools_by(pool)

    @property
    def num_channels(self) -> int:
        """How many channels may go."""
        return sum(len(group) for group in self._groups.values())

    @property
    def scales(self) -> list[keras.Variable]:
        """The scales that have a channel which may go, in the model's order."""
        return [gamma for name, gamma in self._gammas.items() if self._may_lose(name)]

    def _pools_by(self, pool) -> list[list]:
        """Return the groups, each by its names, that are ranked together."""
        if pool == "layer":
            return [[names] for names in self._groups]
        if pool == "model":
            return [list(self._groups)]
        held = [[g for g in self._groups if g[0] in graph.scales] for graph in self.graphs]
        return [groups for groups in held if groups]

    def leave_out(self, names: Collection[str]) -> None:
        """Rank no channel any more for which one of these variables would have to be masked."""
        self._groups = {
            group: channels for group, channels in self._groups.items() if not {*names} & {*group}
        }
        pools = ([group for group in pool if group in self._groups] for pool in self._pools)
        self._pools = [pool for pool in pools if pool]

    def masks(self, channel_sparsity: float) -> Masks:
        """Return the masks that keep the channels of the largest scales, by one threshold a pool.

        Args:
            channel_sparsity: fraction to remove, in [0, 1), of the channels of each pool that may
                go. Each group of layers keeps one channel at least.

        Returns:
            Masks: name of each scale that has a channel which may go -> bool (channels,).

        Raises:
            SettingError: if the sparsity is out of range or would empty a group.
            DivergedError: if a scale is NaN or infinite.

        Source: Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1; Liu et al., 2017,
        arXiv:1708.06519.
        """
        check_sparsity("channel_sparsity", channel_sparsity)
        gammas = {name: np.abs(gamma.numpy()) for name, gamma in self._gammas.items()}
        scores = {
            names: np.array([_mean_scale(gammas, each.scales) for each in group])
            for names, group in self._groups.items()
        }
        kept = {}
        for pool in self._pools:
            most = channel_sparsity
            if self._by_layer:  # a layer with few channels keeps its last one
                most = min(most, 1 - 1 / len(self._groups[pool[0]]))
            kept |= _largest({names: scores[names] for names in pool}, most)
        masks = {name: np.ones(gammas[name].shape, bool) for name in gammas if self._may_lose(name)}
        for names, group in self._groups.items():
            for candidate, stays in zip(group, kept[names], strict=True):
                for name, index in candidate.scales:
                    masks[name][index] = stays
        return Masks(masks)

    def _may_lose(self, name):
        return any(name in names for names in self._groups)


def _largest(scores, channel_sparsity) -> dict:
    """Return for the groups of one pool which channels stay."""
    named = {" + ".join(names): scale for names, scale in scores.items()}
    return dict(zip(scores, global_masks(named, channel_sparsity).values(), strict=True))


def channel_masks(
    model: keras.Model, channel_sparsity: float, whole_groups: bool = False, pool: str = "model"
) -> Masks:
    """Return masks of a model's normalisation scales that keep the largest.

    `slim` makes a smaller model of them, `weight_masks` masks of all weights that go with them.

    Args:
        model: as `ChannelRanking` takes it.
        channel_sparsity: fraction to remove, in [0, 1), of the channels of each pool that may go.
        whole_groups, pool: as `ChannelRanking` takes them.

    Returns:
        Masks: name of each scale that has a channel which may go -> bool (channels,).

    Raises:
        SettingError: if no channel may go, or the sparsity is out of range or empties a group.
        DivergedError: if a scale is NaN or infinite.
    """
    return ChannelRanking(model, whole_groups, pool).masks(channel_sparsity)


def channel_masks_of_zeros(model: keras.Model) -> Masks:
    """Return masks of a model's normalisation scales that keep what is not zero already.

    A channel whose scale and shift are both zero, as one that was held to `weight_masks`, is gone
    for all that follows: `slim` removes it and the model computes the same. A layer of which all
    are zero was not pruned, which never empties one, but made with `gamma_initializer="zeros"`,
    and is to learn yet: its channels stay.

    Args:
        model: a built model of any kind.

    Returns:
        Masks: name of each scale -> bool (channels,); empty where no channel is zero, or the
        model has none that could be followed.
    """
    try:
        graphs = graphs_of(model).values()
    except SettingError:
        return Masks({})
    kept = {}
    for graph in graphs:
        for layer in (each.layer for each in graph.layers):
            gamma, beta = (getattr(layer, name, None) for name in ("gamma", "beta"))
            if gamma is not None:
                mask = gamma.numpy() != 0
                if beta is not None:
                    mask |= beta.numpy() != 0
                kept[graph.names[id(gamma)]] = mask if mask.any() else ~mask
    return Masks({} if all(mask.all() for mask in kept.values()) else kept)


def weight_masks(model: keras.Model, masks: Masks) -> Masks:
    """Return masks of all trainable weights that channel masks make useless.

    Held to them, the whole model computes what the slim one does: scales, shifts, filters and the
    inputs of the next layers are zero where a channel went. Scales and shifts are so even where
    their layer is frozen, as all that follows depends on it. A channel that cannot go, because
    something else still needs it, loses its scale and shift alone.

    Args:
        model: as `ChannelRanking` takes it.
        masks: name of a normalisation's scale -> bool (channels,), as `channel_masks` returns.

    Raises:
        SettingError: if the masks are for another model, or of something that is no such scale.
    """
    graphs = graphs_of(model).values()
    masks = channel_masks_for(model, graphs, masks)
    found = {}
    for graph in graphs:
        gone = removed_channels(graph, masks)
        for each in graph.layers:
            for variable in each.layer.trainable_variables:
                mask = np.ones(variable.shape, bool)
                for axis, side in each.axes.get(variable.name, {}).items():
                    along = _along(~np.isin(each.channels[side], gone), variable.shape, axis)
                    mask &= along
                found[graph.names[id(variable)]] = mask
            if getattr(each.layer, "gamma", None) is not None:
                _mask_scale(graph, each.layer, masks, found)
    return Masks({name: mask for name, mask in found.items() if not mask.all()})


def _mask_scale(graph, layer, masks: Masks, found: dict) -> None:
    """Add what the masks remove of a normalisation's scale and shift to masks by name."""
    mask = masks.get(graph.names[id(layer.gamma)])
    if mask is not None:
        for variable in (layer.gamma, layer.beta):
            if variable is not None:
                name = graph.names[id(variable)]
                found[name] = found.get(name, mask) & mask  # none where frozen


def removed_channels(graph: ChannelGraph, masks: Masks) -> np.ndarray:
    """Return the channels that can go, all scales that let them go being masked."""
    masked = {
        (name, int(index))
        for name, mask in masks.items()
        if name in graph.scales
        for index in np.flatnonzero(~mask)
    }
    gone = [channel for channel, scales in graph.zeroed_by.items() if scales and scales <= masked]
    return np.array(gone, int)


def networks_of(model: keras.Model) -> dict[str, keras.Model]:
    """Return the Functional or Sequential networks that a model is made of, by name.

    Raises:
        SettingError: if it is not made of such.
    """
    check_model(model)
    networks = components_of(model)
    for network in networks.values():
        if not network.built:
            raise SettingError(
                f"{network.name} is not built, so it has no channels yet: call it on a batch of "
                "inputs first, or give it a keras.Input."
            )
        if graph_of(network) is None:
            raise SettingError(
                f"The channels of {network.name} cannot be followed: it must be a built Functional "
                f"or Sequential model, or have `components` that are. Received: a "
                f"{type(network).__name__}. Pass its Functional parts one by one."
            )
    return networks


def graphs_of(model: keras.Model) -> dict[str, ChannelGraph]:
    """Return the ChannelGraph of each network of a model, by the network's name.

    Raises:
        SettingError: as `networks_of` does.
    """
    networks = networks_of(model)
    names = names_of(model)
    return {name: ChannelGraph(network, names) for name, network in networks.items()}


def channel_masks_for(model, graphs, masks: Masks) -> Masks:
    """Return channel masks under the names that the model's variables have.

    Raises:
        SettingError: unless they are of the model's scales; the message names the first difference.
    """
    if masks is None:
        raise SettingError(
            "There are no channel masks: no early-bird ticket was drawn. Train longer, or take "
            "those of now, tt.channel_masks(model, channel_sparsity)."
        )
    masks = masks_for(model, masks)
    for name in masks:
        if not any(name in graph.scales for graph in graphs):
            raise SettingError(f"{name} is not the scale of a normalisation: no channel mask.")
    return masks


def _gammas(model, graphs) -> dict:
    variables = variable_names(model)
    return {name: variables[name] for graph in graphs for name in graph.scales}


def _mean_scale(gammas, scales):
    return np.mean([gammas[name][index] for name, index in scales])


def _along(keep, shape, axis):
    """Return a bool array per position of one axis, shaped to be spread over all axes."""
    if shape[axis] != len(keep):  # one number for all channels, as a PReLU may share
        return True
    return keep.reshape([-1 if i == axis % len(shape) else 1 for i in range(len(shape))])


def _why_none(model, graphs):
    reasons = sorted({reason for graph in graphs for reason in graph.reasons.values()})
    if not any(graph.scales for graph in graphs):
        return (
            f"{model.name} has no batch or group normalisation with a scale, by which channels are "
            "ranked: prune its weights instead, or add BatchNormalization layers."
        )
    several = any(graph.zeroed_by for graph in graphs)
    hint = " Try whole_groups=True." if several else ""
    return f"No channel of {model.name} may go: {'; '.join(reasons[:3])}.{hint}"
