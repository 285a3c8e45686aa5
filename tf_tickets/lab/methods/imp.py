"""Iterative magnitude pruning: train, prune the smallest weights, rewind, again."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.methods.method import MaskingMethod
from tf_tickets.lab.options import option, refuse

_REWIND_STEP = 10


@dataclasses.dataclass(frozen=True)
class IterativeMagnitude(MaskingMethod):
    """Prune by magnitude what the round before has trained.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, sec. 3.1.
    """

    name: ClassVar[str] = "imp"
    title: ClassVar[str] = "the smallest weights of what the round before has trained"
    color: ClassVar[str] = "#0072B2"
    marker: ClassVar[str] = "o"
    iterates: ClassVar[bool] = True

    rewind_step: int | None = option(
        None,
        f"optimizer step that survivors return to (default: {_REWIND_STEP}, or the last but one of "
        "a shorter training)",
        at_least=0,
    )
    one_shot: bool = option(False, "prune the dense network at once to each round's sparsity")

    def check(self, config):
        """Raise SettingError if what the discriminator starts from does not fit what is pruned."""
        super().check(config)
        start = getattr(config.training, "discriminator_init", "rewind")
        if self.component == "discriminator" and start == "fresh":
            expected = "must be rewind or trained if only the discriminator is pruned"
            refuse("discriminator_init", expected, start)
        if "shuffled" in config.arms and start == "trained" and self.component != "generator":
            expected = (
                "cannot have shuffled if `discriminator_init` is trained: shuffled masks keep "
                "weights that were pruned and so never trained"
            )
            refuse("arms", expected, " ".join(config.arms))

    def adapted(self, num_steps, steps_per_epoch):
        """Return the method with a rewind step that lies within the training."""
        return fitted_rewind_step(self, num_steps)

    def run_name(self, model, dataset):
        """Return the name, which says whether it prunes at once."""
        return f"{model}-{dataset}-{'one-shot' if self.one_shot else self.name}"

    def search(self, experiment, config):
        """Return the search of an experiment."""
        from tf_tickets import search

        start = getattr(config.training, "discriminator_init", "rewind")
        return search.TicketSearch(
            experiment.task(),
            search.ByMagnitude(self.schedule(), self.pool, self.one_shot),
            self.rounds,
            rewind_step=self.rewind_step,
            arms=self.arm_objects(config),
            scope=self.scope,
            starts={} if start == "rewind" else {"discriminator": start},
            retries=self.retries,
        )

    def pruning_flops(self, record, costs):
        """Return what one threshold over all weights and the masks took."""
        return self.masking_flops(record, costs, num_thresholds=1)

    def steps_skipped(self, record):
        """Return the steps before the rewind point, at which the ticket begins."""
        return self.rewind_step if record["arm"] == "winning" else 0


def fitted_rewind_step(method, num_steps: int):
    """Return a method with a rewind step within a training, and what was adapted, in words.

    Args:
        method: with a `rewind_step`, None if it was not given.
        num_steps: optimizer steps of a training.

    Raises:
        SettingError: if the step was given and lies outside.
    """
    last = num_steps - 1
    if method.rewind_step is None:
        step = min(_REWIND_STEP, last)
        notes = []
        if step < _REWIND_STEP:
            notes.append(f"rewind step {step}: a training has {num_steps} steps")
        return dataclasses.replace(method, rewind_step=step), notes
    if method.rewind_step > last:
        expected = f"must be at most {last}, as a training has {num_steps} steps"
        refuse("rewind_step", expected, method.rewind_step)
    return method, []
