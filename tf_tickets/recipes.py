"""What a pair of model and data set means: the network's size, and how it is trained.

Paper K publishes neither learning rates nor epochs nor latent sizes (Q16); what its text does not
give is from its first author's drafts (N1, N2), or chosen here, and says so.
"""

import dataclasses
from collections.abc import Mapping

from tf_tickets.errors import SettingError

# Paper K, Table 1: data set whose network is counted, and parameters (K12-K16).
TABLE_1 = {
    "linear-ae": ("mnist", 200_000),
    "conv-ae": ("cifar10", 3_000_000),
    "vae": ("cifar10", 5_600_000),
    "beta-vae": ("cifar10", 5_600_000),
    "resnet-vae": ("cifar10", 2_800_000),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is built and trained on a data set.

    Attributes:
        model: a name of `models.NAMES`.
        dataset: a name of `data.NAMES`.
        image_size: height and width in pixels.
        network: options of the network, such as `width`; the paper's where it is empty.
        epochs: passes over the training images.
        batch_size: images per optimizer step.
        learning_rate: of Adam.
        metric: what decides which ticket wins; "frechet" is `fid` with an Inception network and
            `fcd` without.
        precision: a name of `precision.POLICIES`.
    """

    model: str
    dataset: str
    image_size: int
    network: Mapping = dataclasses.field(default_factory=dict)
    epochs: int = 100  # N1; a CPU wants fewer
    batch_size: int = 128  # N1
    learning_rate: float = 1e-3  # N2, without its L2 of 1e-5, which Adam's scaling undoes
    metric: str = "frechet"
    precision: str = "auto"


# The bundled digits are for a look that takes minutes: 1,437 images, so a narrow network that
# trains in seconds. Its sizes are chosen here, by how long the bare command may take on two cores.
_DIGITS = {
    "linear-ae": {"epochs": 20},
    "conv-ae": {"network": {"width": 8}, "epochs": 10},
    "vae": {"network": {"width": 16}, "epochs": 5, "learning_rate": 2e-3},
    "beta-vae": {"network": {"width": 16}, "epochs": 5, "learning_rate": 2e-3},
    "resnet-vae": {"network": {"width": 8}, "epochs": 5, "learning_rate": 2e-3},
}


def resolve(model: str, dataset: str, **overrides) -> Recipe:
    """Return the recipe of a model on a data set.

    Args:
        model: a name of `models.NAMES`.
        dataset: a name of `data.NAMES`.
        **overrides: fields of Recipe; one that is None is left as the recipe has it.

    Raises:
        SettingError: if there is no recipe for the pair, or no such field.
    """
    if model not in TABLE_1:
        raise SettingError(
            f"There is no recipe for {model!r}. Choose one of: {', '.join(TABLE_1)}."
        )
    fields = {"image_size": 28 if (model, dataset) == ("linear-ae", "mnist") else 32}
    if model in ("linear-ae", "conv-ae"):
        fields["metric"] = "reconstruction_loss"  # K22; Frechet distance is for what samples, K23
    if dataset == "digits":
        # Networks as narrow as these gain nothing from 16 bits on a CPU (measured).
        fields |= {"batch_size": 64, "precision": "float32", **_DIGITS[model]}
    given = {name: value for name, value in overrides.items() if value is not None}
    unknown = set(given) - {field.name for field in dataclasses.fields(Recipe)}
    if unknown:
        raise SettingError(f"A recipe has no {sorted(unknown)[0]!r}.")
    return Recipe(model, dataset, **{**fields, **given})
