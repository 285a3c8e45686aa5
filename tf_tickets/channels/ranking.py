"""Channel masks: which channels are kept."""

import dataclasses
from collections.abc import Callable, Collection, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.channels.graph import ChannelGraph
from tf_tickets.channels.scoring import (
    check_ranking,
    magnitudes_of,
    mean_squares,
    relative,
    taylor_terms,
)
from tf_tickets.errors import SettingError, check_sparsity
from tf_tickets.keras_internals import check_model, graph_of, is_network
from tf_tickets.names import names_of, variable_names
from tf_tickets.protocols import components_of
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.selection import global_masks


@dataclasses.dataclass(frozen=True)
class _Candidate:
    """A channel that may go, and what has to be masked for that.

    Attributes:
        graph: the number of its network's graph.
        channel: its number in that graph.
        keys: the places in scales, or the filters, that let it go together.
    """

    graph: int
    channel: int
    keys: tuple


class ChannelRanking:
    """The channels of a model that may be pruned, ready to be ranked again and again.

    Reading the graph takes longer than ranking, so whoever asks for masks at every epoch keeps one
    of these.

    Args:
        model: a built Functional or Sequential model, or a model whose `components` are.
        whole_groups: whether channels may go that several layers have to lose together, such as
            those that a residual block adds to its input; they are ranked by all of these. By
            default only channels with one normalisation of their own may, or one kernel.
        pool: "model" ranks all channels together; "component" those of each network, and
            "layer" those of each layer or group, by themselves, to the same sparsity. Ranked
            together, a layer whose scales are all somewhat smaller than the others' can be left
            with one channel or two.
        by: what channels are ranked by, and what the masks are of. "scale": by the magnitude of
            their normalisation's scale, the mean of several; the masks are of the scales.
            "norm": by the squares of all weights that a channel has, the mean over its layers, over
            the mean of these in its group of layers, as `mean_squares` says; the masks are of the
            kernels that make the channels, so no normalisation is needed. "taylor": by how much a
            loss hangs on the channel, as `taylor_terms` says; the masks are of the kernels, too.
        losses: for "taylor", as `tt.snip_scores` takes them: functions of nothing that each return
            the scalar loss of one batch.

    Raises:
        SettingError: if there is no channel that may go, the message says why not; or if `pool` or
            `by` is unknown, or `losses` do not fit it.

    Attributes:
        graphs: a ChannelGraph for each network of the model.
    """

    def __init__(
        self,
        model: keras.Model,
        whole_groups: bool = False,
        pool: str = "model",
        by: str = "scale",
        losses: Sequence[Callable[[], tf.Tensor]] | None = None,
    ):
        check_ranking(pool, by, losses)
        self.graphs = list(graphs_of(model).values())
        self._model = model
        self._by = by
        self._losses = losses
        self._widths = {
            name: len(channels)
            for graph in self.graphs
            for name, channels in (graph.scales if by == "scale" else graph.kernels).items()
        }
        self._groups = self._grouped(whole_groups)
        if not self._groups:
            raise SettingError(_why_none(model, self.graphs, by))
        self._by_layer = pool == "layer"
        self._pools = self._pools_by(pool)

    @property
    def num_channels(self) -> int:
        """How many channels may go."""
        return sum(len(group) for group in self._groups.values())

    @property
    def scales(self) -> list[keras.Variable]:
        """The scales that have a channel which may go by them, in the model's order."""
        variables = variable_names(self._model)
        names = self._widths if self._by == "scale" else ()
        return [variables[name] for name in names if self._may_lose(name)]

    def _grouped(self, whole_groups) -> dict[tuple, list[_Candidate]]:
        """Return the channels that may go, by the names of what has to be masked for that."""
        groups = {}
        for number, graph in enumerate(self.graphs):
            order = {name: place for place, name in enumerate(graph.by_name)}
            for channel, keys in _removable(graph, self._by).keys.items():
                names = tuple(sorted({name for name, _ in keys}, key=order.get))
                if len(names) == 1 or (names and whole_groups):
                    candidate = _Candidate(number, channel, tuple(sorted(keys)))
                    groups.setdefault(names, []).append(candidate)
        return groups

    def _pools_by(self, pool) -> list[list]:
        """Return the groups, each by its names, that are ranked together."""
        if pool == "layer":
            return [[names] for names in self._groups]
        if pool == "model":
            return [list(self._groups)]
        held = [[g for g in self._groups if g[0] in graph.by_name] for graph in self.graphs]
        return [groups for groups in held if groups]

    def leave_out(self, names: Collection[str]) -> None:
        """Rank no channel any more for which one of these variables would have to be masked."""
        self._groups = {
            group: channels for group, channels in self._groups.items() if not {*names} & {*group}
        }
        pools = ([group for group in pool if group in self._groups] for pool in self._pools)
        self._pools = [pool for pool in pools if pool]

    def masks(self, channel_sparsity: float) -> Masks:
        """Return the masks that keep the channels of the highest scores, by one threshold a pool.

        Args:
            channel_sparsity: fraction to remove, in [0, 1), of the channels of each pool that may
                go. Each group of layers keeps one channel at least.

        Returns:
            Masks: name of each scale, or kernel, that has a channel which may go -> bool
            (channels,).

        Raises:
            SettingError: if the sparsity is out of range or would empty a group.
            DivergedError: if a scale, or another weight of a channel, is NaN or infinite.

        Source: Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1; Liu et al., 2017,
        arXiv:1708.06519; by norm Fang et al., 2023, arXiv:2301.12900; by Taylor terms Molchanov et
        al., 2019, arXiv:1906.10771.
        """
        check_sparsity("channel_sparsity", channel_sparsity)
        scores = self._scores()
        kept = {}
        for pool in self._pools:
            most = channel_sparsity
            if self._by_layer:  # a layer with few channels keeps its last one
                most = min(most, 1 - 1 / len(self._groups[pool[0]]))
            kept |= _largest({names: scores[names] for names in pool}, most)
        masks = {name: np.ones(n, bool) for name, n in self._widths.items() if self._may_lose(name)}
        for names, group in self._groups.items():
            for candidate, stays in zip(group, kept[names], strict=True):
                for name, index in candidate.keys:
                    masks[name][index] = stays
        return Masks(masks)

    def _scores(self) -> dict[tuple, np.ndarray]:
        """Return the score of each channel of each group."""
        if self._by == "scale":
            sizes = [magnitudes_of(graph) for graph in self.graphs]
            return {
                names: np.array([_mean_size(sizes[each.graph], each.keys) for each in group])
                for names, group in self._groups.items()
            }
        if self._by == "taylor":
            found = taylor_terms(self._model, self.graphs, self._losses)
        else:
            found = [mean_squares(graph) for graph in self.graphs]
        scores = {
            names: np.array([found[each.graph][each.channel] for each in group])
            for names, group in self._groups.items()
        }
        if self._by == "norm":
            return {names: relative(each) for names, each in scores.items()}
        return scores

    def _may_lose(self, name):
        return any(name in names for names in self._groups)


def _removable(graph, by):
    return graph.by_scales if by == "scale" else graph.by_kernels


def _mean_size(sizes, keys):
    return np.mean([sizes[name][index] for name, index in keys])


def _largest(scores, channel_sparsity) -> dict:
    """Return for the groups of one pool which channels stay."""
    named = {" + ".join(names): score for names, score in scores.items()}
    return dict(zip(scores, global_masks(named, channel_sparsity).values(), strict=True))


def channel_masks(
    model: keras.Model,
    channel_sparsity: float,
    whole_groups: bool = False,
    pool: str = "model",
    by: str = "scale",
    losses: Sequence[Callable[[], tf.Tensor]] | None = None,
) -> Masks:
    """Return masks of a model's channels that keep those that matter most.

    `slim` makes a smaller model of them, `weight_masks` masks of all weights that go with them.

    Args:
        model: as `ChannelRanking` takes it.
        channel_sparsity: fraction to remove, in [0, 1), of the channels of each pool that may go.
        whole_groups, pool, by, losses: as `ChannelRanking` takes them. By default channels are
            ranked by the scales of normalisations; a network without such is ranked by="norm", or
            by="taylor" with the losses of a few batches.

    Returns:
        Masks: name of each scale that has a channel which may go -> bool (channels,). By norm or
        Taylor terms, name of each kernel that makes a channel which may go -> bool (filters,).

    Raises:
        SettingError: if no channel may go, or the sparsity is out of range or empties a group.
        DivergedError: if a scale, or another weight of a channel, is NaN or infinite.
    """
    return ChannelRanking(model, whole_groups, pool, by, losses).masks(channel_sparsity)


def networks_of(model: keras.Model) -> dict[str, keras.Model]:
    """Return the Functional or Sequential networks that a model is made of, by name.

    Raises:
        SettingError: if it is not made of such.
    """
    check_model(model)
    networks = components_of(model)
    for network in networks.values():
        if is_network(network) and not network.built:
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


def _why_none(model, graphs, by):
    reasons = sorted({why for graph in graphs for why in _removable(graph, by).reasons.values()})
    if by == "scale" and not any(graph.scales for graph in graphs):
        return (
            f"{model.name} has no batch or group normalisation with a scale, by which channels are "
            "ranked: rank them by='norm' instead, or add BatchNormalization layers."
        )
    several = any(_removable(graph, by).keys for graph in graphs)
    hint = " Try whole_groups=True." if several else ""
    return f"No channel of {model.name} may go: {'; '.join(reasons[:3])}.{hint}"
