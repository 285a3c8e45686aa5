"""TF-MOT's pruner with one threshold over all layers, for Keras 3 models."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import tensorflow as tf

from tf_tickets.errors import SettingError, check_function
from tf_tickets.interop import Pruning, PruningSchedule
from tf_tickets.names import NamedVariables
from tf_tickets.pruning.hold import HeldMasks
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.schedules import check_schedule
from tf_tickets.pruning.scores.magnitude import magnitude_scores
from tf_tickets.pruning.selection import masks_where_scored, pooled_masks


class GlobalPruning(Pruning):
    """Magnitude pruning that ranks the weights of all layers together.

    TF-MOT's `Pruning` gives each layer the same sparsity. Here the schedule's sparsity is that of
    the pool; what was removed stays removed. It runs eagerly: between rounds, or in a callback.

    Args:
        step_fn: returns the schedule's step, a scalar integer: for `IterativeSparsity` the round.
        held: the masks to update, as `hold` yields them.
        schedule: any TF-MOT `PruningSchedule`.
        pools: sets of variable names, disjoint and together all that is held, each of which is
            pruned to the schedule's sparsity by a threshold of its own; one pool by default.
        select: draws the masks as `pooled_masks` does, from the same arguments.

    Raises:
        SettingError: if `schedule` is no `PruningSchedule`, `held` is not what `hold` yields, or
            `step_fn` no function.
    """

    def __init__(
        self,
        step_fn: Callable,
        held: HeldMasks,
        schedule: PruningSchedule,
        pools: Sequence[Collection[str]] | None = None,
        select: Callable[..., Masks] = pooled_masks,
    ):
        check_function("step_fn", step_fn)
        if not isinstance(held, HeldMasks):
            raise SettingError(
                "`held` must be what tt.hold yields, as in `with tt.hold(model, masks) as held`. "
                f"Received: a {type(held).__name__}"
            )
        check_schedule(schedule)
        self._step = step_fn
        self._schedule = schedule
        self._held = held
        self._pools = pools
        self._select = select
        super().__init__(
            step_fn,
            [(variable.value, mask.value, tf.Variable(0.0)) for variable, mask in held.pairs],
            schedule,
            block_size=(1, 1),
            block_pooling_type="AVG",
        )

    def conditional_mask_update(self) -> None:
        """Prune to the sparsity of this step where the schedule says that one is due.

        Raises:
            SettingError: if the sparsity is out of range or less than what is removed already.
            DivergedError: if a weight is NaN or infinite; the masks are left as they were.
        """
        due, sparsity = self._schedule(self._step())
        if due:
            prune_by_magnitude(self._held, float(sparsity), self._pools, self._select)


def prune_by_magnitude(
    held: HeldMasks,
    sparsity: float,
    pools: Sequence[Collection[str]] | None = None,
    select: Callable[..., Masks] = pooled_masks,
) -> None:
    """Hold a model to masks that remove its smallest weights, besides what is removed already.

    Args:
        held: the masks to update, as `hold` yields them.
        sparsity: fraction of each pool to remove, in [0, 1), what is already removed included.
        pools: as `GlobalPruning` takes them.
        select: likewise.

    Raises:
        SettingError: if the sparsity is out of range or less than what is removed already.
        DivergedError: if a weight is NaN or infinite; the masks are left as they were.

    Warns:
        UserWarning: if a variable is zero everywhere: it is left as it is until it has learned, and
            the sparsity is that of the others.
    """
    masks = held.masks
    # What has lost weights already may be zero for that; it is no kernel that has yet to learn.
    variables = dict(held.variables.items())
    whole = NamedVariables({name: v for name, v in variables.items() if masks[name].all()})
    scores = magnitude_scores(whole) | {
        name: np.abs(v.numpy()) for name, v in variables.items() if not masks[name].all()
    }
    pools = pools or [set(masks)]
    held.assign(masks_where_scored(scores, sparsity, masks, pools, select))
