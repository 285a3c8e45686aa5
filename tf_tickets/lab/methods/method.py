"""What the laboratory knows of one way of pruning: its options, its search, and what it costs."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.options import Options, option, refuse

POOLS = ("model", "component", "layer")
REDRAWS = ("component", "all")


def check_rising(name: str, numbers: tuple | None) -> None:
    """Raise SettingError unless the numbers of an option, if there are any, rise."""
    if numbers is not None and (list(numbers) != sorted(set(numbers)) or not numbers):
        refuse(name, "must be rising numbers in [0, 1)", numbers)


@dataclasses.dataclass(frozen=True)
class Method(Options):
    """One way of pruning; a subclass is its card, an instance holds its options.

    Class attributes:
        name: under which commands know it.
        title: what a round prunes, for a list of methods.
        color, marker: of its points in figures.
        arms: the arms that a search may have.
        slims: whether its tickets are smaller models and not sparse ones.
        iterates: whether a ticket is found by the rounds before, which then belong to its price.
        judged_arm: the arm whose tickets the verdict is on.
        default_seeds: the seeds of a search that names none.
        in_find: whether `find_tickets.py` offers it.
        departures: what is done otherwise than in the papers: see `Family`.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    color: ClassVar[str] = "#444444"
    marker: ClassVar[str] = "o"
    arms: ClassVar[tuple[str, ...]] = ("winning", "random", "shuffled")
    slims: ClassVar[bool] = False
    iterates: ClassVar[bool] = False
    judged_arm: ClassVar[str] = "winning"
    default_seeds: ClassVar[tuple[int, ...] | None] = (0, 1, 2, 3, 4)
    in_find: ClassVar[bool] = True
    departures: ClassVar[tuple[str, ...]] = ()
    # What only adds stages, so that runs that differ in it share a folder.
    _adds_stages: ClassVar[tuple[str, ...]] = ("rounds", "all_rounds")

    @property
    def num_rounds(self) -> int:
        """How many rounds follow the dense one."""
        return self.rounds

    @property
    def ends_early(self) -> bool:
        """Whether a search ends once no verdict can reach a later round."""
        return self.iterates and not getattr(self, "all_rounds", False)

    def check(self, config) -> None:
        """Raise SettingError if the options do not fit those of the rest of a RunConfig."""
        for arm in config.arms:
            if arm not in self.arms:
                expected = f"must be among {', '.join(self.arms)} for the method {self.name}"
                refuse("arms", expected, " ".join(config.arms))

    def completed(self, config):
        """Return the RunConfig with everything filled in that this method decides."""
        return config

    def check_model(self, model, config) -> None:
        """Raise SettingError if a model cannot be pruned so, before any data is loaded.

        Args:
            model: of the config's recipe, built and not compiled.
            config: the RunConfig.
        """

    def adapted(self, num_steps: int, steps_per_epoch: int) -> tuple["Method", list[str]]:
        """Return the method for trainings of so many steps, and what was adapted, in words.

        What was not given fits itself to the training; what was given has to fit.
        """
        return self, []

    def identity(self) -> dict:
        """Return the options that change the bits of a stage, and the method's name."""
        options = dataclasses.asdict(self)
        for name in self._adds_stages:
            options.pop(name, None)
        return {"name": self.name, **options}

    def run_name(self, model: str, dataset: str) -> str:
        """Return what a run folder is called, before a hash of its settings."""
        return f"{model}-{dataset}-{self.name}"

    def search(self, experiment, config):
        """Return the search of an experiment, such as a `TicketSearch`."""
        raise NotImplementedError(f"{type(self).__name__} does not say how to search.")

    def pruning_flops(self, record: dict, costs) -> int:
        """Return the FLOPs of what one ticket's pruning took, besides its training.

        Args:
            record: of the ticket's stage.
            costs: the `comparison.Costs` of the run.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what pruning costs.")

    def steps_skipped(self, record: dict) -> int:
        """Return how many of a training's steps a stage did not take, as it began after them."""
        return 0


def is_of_no_dense_layer(kernel) -> bool:
    """Return whether a kernel is none of a dense layer, whose kernels have two axes."""
    return len(kernel.shape) > 2

    def scope(self, family) -> list | None:
        """Return what may be pruned, as `prunable` takes it; None for all.

        Args:
            family: the `Family` of the model.
        """
        return None


@dataclasses.dataclass(frozen=True)
class MaskingMethod(Method):
    """What methods have in common that mask weights round by round."""

    rounds: int = option(20, "pruning rounds after the dense one", at_least=1, at_most=10_000)
    rate: float = option(
        0.2, "fraction of the remaining weights that a round prunes", above=0, below=1
    )
    component: str = option("all", "the component to prune, or all of them")
    pool: str = option(
        "model",
        "which weights are ranked together: all of the model, or those of each component or layer",
        POOLS,
    )
    all_rounds: bool = option(
        False,
        "train every round; without it a search by rounds ends with the first one whose tickets "
        "are on average more than 20 % worse than dense, as no verdict can reach a later one",
    )
    retries: int = option(
        0,
        "how often a training that collapsed is started again, in any arm, with its batches in "
        "another order",
        at_least=0,
    )
    skip_dense: bool = option(
        False, "prune no kernel of a dense layer, but those of convolutions alone"
    )
    random_redraws: str = option(
        "component",
        "what the random arm draws anew if one component is pruned: that component, or all",
        REDRAWS,
    )

    def __post_init__(self):
        super().__post_init__()
        if self.component == "both":  # of the two that most models have
            object.__setattr__(self, "component", "all")

    def scope(self, family) -> list | None:
        """Return the components that may be pruned, if not all, and what is left out of them."""
        components = self._components(family)
        return [*components, is_of_no_dense_layer] if self.skip_dense else components or None

    def _components(self, family) -> list[str]:
        """Return the names of the components that may be pruned; [] for all."""
        return [] if self.component == "all" else list(family.parts[self.component])

    def check(self, config):
        """Raise SettingError if a component, a pool or an arm does not fit the model."""
        super().check(config)
        parts = config.card.family.parts
        if self.component not in ("all", *parts):
            expected = f"must be all, {' or '.join(parts)} for the model {config.model}"
            refuse("component", expected, self.component)
        if self.pool == "component" and len(self._components(config.card.family)) == 1:
            expected = f"must be model or layer if only the {self.component} is pruned"
            refuse("pool", expected, self.pool)
        if self.random_redraws == "all" and self.component == "all":
            expected = "means nothing if all components are pruned, which the random arm redraws"
            refuse("random_redraws", expected, self.random_redraws)

    def check_model(self, model, config):
        """Raise SettingError if the last round leaves too few weights, or if dense layers are to be
        skipped and none or no other is there.
        """
        from tf_tickets.pruning.prunable import prunable
        from tf_tickets.search.round_masks import check_leaves_enough

        family = config.card.family
        if self.skip_dense:
            self._check_skipped(prunable(model, self._components(family) or None), config)
        sparsity = float(self.schedule()(self.num_rounds)[1])
        check_leaves_enough(model, prunable(model, self.scope(family)), sparsity, self.pool)

    def _check_skipped(self, kernels, config):
        skipped = [kernel for kernel in kernels if not is_of_no_dense_layer(kernel)]
        if len(skipped) in (0, len(kernels)):
            what = "none but dense layers" if skipped else "no dense layer"
            of_all = self.component == "all"
            where = config.model if of_all else f"the {self.component} of {config.model}"
            refuse("skip_dense", f"means nothing for {where}, which has {what} to prune", True)

    def arm_objects(self, config) -> list:
        """Return the arms that a config names, as a search takes them."""
        from tf_tickets import search

        made = {
            "winning": search.Winning(),
            "random": search.Random(redraws=self.random_redraws),
            "shuffled": search.Shuffled(),
        }
        return [made[name] for name in config.arms]

    def schedule(self):
        """Return the sparsities of the rounds."""
        from tf_tickets.pruning.schedules import IterativeSparsity

        return IterativeSparsity(self.rate, self.rounds)

    def masking_flops(self, record, costs, num_thresholds: int) -> int:
        """Return what holding the masks and finding the thresholds took."""
        from tf_tickets.costs.pruning import pruning_flops

        operations = {
            "mask_multiply": costs.num_steps(record),
            "global_threshold": num_thresholds,
        }
        return pruning_flops(operations, record["prunable"])
