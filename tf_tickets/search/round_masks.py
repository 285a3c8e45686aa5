"""How the masks of a round come about."""

from collections.abc import Callable, Mapping
from typing import Protocol

import keras

from tf_tickets.engines.stage import Stage, derived_seed
from tf_tickets.errors import SettingError, check_count, check_function
from tf_tickets.interop import PruningSchedule
from tf_tickets.names import named, under_names
from tf_tickets.protocols import named_components
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.pruning.pruner import GlobalPruning
from tf_tickets.pruning.schedules import ListedSparsity, check_rounds, check_schedule
from tf_tickets.pruning.selection import check_pools, check_scores, masks_where_scored, pools_by
from tf_tickets.pruning.zeros import has_yet_to_learn
from tf_tickets.search.bench import Bench
from tf_tickets.tickets.ticket import Ticket

POOLS = ("model", "component", "layer")


class Draw(Protocol):
    """Draws the masks of a search's winning arm, round by round.

    Attributes:
        trains_first: whether the masks are drawn from what a stage has trained. The networks that
            they are drawn from must then be worth pruning.
    """

    trains_first: bool

    def check_rounds(self, rounds: int) -> None:
        """Raise SettingError if there is nothing to draw in one of so many rounds."""

    def check(self, bench: Bench, seed: int, rounds: int) -> None:
        """Raise SettingError if a round cannot work on a model, before anything is trained."""

    def source(self, stage: Stage) -> Stage:
        """Return the stage whose weights the masks of a winning stage are drawn from."""

    def masks(self, bench: Bench, stage: Stage) -> Masks:
        """Return the masks of a winning stage; the model's state may be changed."""

    def num_kept(self, bench: Bench, stage: Stage) -> int:
        """Return how many weights the masks of a round keep, whether they are drawn or not."""


class _Scheduled:
    """What draws have in common that follow a schedule and rank the weights of pools."""

    def __init__(self, schedule, pool):
        if pool not in POOLS:
            raise SettingError(f"`pool` must be one of {', '.join(POOLS)}. Received: pool={pool!r}")
        self.schedule = schedule
        self.pool = pool

    def schedule_of(self, seed: int) -> PruningSchedule:
        """Return the schedule that one seed follows."""
        return self.schedule

    def check_rounds(self, rounds):
        """Raise SettingError unless the schedule prunes in each round."""
        check_rounds(self.schedule, rounds)

    def check(self, bench, seed, rounds):
        """Raise SettingError unless the last round leaves enough weights."""
        sparsity = float(self.schedule_of(seed)(rounds)[1])
        check_leaves_enough(bench.model, bench.kernels, sparsity, self.pool)

    def num_kept(self, bench, stage):
        """Return how many weights the schedule lets a round keep."""
        sparsity = float(self.schedule_of(stage.seed)(stage.round)[1])
        kernels = named(bench.kernels)
        pools = ([kernels[name] for name in names] for names in self._pools(bench))
        # A kernel that is ranked by itself keeps one weight at least, as in `pooled_masks`.
        return sum(max(1, round((1 - sparsity) * num_values(pool))) for pool in pools)

    def _pools(self, bench) -> list[set]:
        """Return the names of the variables that are ranked together, for each ranking."""
        return _pools_of(bench.model, bench.kernels, self.pool)


def check_leaves_enough(model, kernels, sparsity: float, pool: str) -> None:
    """Raise SettingError if a sparsity leaves a pool fewer weights than it has kernels.

    Args:
        model: that is pruned.
        kernels: what may be pruned of it, as `prunable` returns it.
        sparsity: of the last round.
        pool: as `ByMagnitude` takes it.
    """
    if sparsity >= 1:
        raise SettingError("The last round leaves no weight: choose fewer `rounds`.")
    sizes = {name: num_values([kernel]) for name, kernel in kernels.items()}
    try:
        check_pools(sparsity, sizes, _pools_of(model, kernels, pool))
    except SettingError as error:
        raise SettingError(f"{error} Choose fewer rounds or a lower rate.") from error


def _pools_of(model, kernels, pool) -> list[set]:
    """Return the names of the kernels that are ranked together, for each ranking."""
    if pool != "component":
        return pools_by(pool, kernels)
    components = named_components(model)
    names = set(kernels.names)
    pools = [set(prunable(model, each).names) & names for each in components]
    if set().union(*pools) != names:
        raise SettingError(
            "`pool` can be 'component' only if all that may be pruned is in one of the model's "
            f"components; {model.name} has: {', '.join(components) or 'none'}."
        )
    return [each for each in pools if each]


def check_draw(draw: Draw) -> None:
    """Raise SettingError unless the argument `draw` is one."""
    if not (hasattr(draw, "masks") and hasattr(draw, "trains_first")):
        raise SettingError(
            "`draw` must be tt.search.ByMagnitude(schedule), ByScore or the like. Received: a "
            f"{type(draw).__name__}"
        )


class ByMagnitude(_Scheduled):
    """Prunes the smallest weights of what an earlier stage has trained.

    Args:
        schedule: a TF-MOT `PruningSchedule` whose step is the round, and which prunes in each.
        pool: "model" ranks all weights that may be pruned together; "component" ranks those of each
            of the model's `components`, and "layer" those of each kernel, by themselves, to the
            same sparsity.
        one_shot: prune the dense network at once to each round's sparsity, not the round before.

    Raises:
        SettingError: if `schedule` is no schedule, or `pool` is unknown.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1; pools by component: Chen et al.,
    2021, arXiv:2106.00134.
    """

    trains_first = True

    def __init__(self, schedule: PruningSchedule, pool: str = "model", one_shot: bool = False):
        super().__init__(schedule, pool)
        check_schedule(schedule)
        self.one_shot = one_shot

    def source(self, stage):
        """Return the round before, or the dense network."""
        if self.one_shot or stage.round == 1:
            return stage.dense
        return Stage(stage.seed, stage.round - 1, "winning")

    def masks(self, bench, stage):
        """Return the masks of the largest weights."""
        trained = bench.trained(self.source(stage))
        bench.start_from(trained.weights, trained.masks)
        schedule = self.schedule_of(stage.seed)
        pruner = GlobalPruning(lambda: stage.round, bench.held, schedule, self._pools(bench))
        pruner.conditional_mask_update()
        return bench.held.masks


class AsSparseAs(ByMagnitude):
    """Prunes by magnitude to the sparsities that tickets from elsewhere have.

    Args:
        tickets: `tickets(seed, round)` returns a Ticket.
        rounds: how many rounds there are tickets for.
        pool: as `ByMagnitude` takes it.

    Raises:
        SettingError: if `tickets` is no function, `pool` is unknown, or `rounds` is not a whole
            number of at least 1.
    """

    def __init__(self, tickets: Callable[[int, int], Ticket], rounds: int, pool: str = "model"):
        check_function("tickets", tickets)
        check_count("rounds", rounds)
        _Scheduled.__init__(self, None, pool)
        self.one_shot = False
        self._tickets = tickets
        self._rounds = rounds
        self._schedules = {}

    def check_rounds(self, rounds):
        """Raise SettingError if there are fewer tickets."""
        if rounds > self._rounds:
            raise SettingError(
                f"There are tickets for {self._rounds} rounds. Received: rounds={rounds}"
            )

    def schedule_of(self, seed):
        """Return the sparsities of one seed's tickets."""
        if seed not in self._schedules:
            tickets = (self._tickets(seed, number) for number in range(1, self._rounds + 1))
            self._schedules[seed] = ListedSparsity([ticket.masks.sparsity for ticket in tickets])
        return self._schedules[seed]


class ByScore(_Scheduled):
    """Prunes the weights of the rewind point, by a score, before they are trained.

    Args:
        score: `score(model, kernels, seed)` returns how much each weight is worth keeping in a
            model that is at the rewind point: variable name -> float array for each of `kernels`,
            which `prunable` returned; higher means keep. It leaves the model as it is, and gets the
            same seed in all rounds.
        schedule, pool: as `ByMagnitude` takes them.
        steps: the number of steps in which the weights that are kept fall to those of a round, each
            time by the same factor; the weights that are left are scored anew for each.

    Raises:
        SettingError: if `score` is no function, `schedule` no schedule, `pool` is unknown, or
            `steps` is not a whole number of at least 1.

    Source: Frankle et al., 2021, arXiv:2009.08576 (pruning at initialization).
    """

    trains_first = False

    def __init__(
        self,
        score: Callable[[keras.Model, list, int], Mapping],
        schedule: PruningSchedule,
        pool: str = "model",
        steps: int = 1,
    ):
        super().__init__(schedule, pool)
        check_schedule(schedule)
        check_function("score", score)
        check_count("steps", steps)
        self.score = score
        self.steps = steps

    def source(self, stage):
        """Return the dense network, which keeps the rewind point."""
        return stage.dense

    def masks(self, bench, stage):
        """Return the masks of the highest scores."""
        bench.start_from(bench.rewind_weights(stage), bench.all_kept)
        density = 1 - float(self.schedule_of(stage.seed)(stage.round)[1])
        # The same in all rounds, so that scores of one step give nested masks.
        seed = derived_seed(stage.seed, "score")
        scores = self._scores_of_all(bench, seed)
        pools = self._pools(bench)
        for step in range(1, self.steps + 1):
            sparsity = 1 - density ** (step / self.steps)
            bench.held.assign(masks_where_scored(scores, sparsity, bench.held.masks, pools))
            if step < self.steps:
                scores = self._score(bench, seed)
        return bench.held.masks

    def _scores_of_all(self, bench, seed):
        """Return the scores of the rewind point, which are the same in all rounds of a seed."""
        if seed not in bench.memory:
            bench.memory = {seed: self._score(bench, seed)}
        return bench.memory[seed]

    def _score(self, bench, seed):
        scores = under_names(bench.model, self.score(bench.model, bench.kernels, seed))
        # What is zero everywhere has no magnitude to be ranked by; all else has a score.
        expected = {
            name: bench.held.masks[name]
            for name, kernel in bench.kernels.items()
            if name in scores or not has_yet_to_learn(kernel.numpy())
        }
        check_scores(scores, Masks(expected))
        return scores
