"""Pruning by a schedule while `fit` trains a model."""

import contextlib
import functools

import keras

from tf_tickets.errors import SettingError
from tf_tickets.interop import PruningSchedule
from tf_tickets.pruning.hold import hold
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.optimizers import nested_optimizers, num_updates
from tf_tickets.pruning.pruner import GlobalPruning
from tf_tickets.pruning.scores import prunable
from tf_tickets.pruning.selection import pooled_masks
from tf_tickets.pruning.structured import block_masks, check_pattern, m_by_n_masks


class PruneLowMagnitude(keras.callbacks.Callback):
    """Prunes the smallest weights while `fit` trains the model, as far as a schedule says.

    What TF-MOT's `prune_low_magnitude` and `UpdatePruningStep` do for Keras 2, for any Keras 3
    model and without wrapped layers. The schedule is asked before every training step, whose number
    counts from 1, by the updates that the model's optimizer has made. So a second `fit` goes on in
    the schedule, and compiling the model anew begins it again. Removed weights do not come back.
    After the training the zeros stay, but nothing holds them.

    A training that is resumed, by `keras.callbacks.BackupAndRestore` or from a file, is first
    pruned as far as the schedule had come. As pruned weights are zero, and so the smallest, these
    are the masks that it had.

    Args:
        schedule: any TF-MOT `PruningSchedule`, such as `tt.PolynomialDecay(0, 0.8, begin_step=0,
            end_step=1000)`, `tt.ConstantSparsity(0.5, begin_step=0)` or one of your own.
        scope: what may be pruned, as `tt.prunable` takes it.
        pool: "model" ranks the weights of all layers together, so that a layer keeps what it is
            worth; "layer" prunes each kernel to the schedule's sparsity, as TF-MOT does.
        block_size: (rows, columns) of blocks that are kept or removed as a whole, by their mean
            magnitude; the sparsity is then that of the blocks. They tile the last two axes of each
            kernel: inputs and outputs.
        m_by_n: (m, n) removes the m smallest of every n neighbouring inputs, such as (2, 4). The
            schedule then says when, and the pattern how many.

    Raises:
        SettingError: if `schedule` is no schedule, `pool` is unknown, a pattern is not two whole
            numbers, or both patterns are given; when training begins, if there is no kernel to
            prune; when pruning, if the sparsity is out of range or less than before.
        DivergedError: when pruning, if a weight is NaN or infinite.

    Attributes:
        masks: `Masks` of the latest training, as they are now; None before.

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
        if not isinstance(schedule, PruningSchedule):
            raise SettingError(
                "`schedule` must be a PruningSchedule of TF-MOT, such as tt.PolynomialDecay(0, 0.8,"
                f" begin_step=0, end_step=1000). Received: schedule={schedule!r}"
            )
        if pool not in ("model", "layer"):
            raise SettingError(f"`pool` must be 'model' or 'layer'. Received: pool={pool!r}")
        self._schedule = schedule
        self._scope = scope
        self._pool = pool
        self._select = _selection(block_size, m_by_n)
        self._held = None
        self._holding = contextlib.ExitStack()

    @property
    def masks(self) -> Masks | None:
        """The masks as they are now, or None before the first training."""
        return self._held and self._held.masks

    def on_train_begin(self, logs=None):
        """Begin to hold the model, to masks that keep all for now."""
        kernels = prunable(self.model, self._scope)
        self._holding.close()  # what a training left open that an exception broke off
        self._held = self._holding.enter_context(hold(self.model, Masks.all_kept(kernels)))
        pools = [{kernel.path} for kernel in kernels] if self._pool == "layer" else None
        self._pruner = GlobalPruning(
            lambda: self._due_step, self._held, self._schedule, pools, self._select
        )
        self._optimizers = list(nested_optimizers(self.model))
        self._seen_step = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Prune where the schedule says so for a step since the batch before, or for any so far.

        All that the other callbacks restore as training begins is there by now, whatever the order
        of the callbacks is.
        """
        step = num_updates(self._optimizers) + 1  # as TF-MOT counts: the first step is 1
        unseen = range(step, self._seen_step, -1)
        self._due_step = next((past for past in unseen if self._schedule(past)[0]), None)
        self._seen_step = step
        if self._due_step is not None:
            self._pruner.conditional_mask_update()

    def on_train_end(self, logs=None):
        """Let go of the model."""
        self._holding.close()


def _selection(block_size, m_by_n):
    if block_size and m_by_n:
        raise SettingError("Choose one pattern: `block_size` or `m_by_n`.")
    if block_size:
        check_pattern("block_size", block_size, smallest=(1, 1))
        return functools.partial(block_masks, block_size=tuple(block_size))
    if m_by_n:
        check_pattern("m_by_n", m_by_n, smallest=(1, 2))
        if not m_by_n[0] < m_by_n[1]:
            raise SettingError(
                f"`m_by_n` removes m of every n weights, so m must be less than n. "
                f"Received: m_by_n={m_by_n!r}"
            )
        return functools.partial(m_by_n_masks, m_by_n=tuple(m_by_n))
    return pooled_masks
