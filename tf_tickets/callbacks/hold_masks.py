"""Holding a model to masks while `fit` trains it."""

import contextlib

from tf_tickets.callbacks.training_callback import TrainingCallback
from tf_tickets.pruning.hold import hold
from tf_tickets.pruning.masks import Masks, masks_of
from tf_tickets.pruning.prunable import masks_of_zeros
from tf_tickets.tickets.ticket import Ticket


class HoldMasks(TrainingCallback):
    """Keeps pruned weights at exactly zero while `fit` trains the model.

    The masks are applied before the first batch, when all that the other callbacks restore is
    there, whatever their order is; after the training the zeros stay, but nothing holds them. Where
    an exception breaks the training off, Keras does not tell its callbacks: the model is held until
    this callback begins another training or is gone.

    Args:
        masks: `Masks` or a `Ticket`, of a model whose variables have the same names; by default
            the zeros that the kernels have before the first batch, those included that
            `BackupAndRestore` brings back.

    Raises:
        SettingError: if `masks` are neither; before the first batch, if they are for another model.

    Example:
        model.fit(images, callbacks=[tt.callbacks.HoldMasks(ticket)])
    """

    def __init__(self, masks: Masks | Ticket | None = None):
        super().__init__()
        self.masks = None if masks is None else masks_of(masks)
        self._holding = contextlib.ExitStack()

    def begin(self):
        """Hold nothing before the first batch."""
        self._is_held = False

    def before_batch(self):
        """Hold the model to the masks."""
        if not self._is_held:
            masks = masks_of_zeros(self.model) if self.masks is None else self.masks
            self._holding.enter_context(hold(self.model, masks))
            self._is_held = True

    def let_go(self):
        """Hold the model no more."""
        self._holding.close()
