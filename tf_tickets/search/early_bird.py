"""Early-bird tickets: stop when it has settled which channels matter, slim, and train on."""

import contextlib
import dataclasses
import functools
import inspect
import json
import numbers
from collections.abc import Callable, Iterable, Iterator, Sequence

import keras

from tf_tickets.channels.criterion import (
    EarlyBirdCriterion,
    check_criterion,
    penalised_scales,
    trained_channels,
)
from tf_tickets.channels.keys import over_kernels
from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.channels.slim import slim
from tf_tickets.engines.engine import Engine
from tf_tickets.engines.execute import execute
from tf_tickets.engines.plan import Make, Plan
from tf_tickets.engines.stage import Observer, Stage, checked_seeds, derived_seed
from tf_tickets.errors import SettingError, check_count, check_whole
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.runs.records import Records
from tf_tickets.search.task import Task, check_build, check_task
from tf_tickets.search.training import Training, built_optimizers, why_not_trained
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot
from tf_tickets.tickets.ticket import Ticket

_COUNTS = ("weight_sparsity", "network_sparsity", "params", "prunable", "kept")


class EarlyBirdSearch:
    """Finds tickets that are drawn early in training, and trains them on as smaller models.

    Round 0 trains the dense network. Each later round has a channel sparsity: it trains the network
    again from the same start, draws channel masks every few steps until they have settled, removes
    the masked channels, and trains the slim network on to the same last step, its optimizer
    included. The random arm trains a network of the same widths from fresh weights over all steps:
    if it does as well, it is the widths that matter and not the ticket.

    Args:
        task: how the model is built, trained and judged. `prepare` gets None for `dense` in all
            rounds, as no dense network has the variables of a slim one.
        channel_sparsity: of round 1, 2 and so on: fraction of the channels that may go to remove.
        draw_every: optimizer steps between two drawings of masks.
        mask_distance, look_back: as `EarlyBirdCriterion` takes them.
        scale_penalty: as `penalised_scales` takes it, until the ticket is drawn.
        round_to: as `slim` takes it.
        random_arm: whether to train the control.
        **ranking: whole_groups, pool and the like, as `ChannelRanking` takes them. By norm or
            Taylor terms no scale is penalised.

    Raises:
        TypeError: if `ChannelRanking` takes no such argument.
        SettingError: if a number is out of range; of what the model has a say in, `run` raises it
            before anything is trained.

    Source: You et al., 2020, arXiv:1909.11957; Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1.
    """

    def __init__(
        self,
        task: Task,
        channel_sparsity: Sequence[float],
        *,
        draw_every: int,
        mask_distance: float = 0.1,
        look_back: int = 5,
        scale_penalty: float = 1e-4,
        round_to: int = 1,
        random_arm: bool = True,
        **ranking,
    ):
        inspect.signature(ChannelRanking).bind(None, **ranking)
        check_task(task)
        _check_sparsities(channel_sparsity)
        for sparsity in channel_sparsity:
            check_criterion(sparsity, mask_distance, look_back, scale_penalty)
        check_count("round_to", round_to)
        _check_draw_every(draw_every, task.num_steps)
        self.task = task
        self.channel_sparsity = tuple(channel_sparsity)
        self.draw_every = draw_every
        self.mask_distance = mask_distance
        self.look_back = look_back
        self.scale_penalty = scale_penalty
        self.round_to = round_to
        self.random_arm = random_arm
        self.ranking = ranking

    def run(
        self,
        seeds: Sequence[int],
        folder: RunFolder,
        observers: Sequence[Observer] = (),
        engine: Engine | None = None,
    ) -> Records:
        """Make every stage that is not done yet, and return the records of all.

        Args:
            seeds, folder, observers, engine: as `TicketSearch.run` takes them.

        Returns:
            One record per stage, in order, as of `TicketSearch.run`; `prunable` and `kept` count
            kernels. With it `channel_sparsity` and, of the winning arm, `drawn_step`, `settled`
            (whether the criterion was met, and not the end of training near) and `distances` (step
            and distances of each masks drawn). A training that collapses is a result, as it is
            there; a control whose ticket collapsed is not trained. What was never drawn has the
            counts that masks of its start would leave.

        Raises:
            SettingError: if the model has no channels that may go, or too few for a sparsity.
        """
        return execute([self.plan(seeds, folder, observers)], engine)[0]

    def plan(self, seeds, folder, observers=()) -> Plan:
        """Return what is to be made; arguments as of `run`."""
        seeds = checked_seeds(seeds)
        workshop = functools.partial(self._workshop, seeds[0])
        return Plan(folder, list(self._stages(seeds)), self._sources, workshop, observers=observers)

    @contextlib.contextmanager
    def _workshop(self, seed, folder, report) -> Iterator[Make]:
        self._model = self.task.build(seed)
        self._fresh_optimizer = built_optimizers(self._model)
        self._ranking = trained_channels(self._model, **self.ranking)
        for sparsity in self.channel_sparsity:
            self._criterion(sparsity)
        yield lambda stage, path: self._make(stage, path, folder)

    def _sources(self, stage):
        is_control = stage.arm == "random"
        return [stage.of_arm("winning")] if is_control else []

    def _criterion(self, sparsity):
        return EarlyBirdCriterion(self._ranking, sparsity, self.mask_distance, self.look_back)

    def _stages(self, seeds) -> Iterator[Stage]:
        for seed in seeds:
            yield Stage(seed, 0, "dense")
            for number in range(1, len(self.channel_sparsity) + 1):
                yield Stage(seed, number, "winning")
                if self.random_arm:
                    yield Stage(seed, number, "random")

    def _make(self, stage, path, folder) -> dict:
        """Train and evaluate one stage, write its files to `path`, and return its record."""
        training = Training(self.task, derived_seed(stage.seed, "data"))
        collapsed, facts = None, {}
        if stage.arm == "random":
            winning = _record(folder, stage.of_arm("winning"))
            if winning["collapsed"]:
                collapsed = why_not_trained(stage.of_arm("winning"), winning["collapsed"])
                facts = {name: winning[name] for name in (*_COUNTS, "channel_sparsity")}
        if not collapsed:
            with training.may_collapse():
                self._train(stage, training, path, folder, facts)
            collapsed = training.collapsed
        facts = facts if "kept" in facts else {**self._planned(stage), **facts}
        begun = (path / paths.TICKET).exists()
        return {
            **dataclasses.asdict(stage),
            **facts,
            **training.result(),
            "collapsed": collapsed,
            "attempts": 1 if training.step or begun else 0,
            "ticket": f"{stage.name}/{paths.TICKET}" if begun else None,
        }

    def _train(self, stage, training, path, folder, facts):
        """Train one stage, and note in `facts` what its record says of it, as it becomes known."""
        config = {**dataclasses.asdict(stage), "settings": folder.settings}
        make = {"dense": self._dense, "winning": self._drawn, "random": self._same_widths}
        model = make[stage.arm](stage, training, config, path, folder, facts)
        Ticket.of_model(model, Masks({}), config).save(path / paths.TRAINED)
        if self.task.illustrate:
            self.task.illustrate(model, path / paths.SAMPLES)
        training.check()

    def _dense(self, stage, training, config, path, folder, facts):
        """Train the whole network; its ticket is what all rounds of the seed start from."""
        facts |= {"channel_sparsity": 0.0, **self._counts(self._model)}
        self._start(stage)
        Ticket.of_model(self._model, Masks({}), config).save(path / paths.TICKET)
        training.go_on(self._model, self.task.num_steps)
        return self._model

    def _drawn(self, stage, training, config, path, folder, facts):
        """Train until the ticket is drawn, then what is left of the network."""
        self._start(stage)
        sparsity = self.channel_sparsity[stage.round - 1]
        criterion, distances = self._criterion(sparsity), []
        facts |= {"channel_sparsity": sparsity, "distances": distances, "settled": False}
        with penalised_scales(self._model, self._ranking, self.scale_penalty):
            for step in range(self.draw_every, self.task.num_steps, self.draw_every):
                training.go_on(self._model, step)
                settled = criterion.draw()
                distances.append({"step": step, "distances": criterion.history[-1]})
                if settled:
                    break
        slimmed = slim(self._model, criterion.masks, self.round_to)
        facts |= {"drawn_step": step, "settled": settled, **self._counts(slimmed)}
        masks = over_kernels(self._ranking.graphs, slimmed.slim_report.masks)
        ticket = Ticket.of_model(self._model, masks, config)
        ticket.save(path / paths.TICKET)
        training.go_on(slimmed, self.task.num_steps)
        return slimmed

    def _same_widths(self, stage, training, config, path, folder, facts):
        """Train a network as wide as the winning one, from fresh weights."""
        winning = stage.of_arm("winning")
        masks = Ticket.load(folder.path / winning.name / paths.TICKET).masks
        fresh = self.task.build(derived_seed(stage.seed, stage.round, stage.arm))
        Ticket.of_model(fresh, masks, config).save(path / paths.TICKET)
        slimmed = slim(fresh, masks)
        sparsity = self.channel_sparsity[stage.round - 1]
        facts |= {"channel_sparsity": sparsity, **self._counts(slimmed)}
        self._prepare(slimmed)
        training.go_on(slimmed, self.task.num_steps)
        return slimmed

    def _planned(self, stage):
        """Return the counts of a ticket that was never drawn: those of masks of its start."""
        self._start(stage)
        masks = self._ranking.masks(self.channel_sparsity[stage.round - 1])
        return self._counts(slim(self._model, masks, self.round_to))

    def _start(self, stage):
        """Set the model to the state that all trainings of a seed start from."""
        weights = take_snapshot(self.task.build(derived_seed(stage.seed, 0, "dense")))
        restore_snapshot(self._model, {**self._fresh_optimizer, **weights})
        self._prepare(self._model)

    def _prepare(self, model):
        """Let a model be prepared for a training that starts from the weights it has now."""
        if self.task.prepare:
            self.task.prepare(model, None)

    def _counts(self, model):
        whole, kept = (num_values(prunable(each)) for each in (self._model, model))
        sparsity = 1 - kept / whole
        return {
            "weight_sparsity": sparsity,
            "network_sparsity": sparsity,
            "params": num_values(model.trainable_variables),
            "prunable": whole,
            "kept": kept,
        }


def _record(folder, stage):
    return json.loads((folder.path / stage.name / paths.RESULT).read_text())


def _check_draw_every(draw_every, num_steps):
    check_whole("draw_every", draw_every)
    if not 1 <= draw_every < num_steps:
        raise SettingError(
            f"`draw_every` must be from 1 to below the {num_steps} steps of a training. "
            f"Received: draw_every={draw_every}"
        )


def _check_sparsities(sparsities):
    listed = list(sparsities) if isinstance(sparsities, Iterable) else []
    are_numbers = all(isinstance(each, numbers.Real) for each in listed)
    if not (listed and are_numbers and listed == sorted(set(listed))):
        raise SettingError(
            f"`channel_sparsity` must be one number or more, rising, in a list. Received: "
            f"{sparsities!r}"
        )


def rebuild_slim(build: Callable[[int], keras.Model], ticket, trained) -> keras.Model:
    """Return the trained slim model of an early-bird stage.

    Args:
        build: as `Task` takes it.
        ticket, trained: paths of the stage's two files, `ticket.safetensors` with the channel
            masks, and `trained.safetensors`.

    Raises:
        FileError: if a file is missing or damaged.
        SettingError: if they are of another model, or `build` is no function.
    """
    check_build(build)
    drawn = Ticket.load(ticket)
    model = build(0)
    drawn.apply(model)
    slimmed = slim(model, drawn.masks)
    Ticket.load(trained).apply(slimmed)
    return slimmed
