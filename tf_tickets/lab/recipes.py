"""What a pair of model and data set means: the network's size, and how it is trained.

Kalibhat et al. (arXiv:2010.02350) publish neither learning rates nor epochs nor latent sizes. What
their text does not give is from drafts of the first author, or chosen here, and says so.

What holds for one model or one family of models only is on its card: see `lab.models`.
"""

import dataclasses
from collections.abc import Mapping

from tf_tickets.errors import SettingError
from tf_tickets.lab.models import MODELS, resolved_options


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is built and trained on a data set.

    Attributes:
        model: a name in `models.MODELS`.
        dataset: the data set's name.
        image_size: height and width in pixels.
        network: options of the network, such as `width`; the paper's where it is empty.
        epochs: passes over the training images.
        batch_size: images per optimizer step; of a GAN per update of its discriminator.
        learning_rate: of the optimizer; a GAN has two of the same kind.
        learning_rate_decay: "none", "linear" to 0 at the end of a training, or "linear-from-half",
            the same from its middle on.
        optimizer: a Keras optimizer's name.
        optimizer_options: what else it is made with.
        evaluations: how often a training is evaluated, at equal distances.
        metric: what decides which ticket wins; "frechet" is `fid` with an Inception network and
            `fcd` without.
        precision: a name of `precision.POLICIES`.
    """

    model: str
    dataset: str
    image_size: int = 32
    network: Mapping = dataclasses.field(default_factory=dict)
    epochs: int = 100  # the draft's; a CPU wants fewer
    batch_size: int = 128  # the draft's
    # The draft's, without its L2 of 1e-5. Added to the gradient, Adam scales it with the gradient:
    # weights that get little of that would decay at the full rate, and these are what is ranked.
    learning_rate: float = 1e-3
    learning_rate_decay: str = "none"
    optimizer: str = "adam"
    optimizer_options: Mapping = dataclasses.field(default_factory=dict)
    evaluations: int = 1
    metric: str = "frechet"
    precision: str = "auto"

    @property
    def critic_steps(self) -> int:
        """Updates of a GAN's discriminator in one optimizer step; 1 of what is no GAN."""
        return resolved_options(self.model, self.network).get("critic_steps", 1)

    @property
    def images_per_step(self) -> int:
        """Images that one optimizer step sees."""
        # Each of the discriminator's updates within a step sees a batch of its own.
        return self.batch_size * self.critic_steps


def resolve(model: str, dataset: str, **overrides) -> Recipe:
    """Return the recipe of a model on a data set.

    Args:
        model: a name in `models.MODELS`.
        dataset: the data set's name; on one that the model's card does not know, the model is
            trained as on any other.
        **overrides: fields of Recipe; one that is None is left as the recipe has it.

    Raises:
        SettingError: if there is no such model or field.
    """
    fields = MODELS[model].recipe_fields(dataset)
    given = {name: value for name, value in overrides.items() if value is not None}
    unknown = set(given) - {field.name for field in dataclasses.fields(Recipe)}
    if unknown:
        raise SettingError(f"A recipe has no {sorted(unknown)[0]!r}.")
    return Recipe(model, dataset, **{**fields, **given})
