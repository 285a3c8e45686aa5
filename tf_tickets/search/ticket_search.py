"""The search for tickets, round by round and stage by stage, with its controls."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tf_tickets.engines.engine import Engine
from tf_tickets.engines.execute import execute
from tf_tickets.engines.plan import Make, Plan
from tf_tickets.engines.stage import Observer, Stage, checked_seeds, derived_seed
from tf_tickets.errors import SettingError, check_count, check_mapping, check_whole
from tf_tickets.names import names_of
from tf_tickets.protocols import named_components
from tf_tickets.pruning.masks import Masks
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.runs.records import Records
from tf_tickets.search.arms import Arm, Random, Winning
from tf_tickets.search.bench import Bench
from tf_tickets.search.round_masks import Draw, check_draw
from tf_tickets.search.task import Task, check_task
from tf_tickets.search.training import Training, why_not_trained
from tf_tickets.tickets.snapshot import take_snapshot
from tf_tickets.tickets.ticket import Ticket

STARTS = ("rewind", "trained", "fresh")


class TicketSearch:
    """Finds tickets by training, pruning, and rewinding, round by round.

    Round 0 trains the dense network and keeps its state at `rewind_step`. Each later round draws
    masks, and trains what they keep in each of the arms. With `ByMagnitude` and the arm `Winning`
    this is iterative magnitude pruning: the smallest weights of what the round before has trained
    are pruned, and the survivors return to the rewind point. With `ByScore` it is pruning at
    initialization, for which the rewind point is step 0.

    Args:
        task: how the model is built, trained and judged.
        draw: how the masks of a round come about.
        rounds: number of rounds after the dense one.
        rewind_step: the optimizer step that survivors return to; 0 is initialization.
        arms: what the masks are trained from: `Winning`, whose masks the others take, and the
            controls that are wanted.
        scope: what may be pruned, as `prunable` takes it.
        starts: component -> what its survivors start from if it is not the rewind point ("rewind"):
            "trained" is what the stage that was pruned has trained, "fresh" is drawn anew. Both
            hold for what the random arm does not redraw, too.
        retries: how often a training that collapsed is begun again, over batches in another order.
            The same number in all arms: to rescue the tickets alone would favour them.
        rewind_optimizer: whether the rewind point includes the optimizers' state, from which
            survivors then go on; by default every training begins with new optimizers.

    Raises:
        SettingError: if an argument is of another kind or out of range, or two contradict each
            other.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1; Frankle et al., 2020,
    arXiv:1912.05671 (rewinding); Chen et al., 2021, arXiv:2106.00134 (starts of a discriminator).
    """

    def __init__(
        self,
        task: Task,
        draw: Draw,
        rounds: int,
        *,
        rewind_step: int = 0,
        arms: Sequence[Arm] = (Winning(), Random()),
        scope=None,
        starts: Mapping[str, str] | None = None,
        retries: int = 0,
        rewind_optimizer: bool = False,
    ):
        check_task(task)
        check_draw(draw)
        check_count("rounds", rounds)
        check_count("retries", retries, least=0)
        check_mapping("starts", starts or {}, "components to what they start from")
        _check_rewind_step(rewind_step, task.num_steps)
        _check_arms(arms)
        draw.check_rounds(rounds)
        self.task = task
        self.draw = draw
        self.rounds = rounds
        self.rewind_step = rewind_step
        self.arms = {arm.name: arm for arm in sorted(arms, key=lambda arm: arm.name != "winning")}
        self.scope = scope
        self.starts = dict(starts or {})
        self.retries = retries
        self.rewind_optimizer = rewind_optimizer
        self._check_starts()

    def run(
        self,
        seeds: Sequence[int],
        folder: RunFolder,
        observers: Sequence[Observer] = (),
        engine: Engine | None = None,
    ) -> Records:
        """Make every stage that is not done yet, and return the records of all.

        Args:
            seeds: each repeats the whole search: weights, data order and masks.
            folder: an entered run folder; holds the tickets, and results.jsonl, when this returns.
            observers: learn of every stage.
            engine: where the stages are made; this process by default. For others it must be
                possible to pickle the search, its task included.

        Returns:
            One record per stage, in order: `seed`, `round`, `arm`, `weight_sparsity` (of what may
            be pruned), `network_sparsity` (of all kernels), `params`, `prunable` and `kept` (of
            what may be pruned), `metrics` and `protocol` (at the end of training), if the task
            has a `test` also `test_metrics` and `test_protocol`, `curve` (step and metrics of each
            evaluation), `best` (by metric: see `follow_curve`), `converged` (by metric: see
            `has_converged`), `attempts`, `draw_seconds` (of the masks and all else before the
            first step), `seconds` (of the training's steps), `evaluation_seconds`,
            `peak_memory_bytes` (of the process until then), `ticket` (a path in the folder) and
            `collapsed`: None, or a sentence that says why the training collapsed, or why there was
            none.

        A training collapses if a weight or a metric becomes NaN or infinite, or `Task.check` finds
        its network worth nothing. If no retry helps, that is the stage's result: `metrics` has what
        could be measured, maybe nothing. What would be pruned on it is not trained, nor are the
        controls of a ticket that collapsed: their records have no metrics, an empty curve and None
        for `ticket`. Everything else goes on.

        Raises:
            SettingError: if `seeds` are none or not different whole numbers, the last round would
                leave fewer weights than there are kernels, `starts` names no component of the
                model, or the shuffled arm would start pruned weights from what has been trained
                without them.
        """
        return execute([self.plan(seeds, folder, observers)], engine)[0]

    def plan(self, seeds, folder, observers=()) -> Plan:
        """Return what is to be made; arguments as of `run`."""
        seeds = checked_seeds(seeds)
        workshop = functools.partial(self._workshop, seeds[0])
        return Plan(folder, list(self._stages(seeds)), self.sources, workshop, observers=observers)

    @contextlib.contextmanager
    def _workshop(self, seed, folder, report) -> Iterator[Make]:
        bench = Bench(self.task, folder, seed, self.rewind_step, self.scope, self.starts)
        start_of = self._start_of_variables(bench)
        self.draw.check(bench, seed, self.rounds)
        with bench.holding():
            yield _StageMaker(self, bench, start_of).make

    def sources(self, stage: Stage) -> list[Stage]:
        """Return the stages that one is computed from."""
        if stage.arm == "dense":
            return []
        others = self.arms[stage.arm].sources(stage, self.draw)
        if "trained" in self.starts.values():
            others = [*others, self.draw.source(stage.of_arm("winning"))]
        return list(dict.fromkeys([stage.dense, *others]))

    def has_to_hold(self, stage: Stage) -> list[Stage]:
        """Return those of the sources that must not have collapsed for a stage to be trained."""
        pruned_untrained = stage.arm == "winning" and not self.draw.trains_first
        if stage.arm == "dense" or pruned_untrained:
            return []
        return self.arms[stage.arm].sources(stage, self.draw)

    def _stages(self, seeds) -> Iterator[Stage]:
        for seed in seeds:
            yield Stage(seed, 0, "dense")
            for number in range(1, self.rounds + 1):
                for arm in self.arms:
                    yield Stage(seed, number, arm)

    def _start_of_variables(self, bench) -> dict[str, str]:
        """Return variable name -> what it starts from, for the components that `starts` names."""
        components = named_components(bench.model)
        names = names_of(bench.model)
        start_of = {}
        for component, start in self.starts.items():
            if component not in components:
                known = ", ".join(components) or "none, it has no components"
                raise SettingError(
                    f"`starts` names {component!r}, which is not a component of "
                    f"{bench.model.name}. Choose one of: {known}."
                )
            part = components[component]
            start_of |= {names[id(v)]: start for v in part.variables if id(v) in names}
        pruned = {start_of.get(name) for name in bench.kernels.names}
        if "shuffled" in self.arms and "trained" in pruned:
            raise SettingError(
                "The shuffled arm keeps weights that earlier rounds have pruned, which have no "
                "trained values: take it without `starts` of 'trained' for what is pruned."
            )
        return start_of

    def _check_starts(self):
        for start in self.starts.values():
            if start not in STARTS:
                raise SettingError(
                    f"`starts` must be one of {', '.join(STARTS)}. Received: {start!r}"
                )
        if self.starts and "transferred" in self.arms:
            raise SettingError("A search with transferred tickets takes no `starts`.")
        if self.rewind_optimizer and set(self.starts.values()) - {"rewind"}:
            raise SettingError(
                "`rewind_optimizer` is for weights that return to the rewind point: take it "
                f"without `starts`. Received: starts={self.starts}"
            )
        if "trained" in self.starts.values() and not self.draw.trains_first:
            raise SettingError(
                "A search that prunes weights before they are trained has no component that could "
                "start from what was 'trained'."
            )


class _StageMaker:
    """Trains the stages of one search on its bench."""

    def __init__(self, search: TicketSearch, bench: Bench, start_of: Mapping[str, str]):
        self._search = search
        self._bench = bench
        self._start_of = start_of

    def make(self, stage: Stage, path: pathlib.Path) -> dict:
        """Train and evaluate one stage, write its files to `path`, and return its record."""
        why_not = self._why_not(stage)
        if why_not:
            return self._not_trained(stage, why_not)
        for attempt in range(self._search.retries + 1):
            record = self._attempt(stage, attempt, path)
            if record["collapsed"] is None:
                return record
        # A NaN is left where masks remove weights: zero times it is NaN.
        self._bench.start_from(self._bench.fresh_weights(stage), self._bench.all_kept)
        return record

    def _why_not(self, stage) -> str | None:
        """Return why a stage cannot be trained: what it would be made from has collapsed."""
        bench = self._bench
        for source in self._search.has_to_hold(stage):
            if reason := bench.record(source).get("collapsed"):
                return why_not_trained(source, reason)
        rewind = bench.folder.path / stage.dense.name / paths.REWIND
        if stage.arm == "winning" and not rewind.exists():
            return why_not_trained(stage.dense, "")
        return None

    def _not_trained(self, stage, why_not):
        bench, search = self._bench, self._search
        return {
            **dataclasses.asdict(stage),
            **bench.counts(search.draw.num_kept(bench, stage)),
            **Training(search.task, 0).result(),
            "attempts": 0,
            "ticket": None,
            "collapsed": why_not,
        }

    def _attempt(self, stage, attempt, path):
        _clear(path)
        bench, task = self._bench, self._search.task
        data_seed = derived_seed(stage.seed, "data", *([attempt] if attempt else []))
        training = Training(task, data_seed, not_before=self._search.rewind_step)
        with training.may_collapse():
            self._train(stage, training, path)
        ticket = paths.REWIND if stage.arm == "dense" else paths.TICKET
        begun = (path / ticket).exists()
        # Without masks, those that are held are of another stage.
        masked = begun or stage.arm == "dense"
        kept = None if masked else self._search.draw.num_kept(bench, stage)
        return {
            **dataclasses.asdict(stage),
            **bench.counts(kept),
            **training.result(),
            "attempts": attempt + 1,
            "ticket": f"{stage.name}/{ticket}" if begun else None,
        }

    def _train(self, stage, training, path):
        bench, task = self._bench, self._search.task
        if stage.arm == "dense":
            self._begin_dense(stage, training, path)
        else:
            with training.counted("draw"):
                self._begin(stage, training)
        masks = bench.held.masks
        config = {**dataclasses.asdict(stage), "settings": bench.folder.settings}
        if stage.arm != "dense":
            Ticket.of_model(bench.model, masks, config).save(path / paths.TICKET)
        training.go_on(bench.model, task.num_steps)
        Ticket.of_model(bench.model, masks, config).save(path / paths.TRAINED)
        if task.illustrate:
            task.illustrate(bench.model, path / paths.SAMPLES)
        training.check()

    def _begin_dense(self, stage, training, path):
        """Train the dense network to the rewind point, and keep it."""
        bench = self._bench
        bench.start_from(bench.fresh_weights(stage), bench.all_kept)
        bench.prepare(None)
        training.advance(bench.model, self._search.rewind_step)
        config = {
            "seed": stage.seed,
            "step": self._search.rewind_step,
            "settings": bench.folder.settings,
        }
        snapshot = take_snapshot(bench.model, optimizer=self._search.rewind_optimizer)
        Ticket(Masks({}), snapshot, config).save(path / paths.REWIND)

    def _begin(self, stage, training):
        """Set the masks, the weights and the step that a pruned stage starts from."""
        bench = self._bench
        collapsed = bench.record(stage.dense).get("collapsed")
        dense = None if collapsed else bench.trained(stage.dense).weights
        arm = self._search.arms[stage.arm]
        start = arm.start(bench, stage, self._search.draw)
        training.step = start.step
        others = self._other_starts(arm, stage, start.own)
        bench.start_from({**start.weights, **others}, start.masks)
        bench.prepare(dense)

    def _other_starts(self, arm, stage, own) -> dict:
        """Return the weights of the components that do not start as the rest of the arm does."""
        start_of = {
            name: start
            for name, start in self._start_of.items()
            if start in arm.component_starts and name not in own
        }
        starts, weights = set(start_of.values()), {}
        winning = stage.of_arm("winning")
        if "fresh" in starts:
            weights["fresh"] = self._bench.fresh_weights(winning)
        if "trained" in starts:
            source = self._search.draw.source(winning)
            weights["trained"] = self._bench.trained(source).weights
        return {
            name: weights[start][name] for name, start in start_of.items() if name in weights[start]
        }


def _clear(path):
    for file in path.iterdir():
        file.unlink()


def _check_rewind_step(rewind_step, num_steps):
    check_whole("rewind_step", rewind_step)
    if not 0 <= rewind_step < num_steps:
        raise SettingError(
            f"`rewind_step` must lie within the training, in [0, {num_steps}). "
            f"Received: rewind_step={rewind_step}"
        )


def _check_arms(arms):
    if not isinstance(arms, Sequence) or not all(map(_is_arm, arms)):
        raise SettingError(
            "`arms` must be a list of arms, such as [tt.search.Winning(), tt.search.Random()]. "
            f"Received: {arms!r:.100}"
        )
    names = [arm.name for arm in arms]
    if "winning" not in names or len(set(names)) < len(names):
        raise SettingError(
            "`arms` must include Winning(), whose masks the controls take, and no arm twice. "
            f"Received: arms={names}"
        )


def _is_arm(value):
    return hasattr(value, "start") and not isinstance(value, type)
