"""Iterative magnitude pruning with rewinding, stage by stage, with its random control."""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

import keras
import numpy as np

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.interop import PruningSchedule
from tf_tickets.pruning.hold import HeldMasks, hold
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.pruner import GlobalPruning
from tf_tickets.pruning.scores import num_values, prunable
from tf_tickets.pruning.selection import num_kept_of
from tf_tickets.pruning.snapshot import restore_snapshot, take_snapshot
from tf_tickets.runs import RunFolder
from tf_tickets.tickets import Ticket

ARMS = ("winning", "random")


@dataclasses.dataclass(frozen=True)
class Stage:
    """One training of a search: round 0 is dense, later rounds have an arm each."""

    seed: int
    round: int
    arm: str

    @property
    def name(self) -> str:
        """The stage's folder within the run."""
        return f"seed-{self.seed}/round-{self.round:02d}/{self.arm}"


class Observer:
    """Is told how a search goes on; the methods do nothing here."""

    def search_begins(self, stages: Sequence[Stage]) -> None:
        """The stages that will be made or found done, in order."""

    def stage_begins(self, stage: Stage) -> None:
        """A stage is about to be trained."""

    def stage_ends(self, stage: Stage, record: dict) -> None:
        """A stage is done, now or by an earlier run; `record` is its line of results.jsonl."""


class IterativeMagnitudePruning:
    """Finds tickets by training, pruning the smallest weights of all layers, and rewinding.

    Round 0 trains the dense network and keeps its state at `rewind_step`. Each later round prunes
    what the round before has trained, returns the survivors to the rewind point, and trains them
    again over the same batches up to the same step. The random arm trains each round's masks from
    fresh weights: where it does as well, the ticket has won nothing.

    Args:
        build: `build(seed)` returns a new compiled model whose weights are drawn from the seed.
            Its variables have the same paths each time, so its layers have names of their own.
        train: `train(model, seed, start_step, stop_step)` trains for these optimizer steps, with
            batches that depend on the seed and the step alone.
        evaluate: `evaluate(model)` returns (metrics: name -> float, protocol: dict).
        num_steps: optimizer steps of a whole training.
        schedule: a TF-MOT `PruningSchedule` whose step is the round.
        rounds: number of rounds after the dense one.
        rewind_step: the optimizer step that survivors return to; 0 is initialisation (K5).
        scope: what may be pruned, as in `prunable` (K7).
        arms: "winning", or "winning" and "random".
        one_shot: prune the dense network at once to each round's sparsity (K1), not the round
            before (K2).
        restore_optimizer: return the optimizer to its state at the rewind point; fresh otherwise.
        illustrate: `illustrate(model, path)` writes a PNG of what the trained model makes.
        observers: are told of every stage.

    Raises:
        SettingError: if a number is out of range or an arm is unknown.

    Source: paper K, section 3.1; Frankle et al., 2020, arXiv:1912.05671 (rewinding).
    """

    def __init__(
        self,
        build: Callable[[int], keras.Model],
        train: Callable[[keras.Model, int, int, int], None],
        evaluate: Callable[[keras.Model], tuple[dict, dict]],
        *,
        num_steps: int,
        schedule: PruningSchedule,
        rounds: int,
        rewind_step: int = 0,
        scope=None,
        arms: Sequence[str] = ARMS,
        one_shot: bool = False,
        restore_optimizer: bool = False,
        illustrate: Callable[[keras.Model, pathlib.Path], None] | None = None,
        observers: Sequence[Observer] = (),
    ):
        _check(num_steps, rounds, rewind_step, arms)
        self.build = build
        self.train = train
        self.evaluate = evaluate
        self.num_steps = num_steps
        self.schedule = schedule
        self.rounds = rounds
        self.rewind_step = rewind_step
        self.scope = scope
        self.arms = arms
        self.one_shot = one_shot
        self.restore_optimizer = restore_optimizer
        self.illustrate = illustrate
        self.observers = observers

    def run(self, seeds: Sequence[int], folder: RunFolder) -> list[dict]:
        """Make every stage that is not done yet, and return the records of all.

        Args:
            seeds: each repeats the whole search: weights, data order and masks (Q12).
            folder: an entered run folder; holds the tickets, and results.jsonl, when this returns.

        Returns:
            One record per stage, in order: `seed`, `round`, `arm`, `weight_sparsity` (of the pool),
            `network_sparsity` (of all kernels), `params`, `prunable` and `kept` (weights of the
            pool), `metrics`, `protocol`, `seconds` (of training), `ticket` (a path in the folder).

        Raises:
            SettingError: if the last round would leave fewer weights than there are kernels.
            DivergedError: if a training ends with a NaN or infinite weight, or a metric is one;
                earlier stages stay.
        """
        stages = list(self._stages(seeds))
        trainer = _Trainer(self, seeds[0])
        self._check_last_round(trainer.pool)
        for observer in self.observers:
            observer.search_begins(stages)
        records = []
        with hold(trainer.model, Masks.all_kept(trainer.pool)) as held:
            for stage in stages:
                records.append(self._finished(stage, folder, trainer, held))
                for observer in self.observers:
                    observer.stage_ends(stage, records[-1])
        folder.write_results(records)
        return records

    def _check_last_round(self, pool):
        sparsity = float(self.schedule(self.rounds)[1])
        try:
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

    def _finished(self, stage, folder, trainer, held):
        """Return the record of a stage, which is made first if it is not done."""
        sources = [source.name for source in self.sources(stage)]
        if not folder.is_done(stage.name, sources):
            for observer in self.observers:
                observer.stage_begins(stage)
            with folder.stage(stage.name, sources) as path:
                record = trainer.make(stage, path, folder, held)
                (path / "result.json").write_text(json.dumps(record))
            folder.write_results([record])
        return json.loads((folder.path / stage.name / "result.json").read_text())

    def sources(self, stage) -> list[Stage]:
        """Return the stages that one is computed from."""
        dense = Stage(stage.seed, 0, "dense")
        if stage.arm == "dense":
            return []
        if stage.arm == "random":
            return [Stage(stage.seed, stage.round, "winning")]
        if self.one_shot or stage.round == 1:
            return [dense]
        return [dense, Stage(stage.seed, stage.round - 1, "winning")]


def _check(num_steps, rounds, rewind_step, arms):
    if rounds < 1:
        raise SettingError(f"`rounds` must be at least 1. Received: rounds={rounds}")
    if not 0 <= rewind_step < num_steps:
        raise SettingError(
            f"`rewind_step` must lie within the training, in [0, {num_steps}). "
            f"Received: rewind_step={rewind_step}"
        )
    if "winning" not in arms or set(arms) - set(ARMS):
        raise SettingError(
            f"`arms` must be 'winning', or 'winning' and 'random', whose masks it gives. "
            f"Received: arms={tuple(arms)}"
        )


class _Trainer:
    """The one compiled model that every stage of a search is trained with.

    One model, because each new one would be traced anew, which takes longer than a small training.
    """

    def __init__(self, search: IterativeMagnitudePruning, seed: int):
        self.search = search
        self.model = search.build(seed)
        self.model.optimizer.build(self.model.trainable_variables)
        self.pool = prunable(self.model, search.scope)
        self._num_kernels = num_values(prunable(self.model))
        self._fresh_optimizer = {
            path: value
            for path, value in take_snapshot(self.model, optimizer=True).items()
            if path.startswith("optimizer/")
        }

    def make(self, stage: Stage, path: pathlib.Path, folder: RunFolder, held: HeldMasks) -> dict:
        """Train and evaluate one stage, write its files to `path`, and return its record."""
        self._seconds = 0.0
        first_step = self._prepare(stage, path, folder, held)
        masks = held.masks
        config = {**dataclasses.asdict(stage), "settings": folder.settings}
        if stage.arm != "dense":
            Ticket.of_model(self.model, masks, config).save(path / "ticket.safetensors")
        self._train(stage.seed, first_step, self.search.num_steps)
        if stage.arm != "random":
            Ticket.of_model(self.model, masks, config).save(path / "trained.safetensors")
        metrics, protocol = self.search.evaluate(self.model)
        if self.search.illustrate:
            self.search.illustrate(self.model, path / "samples.png")
        return {
            **dataclasses.asdict(stage),
            **self._counts(masks),
            "metrics": metrics,
            "protocol": protocol,
            "seconds": round(self._seconds, 3),
            "ticket": f"{stage.name}/{'rewind' if stage.arm == 'dense' else 'ticket'}.safetensors",
        }

    def _prepare(self, stage, path, folder, held) -> int:
        """Set the masks and the weights that a stage starts from; return its first step."""
        if stage.arm == "dense":
            return self._prepare_dense(stage, path, folder, held)
        if stage.arm == "random":
            winning = Ticket.load(
                folder.path / self.search.sources(stage)[0].name / "ticket.safetensors"
            )
            self._start_from(self._fresh_weights(stage), held, winning.masks)
            return 0
        rewind = Ticket.load(
            folder.path / Stage(stage.seed, 0, "dense").name / "rewind.safetensors"
        )
        self._prune(stage, folder, held)
        self._start_from(rewind.weights, held, held.masks)
        return self.search.rewind_step

    def _prepare_dense(self, stage, path, folder, held):
        self._start_from(self._fresh_weights(stage), held, Masks.all_kept(self.pool))
        self._train(stage.seed, 0, self.search.rewind_step)
        snapshot = take_snapshot(self.model, optimizer=self.search.restore_optimizer)
        config = {"seed": stage.seed, "step": self.search.rewind_step, "settings": folder.settings}
        Ticket(Masks({}), snapshot, config).save(path / "rewind.safetensors")
        return self.search.rewind_step

    def _prune(self, stage, folder, held):
        """Hold the masks of this round, drawn from what an earlier stage has trained."""
        source = self.search.sources(stage)[-1]
        trained = Ticket.load(folder.path / source.name / "trained.safetensors")
        self._start_from(trained.weights, held, trained.masks)
        pruner = GlobalPruning(lambda: stage.round, held, self.search.schedule)
        pruner.conditional_mask_update()

    def _start_from(self, weights, held, masks):
        restore_snapshot(self.model, {**self._fresh_optimizer, **weights})
        held.assign(masks)

    def _fresh_weights(self, stage):
        return take_snapshot(self.search.build(_derived_seed(stage.seed, stage.round, stage.arm)))

    def _train(self, seed, first_step, last_step):
        if first_step < last_step:
            begun = time.perf_counter()
            self.search.train(self.model, _derived_seed(seed, "data"), first_step, last_step)
            self._seconds += time.perf_counter() - begun
        for variable in self.model.trainable_variables:
            if not np.isfinite(np.sum(variable.numpy())):
                raise DivergedError(
                    f"Training diverged: {variable.path} is NaN or infinite. The round was stopped "
                    "and nothing was pruned on it; earlier rounds are kept. Try a lower learning "
                    "rate, a larger batch or --precision float32."
                )

    def _counts(self, masks):
        pool = num_values(self.pool)
        removed = masks.size - masks.num_kept
        return {
            "weight_sparsity": removed / pool,
            "network_sparsity": removed / self._num_kernels,
            "params": num_values(self.model.trainable_variables),
            "prunable": pool,
            "kept": pool - removed,
        }


def _derived_seed(*parts) -> int:
    """Return a seed that depends on all parts and on nothing else, such as the process."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1  # below 2**31, as tf.data wants it
