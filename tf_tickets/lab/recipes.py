"""What a pair of model and data set means: the network's size, and how it is trained.

Paper K publishes neither learning rates nor epochs nor latent sizes (Q16); what its text does not
give is from its first author's drafts (N1, N2), or chosen here, and says so.
"""

import dataclasses
from collections.abc import Mapping

from tf_tickets.errors import SettingError

# The papers' counts: the data set whose images the network is counted for, and parameters. Paper
# K's Table 1 (K12-K20); its Table 2 for dcgan-table2 (K40, K55); paper C's code for sngan-resnet
# (C13, C14). None for a model that is none of theirs.
COUNTS = {
    "linear-ae": ("mnist", 200_000),
    "conv-ae": ("cifar10", 3_000_000),
    "vae": ("cifar10", 5_600_000),
    "beta-vae": ("cifar10", 5_600_000),
    "resnet-vae": ("cifar10", 2_800_000),
    "dcgan": ("cifar10", 6_500_000),
    "dcgan-table2": ("cifar10", 5_651_584),
    "dcgan-shared": ("cifar10", None),
    "sngan": ("cifar10", 6_700_000),
    "wgan": ("cifar10", 6_500_000),
    "resnet-dcgan": ("cifar10", 2_200_000),
    "sngan-resnet": ("cifar10", 5_330_563),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a model is built and trained on a data set.

    Attributes:
        model: a name of `models.NAMES`.
        dataset: a name of `data.DATASETS`.
        image_size: height and width in pixels.
        network: options of the network, such as `width`; the paper's where it is empty.
        epochs: passes over the training images.
        batch_size: images per optimizer step; of a GAN per update of its discriminator.
        learning_rate: of the optimizer; a GAN has two of the same kind.
        optimizer: a Keras optimizer's name.
        optimizer_options: what else it is made with.
        evaluations: how often a training is evaluated, at equal distances.
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
    optimizer: str = "adam"
    optimizer_options: Mapping = dataclasses.field(default_factory=dict)
    evaluations: int = 1
    metric: str = "frechet"
    precision: str = "auto"


# Adam as Radford et al. (arXiv:1511.06434) and as Miyato et al. (arXiv:1802.05957) set it; WGAN's
# RMSprop is of Arjovsky et al. (arXiv:1701.07875). The epochs are the draft's (N1).
_DCGAN = {"learning_rate": 2e-4, "optimizer_options": {"beta_1": 0.5}}
_SNGAN = {"learning_rate": 2e-4, "optimizer_options": {"beta_1": 0.0, "beta_2": 0.9}}
_GANS = {
    "dcgan": _DCGAN,
    "dcgan-table2": _DCGAN,
    "dcgan-shared": _DCGAN,
    "sngan": _SNGAN,
    "wgan": {"learning_rate": 5e-5, "optimizer": "rmsprop"},
    "resnet-dcgan": _SNGAN,
    "sngan-resnet": _SNGAN,
}
_GAN = {"epochs": 200, "batch_size": 64, "evaluations": 5}

# The bundled digits are for a look that takes minutes: 1,437 images, so a narrow network that
# trains in seconds. Its sizes are chosen here, by how long the bare command may take on two cores.
_DIGITS = {
    "linear-ae": {"epochs": 20},
    "conv-ae": {"network": {"width": 8}, "epochs": 10},
    "vae": {"network": {"width": 16}, "epochs": 5, "learning_rate": 2e-3},
    "beta-vae": {"network": {"width": 16}, "epochs": 5, "learning_rate": 2e-3},
    "resnet-vae": {"network": {"width": 8}, "epochs": 5, "learning_rate": 2e-3},
    **{model: {"network": {"width": 8}, "epochs": 16, "learning_rate": 1e-3} for model in _GANS},
    # A thousand images are too few to give each of five updates a batch of its own.
    "sngan": {"network": {"width": 8, "critic_steps": 1}, "epochs": 16, "learning_rate": 1e-3},
    "sngan-resnet": {
        "network": {"width": 8, "critic_steps": 1, "ema_decay": 0.98},
        "epochs": 16,
        "learning_rate": 1e-3,
    },
    # Clipped at 0.01, eight narrow layers without normalisation hand on gradients of 1e-9. Adam's
    # betas are those of Gulrajani et al. (arXiv:1704.00028), the rate is chosen here.
    "wgan": {
        "network": {"width": 8, "critic_steps": 2, "gradient_penalty": 10.0},
        "epochs": 32,
        "learning_rate": 1e-3,
        "optimizer": "adam",
        "optimizer_options": {"beta_1": 0.0, "beta_2": 0.9},
    },
}


def resolve(model: str, dataset: str, **overrides) -> Recipe:
    """Return the recipe of a model on a data set.

    Args:
        model: a name of `models.NAMES`.
        dataset: a name of `data.DATASETS`.
        **overrides: fields of Recipe; one that is None is left as the recipe has it.

    Raises:
        SettingError: if there is no recipe for the pair, or no such field.
    """
    if model not in COUNTS:
        raise SettingError(f"There is no recipe for {model!r}. Choose one of: {', '.join(COUNTS)}.")
    fields = {**_GAN, **_GANS[model]} if model in _GANS else {}
    fields |= {"image_size": 28 if (model, dataset) == ("linear-ae", "mnist") else 32}
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
