"""The search for tickets, round by round and stage by stage, with its controls."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras

from tf_tickets.channels.ranking import POOLS
from tf_tickets.errors import SettingError, check_count
from tf_tickets.interop import PruningSchedule
from tf_tickets.pruning.hold import hold
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values
from tf_tickets.pruning.schedules import ListedSparsity, check_rounds
from tf_tickets.pruning.selection import num_kept_of
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.stages import ARMS, Observer, Stage, check_evaluations, run_stages
from tf_tickets.search.training import Trainer
from tf_tickets.tickets.ticket import Ticket

STARTS = ("rewind", "trained", "fresh")


class TicketSearch:
    """Finds tickets by training, pruning, and rewinding, round by round.

    Round 0 trains the dense network and keeps its state at `rewind_step`. Each later round prunes
    the smallest weights, over all layers, of what the round before has trained, returns the
    survivors to the rewind point, and trains them again over the same batches up to the same step:
    iterative magnitude pruning. With `score` each round prunes the weights of the rewind point
    instead, by what that says, before they are trained: pruning at initialisation, where the rewind
    point is step 0.

    Two controls train each round's masks otherwise. Where the random arm, from fresh weights, does
    as well, the ticket has won nothing. Where the shuffled one does, each layer's mask having been
    shuffled within the layer, the ticket is no more than the sparsity of each of its layers.

    Args:
        build: `build(seed)` returns a new compiled model whose weights are drawn from the seed.
            Its variables have the same paths each time, so its layers have names of their own.
        train: `train(model, seed, start_step, stop_step)` trains for these optimizer steps, with
            batches that depend on the seed and the step alone.
        evaluate: `evaluate(model)` returns (metrics: name -> float, protocol: dict).
        num_steps: optimizer steps of a whole training.
        rounds: number of rounds after the dense one.
        schedule: a TF-MOT `PruningSchedule` whose step is the round, and which prunes in each;
            needed but with `transferred`, whose tickets' sparsities are followed.
        rewind_step: the optimizer step that survivors return to; 0 is initialisation (K5).
        scope: what may be pruned, as in `prunable` (K7).
        pool: "model" ranks all weights that may be pruned together (K4); "component" ranks those
            of each of the model's `components` (C7), and "layer" those of each kernel, by
            themselves, to the same sparsity.
        starts: component -> what its survivors start from, where it is not the rewind point (C2,
            C6): "trained" is what the stage that was pruned has trained, "fresh" is drawn anew.
            "trained" holds for the random arm too, so that the arms differ in the rest alone.
        arms: "winning", and of its controls "random" and "shuffled" those that are wanted.
        one_shot: prune the dense network at once to each round's sparsity (K1), not the round
            before (K2).
        score: `score(model, kernels, seed)` returns what each weight is worth of a model that is at
            the rewind point: variable path -> float array for each of `kernels`, the variables that
            may be pruned; higher means keep. It leaves the model as it is, and gets the same seed
            in all rounds.
        score_steps: in how many steps the weights that are kept fall to those of a round, each time
            by the same factor; the weights that are left are scored anew for each.
        restore_optimizer: return the optimizer to its state at the rewind point; fresh otherwise.
        evaluations: how often a training is evaluated, at equal distances, the last time at its
            end (Q8); no arm is evaluated before the rewind step.
        higher_is_better: the metrics that are; of all others lower is better.
        undirected: the metrics of which neither is; they have no best value.
        retries: how often a training that diverged is begun again, over batches in another order.
        refuse: `refuse(metrics)` raises DivergedError over the final metrics of a network that is
            not worth pruning on, such as a GAN that gives one image. Asked are the dense network
            and, without `score`, the winning arm: what becomes of the others is a result.
        prepare: `prepare(model, dense)` is called before each training, when the weights that it
            starts from are set; `dense` holds those of the trained dense network by variable path,
            and is None in round 0.
        transferred: `transferred(seed, round)` returns a Ticket found elsewhere: masks of all that
            may be pruned, and weights of some of the variables. The arm "transferred" trains it,
            the random arm then takes its masks, and the winning arm is pruned to its sparsity.
        illustrate: `illustrate(model, path)` writes a PNG of what the trained model makes.
        observers: are told of every stage.

    Raises:
        SettingError: if a number is out of range, an arm is unknown, or two arguments contradict
            each other.

    Source: paper K, section 3.1; Frankle et al., 2020, arXiv:1912.05671 (rewinding); Frankle et
    al., 2021, arXiv:2009.08576 (pruning at initialisation, and its controls).
    """

    def __init__(
        self,
        build: Callable[[int], keras.Model],
        train: Callable[[keras.Model, int, int, int], None],
        evaluate: Callable[[keras.Model], tuple[dict, dict]],
        *,
        num_steps: int,
        rounds: int,
        schedule: PruningSchedule | None = None,
        rewind_step: int = 0,
        scope=None,
        pool: str = "model",
        starts: Mapping[str, str] | None = None,
        arms: Sequence[str] = ("winning", "random"),
        one_shot: bool = False,
        score: Callable[[keras.Model, list, int], Mapping] | None = None,
        score_steps: int = 1,
        restore_optimizer: bool = False,
        evaluations: int = 1,
        higher_is_better: Sequence[str] = (),
        undirected: Sequence[str] = (),
        retries: int = 0,
        refuse: Callable[[dict], None] | None = None,
        prepare: Callable[[keras.Model, Mapping | None], None] | None = None,
        transferred: Callable[[int, int], Ticket] | None = None,
        illustrate: Callable[[keras.Model, pathlib.Path], None] | None = None,
        observers: Sequence[Observer] = (),
    ):
        check_evaluations(evaluations, num_steps)
        _check(num_steps, rounds, rewind_step, arms)
        _check_choices(pool, starts or {})
        if (schedule is None) == (transferred is None):
            raise SettingError("A search takes a `schedule`, or else `transferred` tickets.")
        if transferred and starts:
            raise SettingError("A search for `transferred` tickets takes no `starts`.")
        if schedule is not None:
            check_rounds(schedule, rounds)
        if score:
            _check_score(one_shot, score_steps, starts or {})
        self.build = build
        self.train = train
        self.evaluate = evaluate
        self.num_steps = num_steps
        self.schedule = schedule
        self.rounds = rounds
        self.rewind_step = rewind_step
        self.scope = scope
        self.pool = pool
        self.starts = dict(starts or {})
        self.arms = (*arms, "transferred") if transferred else arms
        self.one_shot = one_shot
        self.score = score
        self.score_steps = score_steps
        self.restore_optimizer = restore_optimizer
        self.evaluations = evaluations
        self.higher_is_better = higher_is_better
        self.undirected = undirected
        self.retries = retries
        self.refuse = refuse
        self.prepare = prepare
        self.transferred = transferred
        self.illustrate = illustrate
        self.observers = observers

    def run(self, seeds: Sequence[int], folder: RunFolder) -> list[dict]:
        """Make every stage that is not done yet, and return the records of all.

        Args:
            seeds: each repeats the whole search: weights, data order and masks (Q12).
            folder: an entered run folder; holds the tickets, and results.jsonl, when this returns.

        Returns:
            One record per stage, in order: `seed`, `round`, `arm`, `weight_sparsity` (of what may
            be pruned), `network_sparsity` (of all kernels), `params`, `prunable` and `kept` (of
            what may be pruned), `metrics` and `protocol` (at the end of training), `curve` (step
            and metrics of each evaluation), `best` and `early_stopping_step` (by metric: see
            `follow_curve`), `attempts`, `seconds` (of training), `peak_memory_bytes` (of the
            process until then), `ticket` (a path in the folder) and, with two seeds or more,
            `spread` (by metric: standard deviation over the seeds).

        Raises:
            SettingError: if the last round would leave fewer weights than there are kernels,
                `starts` names no component of the model, or the shuffled arm would start pruned
                weights from what has been trained without them.
            DivergedError: if a training ends with a NaN or infinite weight, or a metric is one,
                and there are no `retries` left; earlier stages stay.
        """
        stages = list(self._stages(seeds))
        trainer = Trainer(self, seeds[0])
        self._check_last_round(trainer, seeds[0])
        with hold(trainer.model, Masks.all_kept(trainer.prunable)) as held:
            return run_stages(
                stages,
                folder,
                self.sources,
                lambda stage, path: trainer.make(stage, path, folder, held),
                self.observers,
            )

    def schedule_of(self, seed: int) -> PruningSchedule:
        """Return the schedule that one seed's winning arm follows."""
        if self.schedule is not None:
            return self.schedule
        rounds = range(1, self.rounds + 1)
        return ListedSparsity([self.transferred(seed, number).masks.sparsity for number in rounds])

    def _check_last_round(self, trainer, seed):
        sparsity = float(self.schedule_of(seed)(self.rounds)[1])
        try:
            for paths in trainer.pools:
                pool = [kernel for name, kernel in trainer.prunable.items() if name in paths]
                num_kept_of(sparsity, num_values(pool), len(pool))
        except SettingError as error:
            raise SettingError(f"{error} Choose fewer rounds or a lower rate.") from error

    def _stages(self, seeds) -> Iterator[Stage]:
        for seed in seeds:
            yield Stage(seed, 0, "dense")
            for number in range(1, self.rounds + 1):
                for arm in ARMS:
                    if arm in self.arms:
                        yield Stage(seed, number, arm)

    def sources(self, stage) -> list[Stage]:
        """Return the stages that one is computed from, the last being the one it takes masks of."""
        dense = Stage(stage.seed, 0, "dense")
        if stage.arm == "dense":
            return []
        if stage.arm == "transferred" or (stage.arm == "random" and self.transferred):
            return [dense]
        if stage.arm in ("random", "shuffled"):
            return [dense, Stage(stage.seed, stage.round, "winning")]
        if self.one_shot or self.score or stage.round == 1:
            return [dense]
        return [dense, Stage(stage.seed, stage.round - 1, "winning")]

    def may_be_refused(self, stage) -> bool:
        """Return whether the search ends where a stage's network is worth nothing."""
        return stage.arm == "dense" or (stage.arm == "winning" and not self.score)

    def trained_source(self, stage) -> Stage:
        """Return the stage whose trained weights a stage's masks were drawn from."""
        return self.sources(dataclasses.replace(stage, arm="winning"))[-1]


def _check(num_steps, rounds, rewind_step, arms):
    check_count("rounds", rounds)
    if not 0 <= rewind_step < num_steps:
        raise SettingError(
            f"`rewind_step` must lie within the training, in [0, {num_steps}). "
            f"Received: rewind_step={rewind_step}"
        )
    if "winning" not in arms or set(arms) - {"winning", "random", "shuffled"}:
        raise SettingError(
            f"`arms` must be 'winning', and none or more of 'random' and 'shuffled', whose masks "
            f"it gives. Received: arms={tuple(arms)}"
        )


def _check_score(one_shot, score_steps, starts):
    if one_shot or "trained" in starts.values():
        raise SettingError(
            "A search by `score` prunes weights before they are trained: it takes neither "
            "`one_shot` nor a component that starts from what was 'trained'."
        )
    if score_steps < 1:
        raise SettingError(f"`score_steps` must be at least 1. Received: score_steps={score_steps}")


def _check_choices(pool, starts):
    for name, value, choices in (
        ("pool", pool, POOLS),
        *(("starts", v, STARTS) for v in starts.values()),
    ):
        if value not in choices:
            raise SettingError(f"`{name}` must be one of {', '.join(choices)}. Received: {value!r}")
