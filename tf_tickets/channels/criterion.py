"""When has it settled which channels matter? The criterion of early-bird tickets."""

import collections
import contextlib
import math
import warnings
from collections.abc import Iterator

import keras

from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.errors import (
    SettingError,
    check_at_least,
    check_count,
    check_number,
    check_sparsity,
)
from tf_tickets.keras_internals import retrace
from tf_tickets.names import names_of
from tf_tickets.pruning.masks import Masks


def check_criterion(
    channel_sparsity: float, mask_distance: float, look_back: int, scale_penalty: float
) -> None:
    """Raise SettingError if a number is out of range, whatever the model is.

    Args:
        channel_sparsity, mask_distance, look_back: as `EarlyBirdCriterion` takes them.
        scale_penalty: as `penalised_scales` takes it.
    """
    check_sparsity("channel_sparsity", channel_sparsity)
    check_number("mask_distance", mask_distance)
    if not 0 < mask_distance <= 1:
        raise SettingError(
            f"`mask_distance` must be in (0, 1]. Received: mask_distance={mask_distance}"
        )
    check_count("look_back", look_back)
    check_at_least("scale_penalty", scale_penalty, 0)
    if not math.isfinite(scale_penalty):
        raise SettingError("`scale_penalty` must be finite. Received: scale_penalty=inf")


def trained_channels(
    model: keras.Model, whole_groups: bool = False, pool: str = "model", by: str = "scale"
) -> ChannelRanking:
    """Return the ranking of a model's channels, less those that a frozen scale would let go.

    A scale that is not trainable never moves, so it has "settled" at once, whatever matters now.

    Args:
        model, whole_groups, pool, by: as `ChannelRanking` takes them.

    Raises:
        SettingError: as `ChannelRanking` does, and if all scales are frozen.

    Warns:
        UserWarning: if some are; the message names them.
    """
    ranking = ChannelRanking(model, whole_groups, pool, by)
    names = names_of(model)
    frozen = [names[id(scale)] for scale in ranking.scales if not scale.trainable]
    if not frozen:
        return ranking
    ranking.leave_out(frozen)
    told = ", ".join(frozen[:3]) + (f" and {len(frozen) - 3} more" if len(frozen) > 3 else "")
    if not ranking.num_channels:
        raise SettingError(
            f"All scales of {model.name} by which a channel may go are frozen ({told}): they are "
            "not trainable, so they settle nothing. Let them be trained, or rank them as they are: "
            "tt.channel_masks(model, channel_sparsity)."
        )
    warnings.warn(
        f"{told}: frozen, so not ranked. Scales that are not trainable never move, and their "
        "channels stay.",
        stacklevel=3,
    )
    return ranking


class EarlyBirdCriterion:
    """Draws channel masks of a model in training, and tells when they no longer change.

    The masks have settled when the newest differs from each of the last few in less than a small
    fraction of the channels, although the weights still change: the ticket can be drawn.

    Args:
        ranking: of the model's channels.
        channel_sparsity: fraction of the channels that the masks remove, in [0, 1).
        mask_distance: what the distances have to stay below, in (0, 1].
        look_back: how many earlier masks the newest is compared with.

    Raises:
        SettingError: if a number is out of range.

    Attributes:
        history: for each mask drawn, its distances to those before it, the latest first.
        masks: the newest masks; None before the first.

    Source: You et al., 2020, arXiv:1909.11957; Kalibhat et al., 2021,
    arXiv:2010.02350, sec. 3.1, for the numbers.
    """

    def __init__(
        self,
        ranking: ChannelRanking,
        channel_sparsity: float,
        mask_distance: float = 0.1,
        look_back: int = 5,
    ):
        check_criterion(channel_sparsity, mask_distance, look_back, scale_penalty=0)
        ranking.masks(channel_sparsity)  # refuses a sparsity that cannot work before any training
        self._ranking = ranking
        self.channel_sparsity = channel_sparsity
        self.mask_distance = mask_distance
        self.look_back = look_back
        self.history: list[list[float]] = []
        self.masks: Masks | None = None
        self._earlier = collections.deque(maxlen=look_back)

    def draw(self) -> bool:
        """Draw the masks of the weights as they are now; return whether they have settled.

        Warns:
            UserWarning: at the first drawing, if the training step never asked for the penalty
                that `penalised_scales` has put on the scales.

        Raises:
            DivergedError: if a scale is NaN or infinite.
        """
        if self.masks is None:
            self._warn_if_nothing_pushes()
        else:
            self._earlier.appendleft(self.masks)
        self.masks = self._ranking.masks(self.channel_sparsity)
        self.history.append([self.masks.distance(earlier) for earlier in self._earlier])
        return self.settled

    @property
    def settled(self) -> bool:
        """Whether the newest masks are close to all of the last `look_back` before them."""
        distances = self.history[-1] if self.history else []
        return len(distances) == self.look_back and bool(max(distances) < self.mask_distance)

    def _warn_if_nothing_pushes(self):
        regularizers = (scale.regularizer for scale in self._ranking.scales)
        penalties = [each for each in regularizers if isinstance(each, _Penalty)]
        if penalties and not any(penalty.asked for penalty in penalties):
            warnings.warn(
                "No training step asked for the penalty that pushes the scales towards zero, and "
                "without it their order is noise: add sum(model.losses) to the loss, in a step "
                "that is traced anew, or set scale_penalty=0.",
                stacklevel=3,
            )


class _Penalty(keras.regularizers.Regularizer):
    """The L1 norm, on top of what a variable was regularised by before.

    Attributes:
        asked: whether anything asked for it, as a step that adds `model.losses` does when it is
            traced.
    """

    def __init__(self, weight, inner):
        self.weight = weight
        self.inner = inner
        self.asked = False

    def __call__(self, x):
        self.asked = True
        penalty = self.weight * keras.ops.sum(keras.ops.abs(x))
        return penalty if self.inner is None else penalty + self.inner(x)


@contextlib.contextmanager
def penalised_scales(model: keras.Model, ranking: ChannelRanking, weight: float) -> Iterator[None]:
    """Push the scales of a model's normalisations towards zero while it is trained.

    Without it all scales stay near where they began, and their order is noise.

    Args:
        model: whose training step adds `model.losses`, or those of its parts, to its own.
        ranking: of the model's channels.
        weight: of the sum of the scales' magnitudes in the loss; 0 changes nothing.

    Raises:
        SettingError: if the weight is negative.
    """
    check_at_least("scale_penalty", weight, 0)
    scales = ranking.scales if weight else []
    for scale in scales:
        scale.regularizer = _Penalty(weight, scale.regularizer)
    retrace(model)
    try:
        yield
    finally:
        for scale in scales:
            scale.regularizer = scale.regularizer.inner
        retrace(model)
