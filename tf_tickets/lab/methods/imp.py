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
    departures: ClassVar[tuple[str, ...]] = (
        "Survivors return to step 10 by default, as in one figure of the paper, which does not say "
        "of how many steps (Kalibhat et al., fig. 3). The authors return to the initial weights or "
        "to 5, 10 or 20 % of a training, as `rewind_share` does (code of Chen et al.).",
        "The optimizer begins anew after each rewinding, as in both authors' code; "
        "`rewind_optimizer` returns its state, too (Kalibhat et al., sec. 3.1).",
        "With one component pruned, the random ticket redraws that component alone; neither paper "
        "says what happens to the other one (Kalibhat et al., sec. 4.2).",
    )

    rewind_step: int | None = option(
        None,
        f"optimizer step that survivors return to (default: {_REWIND_STEP}, or the last but one of "
        "a shorter training)",
        at_least=0,
    )
    rewind_share: float | None = option(
        None,
        "the same as a fraction of a training's steps, in place of a step",
        at_least=0,
        below=1,
    )
    rewind_optimizer: bool = option(
        False,
        "return the optimizer's state to the rewind step, too, and do not begin with a new one",
    )
    start: str = option(
        "rewind",
        "what survivors start from: the weights of the rewind step, or go on from those that were "
        "trained and pruned",
        ("rewind", "trained"),
    )
    one_shot: bool = option(False, "prune the dense network at once to each round's sparsity")

    def check(self, config):
        """Raise SettingError if what survivors start from does not fit the rest."""
        super().check(config)
        check_rewind(self)
        start = getattr(config.training, "discriminator_init", "rewind")
        self._check_start(config, start)
        if self.component == "discriminator" and start == "fresh":
            expected = "must be rewind or trained if only the discriminator is pruned"
            refuse("discriminator_init", expected, start)
        if "shuffled" in config.arms and start == "trained" and self.component != "generator":
            expected = (
                "cannot have shuffled if `discriminator_init` is trained: shuffled masks keep "
                "weights that were pruned and so never trained"
            )
            refuse("arms", expected, " ".join(config.arms))

    def _check_start(self, config, discriminator_init):
        rewinds = self.start == discriminator_init == "rewind"
        if self.rewind_optimizer and (not rewinds or 0 in (self.rewind_step, self.rewind_share)):
            expected = "is for weights that all return to a step after 0"
            refuse("rewind_optimizer", expected, True)
        if self.start == "rewind":
            return
        if discriminator_init != "rewind":
            expected = "means nothing if `start` is trained, as all weights go on from there"
            refuse("discriminator_init", expected, discriminator_init)
        if "shuffled" in config.arms:
            expected = "cannot have shuffled if `start` is trained: pruned weights were not trained"
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
        family, starts = config.card.family, {}
        if start != "rewind":
            starts = dict.fromkeys(family.parts["discriminator"], start)
        if self.start != "rewind":
            starts = dict.fromkeys(family.components, self.start)
        return search.TicketSearch(
            experiment.task(),
            search.ByMagnitude(self.schedule(), self.pool, self.one_shot),
            self.rounds,
            rewind_step=self.rewind_step,
            arms=self.arm_objects(config),
            scope=self.scope(family),
            starts=starts,
            retries=self.retries,
            rewind_optimizer=self.rewind_optimizer,
        )

    def pruning_flops(self, record, costs):
        """Return what one threshold over all weights and the masks took."""
        return self.masking_flops(record, costs, num_thresholds=1)

    def steps_skipped(self, record):
        """Return the steps before the rewind point, at which the ticket begins."""
        return self.rewind_step if record["arm"] == "winning" else 0


def check_rewind(method) -> None:
    """Raise SettingError if the point to rewind to is given in two ways."""
    if method.rewind_step is not None and method.rewind_share is not None:
        expected = "must not be given together with `rewind_step`"
        refuse("rewind_share", expected, method.rewind_share)


def fitted_rewind_step(method, num_steps: int):
    """Return a method with a rewind step within a training, and what was adapted, in words.

    Args:
        method: with a `rewind_step` and a `rewind_share`, None if not given.
        num_steps: optimizer steps of a training.

    Raises:
        SettingError: if the step was given and lies outside.
    """
    last = num_steps - 1
    if method.rewind_share is not None:
        step = min(round(method.rewind_share * num_steps), last)
        notes = [f"rewind step {step}: {method.rewind_share:g} of {num_steps} steps"]
        return dataclasses.replace(method, rewind_step=step, rewind_share=None), notes
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
