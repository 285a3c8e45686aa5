"""Pruning at initialization: the initial weights are pruned by a score, before any training."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.method import MaskingMethod, check_rising
from tf_tickets.lab.options import option, refuse


@dataclasses.dataclass(frozen=True)
class AtInitialization(MaskingMethod):
    """Prune the initial weights by a score.

    A new score is a subclass with a name, a title, a colour and `scores`, in a file of its own.

    Class attributes:
        steps: in how many steps, each with new scores, the weights are pruned to a sparsity.
        num_batches: how many training batches a scoring sees.
        cost: the operation of `pruning_flops` that a scoring is, or None if it computes nothing.

    Source: Frankle et al., 2021, arXiv:2009.08576.
    """

    steps: ClassVar[int] = 1
    num_batches: ClassVar[int] = 0
    cost: ClassVar[str | None] = None

    weight_sparsity: tuple[float, ...] | None = option(
        None,
        "fractions of the weights to remove, a round for each, in place of rounds and rate",
        at_least=0,
        below=1,
    )

    def __post_init__(self):
        super().__post_init__()
        check_rising("weight_sparsity", self.weight_sparsity)

    @property
    def num_rounds(self):
        """As many as were asked for, or one for each sparsity."""
        return self.rounds if self.weight_sparsity is None else len(self.weight_sparsity)

    def schedule(self):
        """Return the sparsities of the rounds."""
        from tf_tickets.pruning.schedules import ListedSparsity

        listed = self.weight_sparsity
        return super().schedule() if listed is None else ListedSparsity(listed)

    def identity(self):
        """Return the options that change the bits of a stage: the rate, or the sparsities."""
        options = super().identity()
        del options["weight_sparsity" if self.weight_sparsity is None else "rate"]
        return options

    def scores(self, model, kernels, losses, seed: int) -> dict:
        """Return variable name -> float array for each kernel; higher means keep.

        Args:
            model: at its initial weights, in the precision of the training; it is left as it is.
            kernels: those of its variables that may be pruned, as `prunable` returns them.
            losses: pairs of variables and functions without arguments, each of which returns the
                loss of one training batch that scores these variables, which are those of a float32
                copy; none without `num_batches`.
            seed: decides what is random.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say how to score.")

    def check(self, config):
        """Raise SettingError over what trains before it prunes."""
        super().check(config)
        for name, default in (("discriminator_init", "rewind"), ("distill_discriminator", False)):
            value = getattr(config.training, name, default)
            if value != default:
                refuse(name, "is for the method imp, which trains before it prunes", value)

    def search(self, experiment, config):
        """Return the search of an experiment."""
        from tf_tickets import search
        from tf_tickets.lab.methods.scoring import InitialScores

        score = InitialScores(self, experiment.recipe, experiment.train_images)
        return search.TicketSearch(
            experiment.task(),
            search.ByScore(score, self.schedule(), self.pool, self.steps),
            self.num_rounds,
            arms=self.arm_objects(config),
            scope=self.scope(config.card.family),
            retries=self.retries,
        )

    def pruning_flops(self, record, costs):
        """Return what the thresholds, the masks and the scores took."""
        return self.masking_flops(record, costs, self.steps) + self._scoring_flops(costs)

    def _scoring_flops(self, costs):
        from tf_tickets.costs.pruning import pruning_flops

        if self.cost is None:
            return 0
        # Of no data, a score sees one input.
        batch_size = costs.batch_size if self.num_batches else 1
        count = self.steps * max(1, self.num_batches)
        return pruning_flops({self.cost: count}, forward_flops=costs.forward_flops(batch_size))
