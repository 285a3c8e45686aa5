"""Tickets of one model, trained in another that shares a network with it."""

import dataclasses
import functools
from typing import ClassVar

from tf_tickets.errors import SettingError
from tf_tickets.lab.methods.imp import check_rewind, fitted_rewind_step
from tf_tickets.lab.methods.method import REDRAWS, Method
from tf_tickets.lab.methods.source import SourceRun
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.options import option, refuse

# What has to be the same in both models.
_SIZES = ("width", "latent_dim")


@dataclasses.dataclass(frozen=True)
class Transfer(Method):
    """Train the tickets of another run's decoder or generator.

    Beside them it trains the model's own tickets of the same sparsity, and as a control the
    transferred masks with fresh weights. A transferred ticket starts from the weights that its
    survivors had at the rewind step of its run, and is trained for all steps, as fresh weights are;
    the model's own tickets are trained for the steps after the rewind step.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, fig. 8.
    """

    name: ClassVar[str] = "transfer"
    title: ClassVar[str] = "the decoder or generator, by the tickets of another model"
    color: ClassVar[str] = "#009E73"
    marker: ClassVar[str] = "^"
    arms: ClassVar[tuple[str, ...]] = ("winning", "transferred", "random")
    judged_arm: ClassVar[str] = "transferred"
    default_seeds: ClassVar[None] = None  # those of the run
    in_find: ClassVar[bool] = False
    departures: ClassVar[tuple[str, ...]] = (
        "All layers of the decoder are transferred; the draft leaves out the first block of the "
        "generator (drafts of Kalibhat et al.).",
    )

    source: str | None = option(
        None,
        "the run folder of find_tickets.py that the tickets are of; they start from the weights of "
        "its rewind step and are trained for all steps",
        flag="--from",
    )
    rounds: int | None = option(None, "only so many of the run's rounds (default: all)", at_least=1)
    rewind_step: int | None = option(
        None, "optimizer step that the model's own survivors return to", at_least=0
    )
    rewind_share: float | None = option(
        None,
        "the same as a fraction of a training's steps, in place of a step",
        at_least=0,
        below=1,
    )
    retries: int = option(
        0,
        "how often a training that collapsed is started again, in any arm, with its batches in "
        "another order",
        at_least=0,
    )
    random_redraws: str = option(
        "component",
        "what the random arm draws anew: the component that is transferred, the rest as in the "
        "transferred arm, or all",
        REDRAWS,
    )

    def check(self, config):
        """Raise SettingError if no run is named, or an option means nothing to its tickets."""
        if self.source is None:
            raise SettingError("`source` is required: give the folder of a run of find_tickets.py")
        check_rewind(self)
        for name in ("discriminator_init", "distill_discriminator"):
            value = getattr(config.training, name, None)
            if value not in (None, False, "rewind"):
                refuse(name, "means nothing to tickets that are transferred", value)

    @functools.cached_property
    def source_run(self) -> SourceRun:
        """The run whose tickets are transferred; raises as `SourceRun` does."""
        return SourceRun(self.source)

    def completed(self, config):
        """Return the config of a model as wide as the run's, on its data unless others are given.

        Raises:
            FileError: if the run has not all the rounds and seeds that are asked for.
        """
        source, given = self.source_run.recipe, config.data
        model = MODELS[config.model].variant_for.get(source.model, config.model)
        dataset = given.dataset or source.dataset
        limit = self.source_run.limit if dataset == source.dataset else None
        data = dataclasses.replace(
            given,
            dataset=dataset,
            limit=limit if given.limit is None else given.limit,
            image_size=given.image_size or source.image_size,
        )
        known = MODELS[model].defaults
        sizes = self.source_run.settings["model_options"]
        network = {name: sizes[name] for name in _SIZES if name in sizes and name in known}
        rounds = self.rounds or max(self.source_run.records.field("round"))
        seeds = config.seeds or tuple(sorted(self.source_run.records.seeds))
        self.source_run.check_found(seeds, rounds)
        return dataclasses.replace(
            config,
            model=model,
            method=dataclasses.replace(self, rounds=rounds),
            data=data,
            network={**network, **config.network},
            seeds=seeds,
            arms=self.arms,
        )

    def adapted(self, num_steps, steps_per_epoch):
        """Return the method with a rewind step that lies within the training."""
        return fitted_rewind_step(self, num_steps)

    def identity(self):
        """Return what the tickets are of: the settings of their run, and not its place."""
        named = ("name", "rewind_step", "retries", "random_redraws")
        options = {name: getattr(self, name) for name in named}
        return {**options, "transferred": self.source_run.settings}

    def run_name(self, model, dataset):
        """Return the two models, and the data."""
        return f"{self.source_run.model}-to-{model}-{dataset}"

    def check_model(self, model, config):
        """Raise SettingError if the two models do not share the network that makes images."""
        self._tickets_for(model, config)(config.seeds[0], self.rounds)

    def search(self, experiment, config):
        """Return the search of an experiment."""
        from tf_tickets import search

        tickets = self._tickets_for(experiment.build_on_one_device(seed=0), config)
        return search.TicketSearch(
            experiment.task(),
            search.AsSparseAs(tickets, self.rounds),
            self.rounds,
            rewind_step=self.rewind_step,
            arms=[
                search.Winning(),
                search.Transferred(tickets),
                search.Random(tickets, self.random_redraws),
            ],
            scope=config.card.family.maker,
            retries=self.retries,
        )

    def _tickets_for(self, target, config):
        """Return the function of (seed, round) that returns the ticket of a model."""
        from tf_tickets.engines import Stage
        from tf_tickets.runs import paths
        from tf_tickets.tickets.ticket import Ticket
        from tf_tickets.tickets.transfer import transfer_ticket

        card = MODELS[self.source_run.model]
        source = card.build(self.source_run.image_shape, **self.source_run.recipe.network)
        makers = card.family.maker, config.card.family.maker

        def ticket(seed: int, number: int):
            stage = Stage(seed, number, "winning").name
            found = Ticket.load(self.source_run.path / stage / paths.TICKET)
            try:
                return transfer_ticket(found, source, target, *makers)
            except SettingError as error:
                raise SettingError(self._explained(error, config.model)) from error

        return ticket

    def _explained(self, error, target) -> str:
        """Return why a ticket cannot move, and to which models it could."""
        source = self.source_run.model
        partners = [name for name in MODELS[source].shares_maker_with if name != source]
        if target in (source, *partners):
            return str(error)
        where = f"could go to {', '.join(partners)}" if partners else "can go to no other model"
        return f"A ticket of {source} cannot go to {target}. {error} It {where}."

    def steps_skipped(self, record):
        """Return the steps before the rewind point, at which the model's own tickets begin."""
        return self.rewind_step if record["arm"] == "winning" else 0
