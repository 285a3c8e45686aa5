"""Searches for one ticket of a model of your own, around a training loop of your own."""

from collections.abc import Callable

import keras

from tf_tickets.callbacks import RewindPoint
from tf_tickets.channels.criterion import (
    EarlyBirdCriterion,
    check_criterion,
    penalised_scales,
    trained_channels,
)
from tf_tickets.channels.scoring import WITHOUT_LOSSES, check_ranking
from tf_tickets.errors import SettingError, check_count, check_function
from tf_tickets.interop import PruningSchedule
from tf_tickets.keras_internals import check_model
from tf_tickets.optimizers import nested_optimizers, reset_optimizer, without_state
from tf_tickets.pruning.hold import hold
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.pruning.pruner import GlobalPruning
from tf_tickets.pruning.schedules import check_rounds
from tf_tickets.pruning.selection import check_pool, check_pools, pools_by
from tf_tickets.search.training import refuse_non_finite
from tf_tickets.tickets.snapshot import take_snapshot
from tf_tickets.tickets.ticket import Ticket


class LoopedPruning:
    """Trains a model, prunes it, rewinds what is left, and trains it again, round by round.

    The shortest way to tickets of a model and a training loop of your own. It does not say whether
    a ticket wins: `TicketSearch` has the controls, several seeds, and resumes.

    Args:
        model: a built Keras model; it is trained in place.
        data: whatever `train` takes.
        train: `train(model, data)` trains the model once, from the start to the end, by `fit` or by
            a loop of its own. The masks are held meanwhile, as by `tt.hold`.
        schedule: a TF-MOT `PruningSchedule` whose step is the round, and which prunes in each.
        rounds: how often the model is pruned and trained again.
        rewind_point: a `tt.callbacks.RewindPoint` that `train` passes to `fit`; survivors return
            there. Without one they return to the weights that the model has before `run`.
        scope: what may be pruned, as `tt.prunable` takes it.
        pool: "model" ranks all weights together, "layer" those of each kernel by themselves.

    The optimizers that the model has as attributes begin every round without state, for which one
    that was trained with before `run` is made from its config; those of a loop of your own are to
    be made anew in `train`.

    Raises:
        SettingError: if `rounds` is no whole number of at least 1, `schedule` is no schedule or
            leaves a round idle, `pool` is unknown, or another argument is of another kind; in
            `run`, before anything is trained, if there is no kernel to prune, the last round leaves
            too few weights, or an optimizer cannot be made anew; and if the rewind point was not
            reached.
        DivergedError: in `run`, if a training ends with a NaN or infinite weight.

    Attributes:
        tickets: of the rounds so far, also where a later one fails.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1; Frankle et al., 2020,
    arXiv:1912.05671.

    Example:
        rewind = tt.callbacks.RewindPoint(step=100)

        def train(model, images):
            model.fit(images, epochs=5, callbacks=[rewind])

        schedule = tt.IterativeSparsity(rate=0.2, rounds=5)
        search = tt.search.LoopedPruning(
            model, images, train, schedule=schedule, rounds=5, rewind_point=rewind
        )
        tickets = search.run()
    """

    def __init__(
        self,
        model: keras.Model,
        data,
        train: Callable,
        *,
        schedule: PruningSchedule,
        rounds: int,
        rewind_point: RewindPoint | None = None,
        scope=None,
        pool: str = "model",
    ):
        check_model(model)
        check_function("train", train)
        check_count("rounds", rounds)
        check_rounds(schedule, rounds)
        check_pool(pool)
        if not isinstance(rewind_point, RewindPoint | None):
            raise SettingError(
                "`rewind_point` must be a tt.callbacks.RewindPoint. Received: a "
                f"{type(rewind_point).__name__}"
            )
        self.model = model
        self.data = data
        self.train = train
        self.schedule = schedule
        self.rounds = rounds
        self.rewind_point = rewind_point
        self.scope = scope
        self.pool = pool
        self.tickets = []

    def run(self) -> list[Ticket]:
        """Make all rounds; return their tickets, and leave the model as the last was trained.

        Returns:
            One Ticket for each round: its masks, and the weights that its survivors start from.
        """
        kernels = prunable(self.model, self.scope)
        initial = take_snapshot(self.model)
        optimizers = [(each, without_state(each)) for each in nested_optimizers(self.model)]
        pools = pools_by(self.pool, kernels)
        sizes = {name: num_values([kernel]) for name, kernel in kernels.items()}
        check_pools(float(self.schedule(self.rounds)[1]), sizes, pools)
        self.tickets = []
        with hold(self.model, Masks.all_kept(kernels)) as held:
            self._train(optimizers)
            for number in range(1, self.rounds + 1):
                GlobalPruning(
                    lambda number=number: number, held, self.schedule, pools
                ).conditional_mask_update()
                self.tickets.append(self._ticket(held.masks, initial, number))
                self.tickets[-1].apply(self.model)
                self._train(optimizers)
        return self.tickets

    def _ticket(self, masks, initial, number):
        if self.rewind_point is not None:
            return self.rewind_point.ticket(masks, {"round": number})
        return Ticket(masks, initial, {"round": number, "rewind_step": 0})

    def _train(self, optimizers):
        for optimizer, unbuilt in optimizers:
            reset_optimizer(optimizer, unbuilt)
        self.train(self.model, self.data)
        refuse_non_finite(self.model)


class LoopedEarlyBird:
    """Trains a model epoch by epoch until it has settled which of its channels matter.

    What follows is `tt.slim(model, masks)`, and training the small model on. If `fit` alone trains
    the model, `tt.callbacks.EarlyBird` does the same.

    Args:
        model: as `tt.channel_masks` takes it; it is trained in place.
        data: whatever `train` takes.
        train: `train(model, data)` trains the model for one epoch, or whatever lies between two
            drawings of masks. A loop of your own adds `sum(model.losses)` to its loss: that is how
            the scales are pushed towards zero.
        channel_sparsity, mask_distance, look_back, scale_penalty, whole_groups, pool, by: as
            `tt.callbacks.EarlyBird` takes them.

    Raises:
        SettingError: if an argument is of another kind or out of range; in `run`, if no channel may
            go.
        DivergedError: in `run`, if a weight becomes NaN or infinite.

    Warns:
        UserWarning: after the first epoch, if the loop has not asked for `model.losses`.

    Attributes:
        epoch: how many epochs the latest run trained until the ticket was drawn; None before.
        history: for each masks drawn, the distances to those before, the latest first.

    Source: You et al., 2020, arXiv:1909.11957; Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1.
    """

    def __init__(
        self,
        model: keras.Model,
        data,
        train: Callable,
        *,
        channel_sparsity: float,
        mask_distance: float = 0.1,
        look_back: int = 5,
        scale_penalty: float = 1e-4,
        whole_groups: bool = False,
        pool: str = "model",
        by: str = "scale",
    ):
        check_model(model)
        check_function("train", train)
        check_criterion(channel_sparsity, mask_distance, look_back, scale_penalty)
        check_ranking(pool, by, rankings=WITHOUT_LOSSES)
        self.model = model
        self.data = data
        self.train = train
        self.epoch = None
        self.history = []
        self.channel_sparsity = channel_sparsity
        self.mask_distance = mask_distance
        self.look_back = look_back
        self.scale_penalty = scale_penalty
        self.whole_groups = whole_groups
        self.pool = pool
        self.by = by

    def run(self, max_epochs: int) -> Masks | None:
        """Train until the masks have settled; return the channel masks, or None if they did not.

        Args:
            max_epochs: train no longer than so many epochs.
        """
        check_count("max_epochs", max_epochs)
        self.epoch = None
        ranking = trained_channels(self.model, self.whole_groups, self.pool, self.by)
        criterion = EarlyBirdCriterion(
            ranking, self.channel_sparsity, self.mask_distance, self.look_back
        )
        self.history = criterion.history
        with penalised_scales(self.model, ranking, self.scale_penalty):
            for epoch in range(1, max_epochs + 1):
                self.train(self.model, self.data)
                refuse_non_finite(self.model)
                if criterion.draw():
                    self.epoch = epoch
                    return criterion.masks
        return None
