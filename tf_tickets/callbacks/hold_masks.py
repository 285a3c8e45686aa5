"""Holding a model to masks while `fit` trains it."""

import contextlib

import keras

from tf_tickets.pruning.hold import hold
from tf_tickets.pruning.masks import Masks, masks_of
from tf_tickets.pruning.prunable import masks_of_zeros
from tf_tickets.tickets.ticket import Ticket


class HoldMasks(keras.callbacks.Callback):
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

    def on_train_begin(self, logs=None):
        """Let go of what a training held that an exception broke off."""
        self._holding.close()
        self._is_held = False

    def on_train_batch_begin(self, batch, logs=None):
        """Hold the model to the masks."""
        if not self._is_held:
            masks = masks_of_zeros(self.model) if self.masks is None else self.masks
            self._holding.enter_context(hold(self.model, masks))
            self._is_held = True

    def on_train_end(self, logs=None):
        """Let go of the model."""
        self._holding.close()
