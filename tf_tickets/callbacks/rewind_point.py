"""Keeping the weights of one step of a training, to rewind to."""

import numbers

from tf_tickets.callbacks.training_callback import TrainingCallback
from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_path
from tf_tickets.optimizers import UpdateCounter
from tf_tickets.pruning.masks import Masks, masks_for
from tf_tickets.strategy import is_chief
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot
from tf_tickets.tickets.ticket import Ticket


class RewindPoint(TrainingCallback):
    """Keeps the model's weights as they are after so many updates, so that survivors return there.

    It keeps them once: in later trainings of the same model it changes nothing. With another model
    it begins anew.

    Args:
        step: how many updates the optimizer has made by then; 0 for the weights that the training
            begins with. Of several optimizers the one counts that makes the fewest in a step.
        path: a file to keep them in as well, so that a training that is resumed later than `step`
            finds them; an existing one is read. Of several workers the chief writes it.

    Raises:
        SettingError: if `step` is no whole number or negative, or `path` is none; or while
            training, if it was over before the first batch that this callback saw, fell within the
            batches that one execution takes (`steps_per_execution`), or is 0 in a loop of your own
            before the model is built.
        FileError: if the file is damaged, or cannot be written.

    Attributes:
        weights: variable name -> array, as `tt.take_snapshot` returns them; None before the step.

    Source: Frankle et al., 2020, arXiv:1912.05671; Kalibhat et al., 2021,
    arXiv:2010.02350, sec. 3.1.

    Example:
        rewind = tt.callbacks.RewindPoint(step=10)
        model.fit(images, epochs=5, callbacks=[rewind])
        masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.2)
        ticket = rewind.ticket(masks)
    """

    def __init__(self, step: int, path=None):
        super().__init__()
        if not isinstance(step, numbers.Real) or step < 0 or step % 1 != 0:  # NaN is not 0
            raise SettingError(
                f"`step` must be a whole number, at least 0. Received: step={step!r}"
            )
        self.step = step
        self.weights = None
        self._of_model = None
        self._path = None if path is None else as_path(path)

    def ticket(self, masks: Masks, config: dict | None = None) -> Ticket:
        """Return the ticket of these masks that starts from here.

        Args:
            masks: of variables of the model.
            config: how the masks were found, as JSON can hold it.

        Raises:
            SettingError: if the step was not reached yet, or a mask has no weights of its shape.
        """
        self._check_reached()
        masks = masks_for(self.model, masks)
        return Ticket(masks, self.weights, {"rewind_step": self.step, **(config or {})})

    def rewind(self) -> None:
        """Give the model that was trained the weights of this point; its optimizer goes on.

        Raises:
            SettingError: if the step was not reached yet.
        """
        self._check_reached()
        restore_snapshot(self.model, self.weights)

    def begin(self):
        """Find the optimizers that count the updates; keep nothing of another model."""
        self._count_updates = UpdateCounter(self.model)
        if self._of_model is not self.model:
            self.weights = None
            self._of_model = self.model

    def before_batch(self):
        """Keep the weights where this is the step; find those that a resumed training kept."""
        if self.weights is None:
            num_made = self._count_updates()
            if num_made == self.step:
                self._keep()
            elif num_made > self.step:
                self._recall(num_made)

    def on_train_end(self, logs=None):
        """Keep the weights where training ends with the step."""
        super().on_train_end(logs)
        if self._has_begun and self.weights is None and self._count_updates() == self.step:
            self._keep()

    def _keep(self):
        if not self.model.weights:
            raise SettingError(
                f"{self.model.name} has no weights yet to return to: build it, or call it on a "
                "batch, before training."
            )
        self.weights = take_snapshot(self.model)
        if self._path and is_chief(self.model.distribute_strategy):
            try:
                self.ticket(Masks({})).save(self._path)
            except OSError as error:
                reason = error.strerror or error
                raise FileError(f"Cannot write {self._path}: {reason}.") from error

    def _recall(self, num_made):
        # Only now: a file that is there as a training begins anew is of an earlier one.
        if not (self._path and self._path.exists()):
            raise SettingError(
                f"The rewind point at step {self.step} was not seen: {num_made} updates had been "
                "made at the first batch that could tell. Use RewindPoint from the beginning, with "
                "a `path` where training may be resumed, and at a multiple of steps_per_execution."
            )
        ticket = Ticket.load(self._path)
        if ticket.config.get("rewind_step") != self.step:
            raise SettingError(
                f"{self._path} holds another rewind point, of step "
                f"{ticket.config.get('rewind_step')}, not {self.step}. Choose another `path`."
            )
        self.weights = ticket.weights

    def _check_reached(self):
        if self.weights is None:
            raise SettingError(
                f"The rewind point at step {self.step} was not reached: pass this callback to a "
                "fit() of more steps."
            )
