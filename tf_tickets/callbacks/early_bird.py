"""Drawing an early-bird ticket while `fit` trains a model."""

import contextlib

from tf_tickets.callbacks.training_callback import TrainingCallback
from tf_tickets.channels.criterion import (
    EarlyBirdCriterion,
    check_criterion,
    penalised_scales,
    trained_channels,
)
from tf_tickets.channels.scoring import WITHOUT_LOSSES, check_ranking
from tf_tickets.errors import check_count
from tf_tickets.optimizers import UpdateCounter


class EarlyBird(TrainingCallback):
    """Watches which channels of a model in training matter, and stops when that has settled.

    The model needs a graph: it is Functional or Sequential, or its `components` are. By default it
    needs BatchNormalization (or GroupNormalization) layers, too, by whose scales channels are
    ranked; by="norm" does without. A `train_step` of its own adds `sum(self.losses)` to its
    loss: that is how the scales are pushed towards zero. What follows the ticket is `tt.slim`:

        early_bird = tt.callbacks.EarlyBird(channel_sparsity=0.7)
        model.fit(images, epochs=100, callbacks=[early_bird])
        small = tt.slim(model, early_bird.masks)
        small.fit(images, initial_epoch=early_bird.epoch, epochs=100)

    Args:
        channel_sparsity: fraction of the channels that may go to remove, in [0, 1).
        mask_distance: what the newest masks' distance from each of the last ones has to stay below.
        look_back: how many of those.
        scale_penalty: weight of the sum of the scales' magnitudes in the loss; 0 for none.
        draw_every: draw masks after so many updates of the optimizer, at least 1; after each epoch
            by default.
        whole_groups, pool, by: as `tt.channel_masks` takes them; by is "scale" or "norm". By norm
            no scale is penalised.

    Raises:
        SettingError: if a number is out of range, or `pool` or `by` is unknown; before the first
            update, if no channel may go, or all scales are frozen (not trainable).
        DivergedError: if a scale becomes NaN or infinite.

    Warns:
        UserWarning: when masks are first drawn, if no training step has added the penalty; when
            training begins, if some scales are frozen: their channels stay.

    Attributes:
        masks: channel masks of the ticket, once it is drawn; None before.
        epoch: how many epochs had begun when it was; None before.
        history: for each masks drawn, the distances to those before, the latest first.

    Each training begins to look anew, one that is resumed too.

    Source: You et al., 2020, arXiv:1909.11957; Kalibhat et al., 2021,
    arXiv:2010.02350, sec. 3.1.
    """

    def __init__(
        self,
        channel_sparsity: float,
        mask_distance: float = 0.1,
        look_back: int = 5,
        scale_penalty: float = 1e-4,
        draw_every: int | None = None,
        whole_groups: bool = False,
        pool: str = "model",
        by: str = "scale",
    ):
        super().__init__()
        if draw_every is not None:
            check_count("draw_every", draw_every)
        check_criterion(channel_sparsity, mask_distance, look_back, scale_penalty)
        check_ranking(pool, by, rankings=WITHOUT_LOSSES)
        self.masks = None
        self.epoch = None
        self.history = []
        self.channel_sparsity = channel_sparsity
        self.mask_distance = mask_distance
        self.look_back = look_back
        self.scale_penalty = scale_penalty
        self.draw_every = draw_every
        self.whole_groups = whole_groups
        self.pool = pool
        self.by = by
        self._penalty = contextlib.ExitStack()

    def begin(self):
        """Begin to watch, and to push the scales towards zero."""
        ranking = trained_channels(self.model, self.whole_groups, self.pool, self.by)
        self._criterion = EarlyBirdCriterion(
            ranking, self.channel_sparsity, self.mask_distance, self.look_back
        )
        self.history = self._criterion.history
        self._penalty.enter_context(penalised_scales(self.model, ranking, self.scale_penalty))
        self._count_updates = UpdateCounter(self.model)
        self._drawn_at = self._count_updates()

    def on_train_begin(self, logs=None):
        """Forget the ticket of a training before; begin as soon as the model is built."""
        self.masks = None
        self.epoch = None
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        """Draw masks where they are due by steps."""
        if self.draw_every:
            num_made = self._count_updates()
            if num_made - self._drawn_at >= self.draw_every:
                self._drawn_at = num_made
                self._draw()

    def on_epoch_end(self, epoch, logs=None):
        """Draw masks where they are due by epochs."""
        if not self.draw_every:
            self._draw()

    def let_go(self):
        """Stop pushing the scales."""
        self._penalty.close()

    def _draw(self):
        if self.masks is None and self._criterion.draw():
            self.masks = self._criterion.masks
            self.epoch = self._epoch + 1
            self.model.stop_training = True
