"""The training of a search's stages."""

import dataclasses
import hashlib
import json
import pathlib
import time
from typing import TYPE_CHECKING

import keras
import numpy as np

from tf_tickets.costs.memory import peak_memory_bytes
from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.names import names_of, under_names, variable_names
from tf_tickets.optimizers import optimizers_of
from tf_tickets.protocols import named_components
from tf_tickets.pruning.hold import HeldMasks
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.pruning.pruner import GlobalPruning
from tf_tickets.pruning.selection import pooled_masks, pools_by
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.stages import Stage
from tf_tickets.search.verdict import follow_curve
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot
from tf_tickets.tickets.ticket import Ticket

if TYPE_CHECKING:
    from tf_tickets.search.early_bird import EarlyBirdSearch
    from tf_tickets.search.search import TicketSearch


class Trainer:
    """The one compiled model that every stage of a search is trained with.

    One model, because each new one would be traced anew, which takes longer than a small training.
    """

    def __init__(self, search: "TicketSearch", seed: int):
        self.search = search
        self.model = search.build(seed)
        self._fresh_optimizer = built_optimizers(self.model)
        self.prunable = prunable(self.model, search.scope)
        self.pools = self._pools()
        self._start_of = {
            names_of(self.model)[id(variable)]: start
            for name, start in search.starts.items()
            for variable in self._component(name).variables
        }
        self._check_shuffled_starts()
        self._kept_scores = (None, None)
        self._num_kernels = num_values(prunable(self.model))

    def _pools(self) -> list[set]:
        """Return the variable paths that are ranked together, for each ranking."""
        paths = set(self.prunable.names)
        if self.search.pool != "component":
            return pools_by(self.search.pool, self.prunable)
        components = named_components(self.model)
        held = [set(prunable(self.model, name).names) & paths for name in components]
        if set().union(*held) != paths:
            raise SettingError(
                f"`pool` can be 'component' only where all that may be pruned is in one of the "
                f"model's components; {self.model.name} has: {', '.join(components) or 'none'}."
            )
        return [pool for pool in held if pool]

    def _component(self, name):
        components = named_components(self.model)
        if name not in components:
            raise SettingError(
                f"`starts` names {name!r}, which is no component of {self.model.name}. "
                f"Choose one of: {', '.join(components) or 'none, it has no components'}."
            )
        return components[name]

    def _check_shuffled_starts(self):
        """Refuse masks that would let weights go on that an earlier round has pruned to zero."""
        pruned = {self._start_of.get(name) for name in self.prunable.names}
        if "shuffled" in self.search.arms and "trained" in pruned:
            raise SettingError(
                "The shuffled arm keeps weights that earlier rounds have pruned, which have no "
                "trained values: take it without `starts` of 'trained' for what is pruned."
            )

    def make(self, stage: Stage, path: pathlib.Path, folder: RunFolder, held: HeldMasks) -> dict:
        """Train and evaluate one stage, write its files to `path`, and return its record."""
        for attempt in range(self.search.retries + 1):
            try:
                return self._attempt(stage, attempt, path, folder, held)
            except DivergedError:
                if attempt == self.search.retries:
                    raise

    def _attempt(self, stage, attempt, path, folder, held):
        data_seed = derived_seed(stage.seed, "data", *([attempt] if attempt else []))
        training = Training(self.search, data_seed, not_before=self.search.rewind_step)
        self._prepare(stage, training, path, folder, held)
        masks = held.masks
        config = {**dataclasses.asdict(stage), "settings": folder.settings}
        if stage.arm != "dense":
            Ticket.of_model(self.model, masks, config).save(path / "ticket.safetensors")
        training.go_on(self.model, self.search.num_steps)
        if self.search.refuse and self.search.may_be_refused(stage):
            self.search.refuse(training.curve[-1]["metrics"])
        if stage.arm in ("dense", "winning"):
            Ticket.of_model(self.model, masks, config).save(path / "trained.safetensors")
        if self.search.illustrate:
            self.search.illustrate(self.model, path / "samples.png")
        return {
            **dataclasses.asdict(stage),
            **self._counts(masks),
            **training.result(),
            "attempts": attempt + 1,
            "ticket": f"{stage.name}/{'rewind' if stage.arm == 'dense' else 'ticket'}.safetensors",
        }

    def _prepare(self, stage, training, path, folder, held):
        """Set the masks, the weights and the step that a stage starts from."""
        if stage.arm == "dense":
            self._prepare_dense(stage, training, path, folder, held)
            return
        dense = Ticket.load(self._file(folder, Stage(stage.seed, 0, "dense"), "trained"))
        weights, masks, training.step = self._starting_point(stage, folder, held)
        self._start_from({**weights, **self._other_starts(stage, folder)}, held, masks)
        self._settle(dense.weights, held)

    def _prepare_dense(self, stage, training, path, folder, held):
        self._start_from(self._fresh_weights(stage), held, Masks.all_kept(self.prunable))
        self._settle(None, held)
        training.advance(self.model, self.search.rewind_step)
        snapshot = take_snapshot(self.model, optimizer=self.search.restore_optimizer)
        config = {"seed": stage.seed, "step": self.search.rewind_step, "settings": folder.settings}
        Ticket(Masks({}), snapshot, config).save(path / "rewind.safetensors")

    def _starting_point(self, stage, folder, held):
        """Return the weights, the masks and the step that a pruned stage starts from."""
        if stage.arm == "winning":
            draw = self._scored if self.search.score else self._pruned
            masks = draw(stage, folder, held)
            return self._rewind_weights(stage, folder), masks, self.search.rewind_step
        if stage.arm == "shuffled":
            seed = derived_seed(stage.seed, stage.round, stage.arm)
            masks = self._winning_masks(stage, folder).shuffled(seed)
            return self._rewind_weights(stage, folder), masks, self.search.rewind_step
        fresh = self._fresh_weights(stage)
        if self.search.transferred:
            ticket = self.search.transferred(stage.seed, stage.round)
            given = ticket.weights if stage.arm == "transferred" else {}
            given = under_names(self.model, given)
            return {**fresh, **given}, ticket.masks, 0
        return fresh, self._winning_masks(stage, folder), 0

    def _rewind_weights(self, stage, folder):
        return Ticket.load(self._file(folder, Stage(stage.seed, 0, "dense"), "rewind")).weights

    def _winning_masks(self, stage, folder):
        return Ticket.load(self._file(folder, self.search.sources(stage)[-1], "ticket")).masks

    def _pruned(self, stage, folder, held) -> Masks:
        """Return the masks of this round, drawn from what an earlier stage has trained."""
        trained = Ticket.load(self._file(folder, self.search.sources(stage)[-1], "trained"))
        self._start_from(trained.weights, held, trained.masks)
        schedule = self.search.schedule_of(stage.seed)
        pruner = GlobalPruning(lambda: stage.round, held, schedule, self.pools)
        pruner.conditional_mask_update()
        return held.masks

    def _scored(self, stage, folder, held) -> Masks:
        """Return the masks of this round, drawn from the rewind point by the search's scores."""
        all_kept = Masks.all_kept(self.prunable)
        self._start_from(self._rewind_weights(stage, folder), held, all_kept)
        density = 1 - float(self.search.schedule_of(stage.seed)(stage.round)[1])
        # The same in all rounds, so that scores of one step give nested masks.
        seed = derived_seed(stage.seed, "score")
        scores = self._scores_of_all(seed)
        num_steps = self.search.score_steps
        for step in range(1, num_steps + 1):
            sparsity = 1 - density ** (step / num_steps)
            held.assign(pooled_masks(scores, sparsity, held.masks, self.pools))
            if step < num_steps:
                scores = self._score(seed)
        return held.masks

    def _scores_of_all(self, seed):
        """Return the scores of the rewind point, which are the same in all rounds of a seed."""
        if self._kept_scores[0] != seed:
            self._kept_scores = (seed, self._score(seed))
        return self._kept_scores[1]

    def _score(self, seed):
        return under_names(self.model, self.search.score(self.model, self.prunable, seed))

    def _other_starts(self, stage, folder) -> dict:
        """Return the weights of the components that do not start as the rest does."""
        fresh, trained = {}, {}
        if stage.arm in ("winning", "shuffled") and "fresh" in self._start_of.values():
            fresh = self._fresh_weights(dataclasses.replace(stage, arm="winning"))
        if "trained" in self._start_of.values():
            source = self.search.trained_source(stage)
            trained = Ticket.load(self._file(folder, source, "trained")).weights
        return {
            path: weights[path]
            for path, start in self._start_of.items()
            for weights in [{"fresh": fresh, "trained": trained}.get(start, {})]
            if path in weights
        }

    def _start_from(self, weights, held, masks):
        restore_snapshot(self.model, {**self._fresh_optimizer, **weights})
        held.assign(masks)

    def _settle(self, dense, held):
        """Let the model be prepared for a training that starts from the weights it has now."""
        if self.search.prepare:
            self.search.prepare(self.model, dense)
            held.apply()

    def _fresh_weights(self, stage):
        return take_snapshot(self.search.build(derived_seed(stage.seed, stage.round, stage.arm)))

    def _file(self, folder, stage, name):
        return folder.path / stage.name / f"{name}.safetensors"

    def _counts(self, masks):
        pool = num_values(self.prunable)
        removed = masks.size - masks.num_kept
        return {
            "weight_sparsity": removed / pool,
            "network_sparsity": removed / self._num_kernels,
            "params": num_values(self.model.trainable_variables),
            "prunable": pool,
            "kept": pool - removed,
        }


class Training:
    """One training of a stage: its steps, its time, and what it was worth on the way.

    Args:
        search: whose `train`, `evaluate` and steps of evaluation are those of all its trainings.
        data_seed: decides the batch of each step.
        not_before: evaluations before this optimizer step are left out: what rewinds is never
            there, and all arms are to be looked at equally often.

    Attributes:
        step: optimizer steps that are behind the model.
        curve: step and metrics of each evaluation so far.
    """

    def __init__(
        self, search: "TicketSearch | EarlyBirdSearch", data_seed: int, not_before: int = 0
    ):
        self.step = 0
        self.curve: list[dict] = []
        self._search = search
        self._data_seed = data_seed
        grid = (
            round(search.num_steps * number / search.evaluations)
            for number in range(1, search.evaluations + 1)
        )
        self._due = [step for step in grid if step >= not_before]
        self._protocol: dict = {}
        self._seconds = 0.0

    def go_on(self, model: keras.Model, last_step: int) -> None:
        """Train a model, which need not be that of the steps before, and evaluate where it is due.

        Raises:
            DivergedError: if a weight becomes NaN or infinite.
        """
        while self._due and self._due[0] <= last_step:
            self.advance(model, self._due.pop(0))
            metrics, self._protocol = self._search.evaluate(model)
            self.curve.append({"step": self.step, "metrics": metrics})
        self.advance(model, last_step)

    def advance(self, model: keras.Model, last_step: int) -> None:
        """Train a model without evaluations; raises as `go_on` does."""
        if self.step < last_step:
            begun = time.perf_counter()
            self._search.train(model, self._data_seed, self.step, last_step)
            self._seconds += time.perf_counter() - begun
            self.step = last_step
        refuse_non_finite(model)

    def result(self) -> dict:
        """Return what the stage's record holds of its training."""
        return {
            "metrics": self.curve[-1]["metrics"],
            "protocol": self._protocol,
            "curve": self.curve,
            **follow_curve(self.curve, self._search.higher_is_better, self._search.undirected),
            "seconds": round(self._seconds, 3),
            "peak_memory_bytes": peak_memory_bytes(),
        }


def built_optimizers(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the state of a model's optimizers before any step, as a part of a snapshot."""
    for optimizer in optimizers_of(model):
        if not optimizer.built:
            with model.distribute_strategy.scope():
                optimizer.build(model.trainable_variables)
    state = take_snapshot(model, optimizer=True)
    return {path: value for path, value in state.items() if path.startswith("optimizer/")}


def refuse_non_finite(model: keras.Model) -> None:
    """Raise DivergedError if a trained weight is NaN or infinite."""
    trained = {id(variable) for variable in model.trainable_variables}
    for name, variable in variable_names(model).items():
        if id(variable) in trained and not np.isfinite(variable.numpy()).all():
            raise DivergedError(
                f"Training diverged: {name} is NaN or infinite. Nothing was pruned on "
                "it, and what was found before is kept. Try a lower learning rate, a larger batch, "
                "float32, or the batches in another order."
            )


def derived_seed(*parts) -> int:
    """Return a seed that depends on all parts and on nothing else, such as the process."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1  # below 2**31, as tf.data wants it
