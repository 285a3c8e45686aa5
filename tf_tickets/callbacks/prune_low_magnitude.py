"""Pruning by a schedule while `fit` trains a model."""

import contextlib
import functools
import warnings

from tf_tickets.callbacks.training_callback import TrainingCallback
from tf_tickets.errors import SettingError
from tf_tickets.interop import ConstantSparsity, PolynomialDecay, PruningSchedule
from tf_tickets.optimizers import UpdateCounter
from tf_tickets.pruning.hold import holding
from tf_tickets.pruning.kernel_matrices import kernel_matrices
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.patterns import block_masks, check_pattern, m_by_n_masks, num_blocks
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.pruning.pruner import prune_by_magnitude
from tf_tickets.pruning.schedules import check_schedule
from tf_tickets.pruning.selection import check_pool, check_pools, pooled_masks, pools_by
from tf_tickets.pruning.zeros import apart_from_zero

_DUE_BY_FREQUENCY = (ConstantSparsity.__call__, PolynomialDecay.__call__)


class PruneLowMagnitude(TrainingCallback):
    """Prunes the smallest weights while `fit` trains the model, as far as a schedule says.

    What TF-MOT's `prune_low_magnitude` and `UpdatePruningStep` do for Keras 2, for any Keras 3
    model and without wrapped layers. The schedule is asked before every training step, whose number
    counts from 1, by the updates that the model's optimizer has made; of several optimizers, by
    those of the one that makes the fewest in a step. So a second `fit` goes on in the schedule, and
    compiling the model anew begins it again. In a training removed weights do not
    come back. After it the zeros stay, but nothing holds them: what an earlier one has pruned, hold
    by `HoldMasks()` beside this callback.

    A training that is resumed, by `keras.callbacks.BackupAndRestore` or from a file, is first
    pruned as far as the schedule had come. As pruned weights are zero, and so the smallest, these
    are the masks that it had. Where `EarlyStopping` restores the weights of its best epoch, these
    are as sparse as the model was then: let it start when the schedule has ended
    (`start_from_epoch`).

    A kernel that begins at zero, as the last of a diffusion network may, is ranked by itself, to
    the same sparsity: ranked with others it would be emptied before it could learn. While it is
    zero everywhere it is left whole, with a warning.

    Args:
        schedule: any TF-MOT `PruningSchedule`, such as `tt.PolynomialDecay(0, 0.8, begin_step=0,
            end_step=1000)`, `tt.ConstantSparsity(0.5, begin_step=0)` or one of your own.
        scope: what may be pruned, as `tt.prunable` takes it.
        pool: "model" ranks the weights of all layers together, so that a layer keeps what it is
            worth; "layer" prunes each kernel to the schedule's sparsity, as TF-MOT does.
        block_size: (inputs, outputs) of blocks that are kept or removed as a whole, by their mean
            magnitude; the sparsity is then that of the blocks. A convolution has blocks at each of
            its places.
        m_by_n: (m, n) removes the m smallest of every n neighbouring inputs of an output, such as
            (2, 4). The schedule then says when, and the pattern how many.

    Raises:
        SettingError: if `schedule` is no schedule, `pool` is unknown, a pattern is not two whole
            numbers, or both patterns are given; before the first update, if there is no kernel to
            prune, or the schedule ends at a sparsity that no masks can have; when pruning, if the
            sparsity is out of range or less than before.
        DivergedError: when pruning, if a weight is NaN or infinite.

    Warns:
        UserWarning: after a training in which nothing was pruned, or an epoch in which no optimizer
            of the model was given gradients; after an epoch in which something else than an
            optimizer, such as a `train_step` that averages weights, has changed pruned weights;
            where a kernel is zero everywhere.

    Attributes:
        masks: `Masks` that the latest training holds, or held last; None before.

    Source: Zhu and Gupta, 2017, arXiv:1710.01878 (gradual pruning); TF-MOT 0.8.

    Example:
        schedule = tt.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=1000)
        model.fit(images, epochs=10, callbacks=[tt.callbacks.PruneLowMagnitude(schedule)])
    """

    def __init__(
        self,
        schedule: PruningSchedule,
        scope=None,
        pool: str = "model",
        block_size: tuple[int, int] | None = None,
        m_by_n: tuple[int, int] | None = None,
    ):
        super().__init__()
        check_schedule(schedule)
        check_pool(pool)
        self._schedule = schedule
        self._scope = scope
        self._pool = pool
        _check_patterns(block_size, m_by_n)
        self._block_size = block_size
        self._m_by_n = m_by_n
        self._held = None
        self._holding = contextlib.ExitStack()

    @property
    def masks(self) -> Masks | None:
        """The masks that the latest training holds, or held last; None before."""
        return self._held and self._held.masks

    def begin(self):
        """Begin to hold the model, to masks that keep all for now."""
        kernels = prunable(self.model, self._scope)
        self._pools = [
            pool
            for together in pools_by(self._pool, kernels)
            for pool in apart_from_zero(self.model, kernels, together)
        ]
        matrices = kernel_matrices(self.model, kernels)
        self._check_end(kernels, matrices)
        self._select = self._selection(matrices)
        self._held = self._holding.enter_context(holding(self.model, Masks.all_kept(kernels)))
        self._count_updates = UpdateCounter(self.model)
        self._seen_step = 0
        self._has_pruned = False

    def before_batch(self):
        """Prune where the schedule says so for a step since the batch before, or for any so far.

        All that the other callbacks restore as training begins is there by now, whatever the order
        of the callbacks is.
        """
        step = self._count_updates() + 1  # as TF-MOT counts: the first step is 1
        sparsity = _latest_due(self._schedule, self._seen_step, step)
        self._seen_step = step
        if sparsity is not None:
            prune_by_magnitude(self._held, float(sparsity), self._pools, self._select)
            self._has_pruned = True

    def on_epoch_end(self, epoch, logs=None):
        """Warn where no optimizer counts the steps, or something brings pruned weights back."""
        if not self._has_begun:  # an epoch without a batch
            return
        self._held.check()
        if not self._count_updates() and self._count_updates.stands_still:
            warnings.warn(
                f"After an epoch {self.model.name} has no optimizer that made an update, so the "
                "schedule stands still: keep its optimizers as attributes of the model.",
                stacklevel=2,
            )

    def on_train_end(self, logs=None):
        """Let go of the model; warn where its training ended before the schedule began."""
        super().on_train_end(logs)
        step = self._count_updates() if self._has_begun else 0
        if step and not self._has_pruned:
            warnings.warn(
                f"Nothing was pruned: the training ended at step {step}, and the schedule was due "
                "at no step until then. Set its begin_step, end_step and frequency by the steps of "
                "the training.",
                stacklevel=2,
            )

    def let_go(self):
        """Hold the model no more."""
        self._holding.close()

    def _check_end(self, kernels, matrices):
        """Refuse a schedule that ends at a sparsity which no masks can have."""
        sparsity = None if self._m_by_n else _last_sparsity(self._schedule)
        if sparsity is None:
            return
        sizes = {
            name: num_blocks(kernel.shape, self._block_size, matrices[name])
            if self._block_size
            else num_values([kernel])
            for name, kernel in kernels.items()
        }
        try:
            check_pools(sparsity, sizes, self._pools)
        except SettingError as error:
            raise SettingError(
                f"The schedule cannot be followed to its end: {error} Choose one that ends at "
                "less, or pool='layer', by which each kernel keeps one."
            ) from error

    def _selection(self, matrices):
        """Return what draws the masks."""
        if self._block_size:
            return functools.partial(block_masks, block_size=self._block_size, matrices=matrices)
        if self._m_by_n:
            return functools.partial(m_by_n_masks, m_by_n=self._m_by_n, matrices=matrices)
        return pooled_masks


def _latest_due(schedule, seen, step):
    """Return the sparsity of the latest step after `seen`, up to `step`, that a schedule is due at.

    None if it is due at none. A schedule that has a beginning and an end is not asked beyond them,
    and TF-MOT's own, of which it is known when they are due, not in between either.
    """
    begin, end = (getattr(schedule, name, None) for name in ("begin_step", "end_step"))
    first = seen + 1 if begin is None else max(seen + 1, begin)
    last = step if end is None or end < 0 else min(step, end)
    steps = range(last, first - 1, -1)
    if type(schedule).__call__ in _DUE_BY_FREQUENCY:
        steps = (past for past in steps if (past - begin) % schedule.frequency == 0)
    answers = (schedule(past) for past in steps)
    return next((sparsity for due, sparsity in answers if due), None)


def _last_sparsity(schedule):
    """Return the sparsity at the last step that a schedule is due at; None where it has no end.

    One without an end that begins at a step is asked at that step. A schedule of a user's own is
    not asked for more than a thousand steps.
    """
    begin, end = (getattr(schedule, name, None) for name in ("begin_step", "end_step"))
    last = begin if end is None or end < 0 else end
    if last is None:
        return None
    known = type(schedule).__call__ in _DUE_BY_FREQUENCY
    sparsity = _latest_due(schedule, 0 if known else max(0, last - 1000), last)
    return None if sparsity is None else float(sparsity)


def _check_patterns(block_size, m_by_n):
    if block_size is not None and m_by_n is not None:
        raise SettingError("Choose one pattern: `block_size` or `m_by_n`.")
    if block_size is not None:
        check_pattern("block_size", block_size, smallest=(1, 1))
    if m_by_n is not None:
        check_pattern("m_by_n", m_by_n, smallest=(1, 2))
        if not m_by_n[0] < m_by_n[1]:
            raise SettingError(
                f"`m_by_n` removes m of every n weights, so m must be less than n. "
                f"Received: m_by_n={m_by_n!r}"
            )
