"""The options of a training, by family of models; None stands for what the recipe says."""

import dataclasses
from typing import ClassVar

from tf_tickets.lab.models import gan_losses
from tf_tickets.lab.models.initializers import INITIALIZERS
from tf_tickets.lab.options import Options, option, refuse


@dataclasses.dataclass(frozen=True)
class Training(Options):
    """How models of any family are trained."""

    epochs: int | None = option(
        None, "passes over the data in each training (default: by recipe)", at_least=1
    )
    batch_size: int | None = option(
        None, "images per optimizer step (default: by recipe)", at_least=1
    )
    learning_rate: float | None = option(None, "of every optimizer (default: by recipe)", above=0)
    evaluations: int | None = option(
        None,
        "how often each training is evaluated, at equal intervals (default: by recipe)",
        at_least=1,
    )
    precision: str | None = option(
        None,
        "Keras dtype policy; mixed is that of 16 bits for this hardware, and auto the faster of "
        "mixed and float32 in a trial of some seconds (default: by recipe)",
        ("auto", "mixed", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    width: int | None = option(
        None, "filters of the outermost layers (default: by recipe)", at_least=1, at_most=4096
    )

    learning_rate_decay: str | None = option(
        None,
        "how the learning rate falls: linear is to 0 at the end of a training, linear-from-half "
        "the same from its middle on (default: by recipe)",
        ("none", "linear", "linear-from-half"),
    )
    initializer: str | None = option(
        None,
        "how weights begin: as in Keras (Glorot), in PyTorch, by N(0, 0.02) as in the DCGAN of "
        "Radford et al., or with scales by N(1, 0.02) as in the SNGAN of Chen et al. (default: by "
        "recipe)",
        INITIALIZERS,
    )

    # Which of the options are of the model; a subclass adds its own.
    of_model: ClassVar[tuple[str, ...]] = ("width", "initializer")
    # Which are fields of `recipes.Recipe`.
    of_recipe: ClassVar[tuple[str, ...]] = (
        *("epochs", "batch_size", "learning_rate", "learning_rate_decay"),
        *("evaluations", "precision"),
    )

    def network_options(self) -> dict:
        """Return the options that are given and that the model is built with."""
        return self._given(self.of_model)

    def recipe_fields(self) -> dict:
        """Return the options that are given and that are fields of `recipes.Recipe`."""
        return self._given(self.of_recipe)

    def _given(self, names):
        options = {name: getattr(self, name) for name in names}
        return {name: value for name, value in options.items() if value is not None}

    def check(self, card) -> None:
        """Raise SettingError over an option that means nothing for a model.

        Args:
            card: the `ModelCard` of a model of this family.
        """
        for name, value in self.network_options().items():
            if name not in card.defaults:
                refuse(name, f"must not be given for {card.name}, which has no such option", value)


@dataclasses.dataclass(frozen=True)
class AdversarialTraining(Training):
    """How models with discriminators are trained."""

    discriminator_init: str = option(
        "rewind",
        "what a round's discriminator starts from: the weights of the rewind point, those that the "
        "round before has trained, or fresh ones",
        ("rewind", "trained", "fresh"),
    )


@dataclasses.dataclass(frozen=True)
class GanTraining(AdversarialTraining):
    """How GANs are trained."""

    critic_steps: int | None = option(
        None,
        "updates of the discriminator for each update of the generator (default: by recipe)",
        at_least=1,
    )
    generator_batch_factor: int | None = option(
        None,
        "codes of an update of the generator, for each image of an update of the discriminator "
        "(default: by recipe)",
        at_least=1,
    )
    gradient_penalty: float | None = option(
        None,
        "weight of a gradient penalty in the discriminator's loss, which replaces clipping; 0 for "
        "none (default: by recipe)",
        at_least=0,
    )
    ema_decay: float | None = option(
        None,
        "decay of the average of a generator's weights, from which it samples (default: by recipe)",
        at_least=0,
        below=1,
    )
    distill_discriminator: bool = option(
        False, "let the trained dense discriminator teach the discriminators of the rounds"
    )

    of_model: ClassVar[tuple[str, ...]] = (
        *Training.of_model,
        *("critic_steps", "generator_batch_factor", "gradient_penalty", "ema_decay"),
    )

    def check(self, card) -> None:
        """Raise SettingError over an option that means nothing for a model."""
        super().check(card)
        if "loss" not in card.defaults:
            refuse("training", f"is that of a GAN, which {card.name} is not", type(self).__name__)
        loss = card.defaults["loss"]
        if self.distill_discriminator and not gan_losses.LOSSES[loss].gives_probabilities:
            expected = (
                f"needs a discriminator that outputs probabilities; that of {card.name}, trained "
                f"by the {loss} loss, does not"
            )
            refuse("distill_discriminator", expected, True)
