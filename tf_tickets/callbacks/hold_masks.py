"""Holding a model to masks while `fit` trains it."""

import contextlib

import keras

from tf_tickets.pruning.hold import hold
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.scores import masks_of_zeros
from tf_tickets.tickets import Ticket


class HoldMasks(keras.callbacks.Callback):
    """Keeps pruned weights at exactly zero while `fit` trains the model.

    The masks are applied when training begins; after it the zeros stay, but nothing holds them.
    Where an exception breaks the training off, Keras does not tell its callbacks: the model is held
    until this callback begins another training or is gone.

    Args:
        masks: `Masks` or a `Ticket`, of a model with the same variable paths; by default the zeros
            that the kernels have when training begins, those included that a `BackupAndRestore`
            before it in the list of callbacks brings back.

    Raises:
        SettingError: when training begins, if the masks are for another model.

    Example:
        model.fit(images, callbacks=[tt.callbacks.HoldMasks(ticket)])
    """

    def __init__(self, masks: Masks | Ticket | None = None):
        super().__init__()
        self.masks = masks.masks if isinstance(masks, Ticket) else masks
        self._holding = contextlib.ExitStack()

    def on_train_begin(self, logs=None):
        """Hold the model to the masks."""
        self._holding.close()  # what a training left open that an exception broke off
        masks = masks_of_zeros(self.model) if self.masks is None else self.masks
        self._holding.enter_context(hold(self.model, masks))

    def on_train_end(self, logs=None):
        """Let go of the model."""
        self._holding.close()
