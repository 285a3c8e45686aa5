"""The families of models: one card each, and the Keras classes in the files beside this one."""

from tf_tickets.lab.models.card import Family
from tf_tickets.lab.models.training_options import AdversarialTraining, GanTraining

# The bundled digits are for a look that takes minutes: 647 images of 8x8 to train on, so a narrow
# network that settles in seconds. The sizes are chosen here, by how long the bare command may take
# on two cores. Networks as narrow as these gain nothing from 16 bits on a CPU (measured).
_ON_DIGITS = {"image_size": 8, "batch_size": 32, "precision": "float32"}
# Half the side of the originals. What follows from it on the cards is a first choice: only a VAE
# was seen to settle, on 2,000 of the images.
_ON_MNIST = {"image_size": 16, "batch_size": 64, "precision": "float32"}


def _autoencoder():
    from tf_tickets.lab.models.families.autoencoder import Autoencoder

    return Autoencoder


def _variational_autoencoder():
    from tf_tickets.lab.models.families.vae import VariationalAutoencoder

    return VariationalAutoencoder


def _cycle_gan():
    from tf_tickets.lab.models.families.cyclegan import CycleGAN

    return CycleGAN


def _gan():
    from tf_tickets.lab.models.families.gan import GenerativeAdversarialNetwork

    return GenerativeAdversarialNetwork


AUTOENCODER = Family(
    name="autoencoder",
    title="autoencoder",
    model_class=_autoencoder,
    components=("encoder", "decoder"),
    maker="decoder",
    offers=frozenset({"reconstructions"}),
    # A Frechet distance is for what samples: Kalibhat et al., arXiv:2010.02350, sec. 3.2.
    recipe={"metric": "reconstruction_loss", "evaluations": 8},
    recipes_on={"digits": _ON_DIGITS, "mnist": _ON_MNIST},
)

VARIATIONAL_AUTOENCODER = Family(
    name="vae",
    title="variational autoencoder",
    model_class=_variational_autoencoder,
    components=("encoder", "decoder"),
    maker="decoder",
    offers=frozenset({"samples", "reconstructions"}),
    options={"beta": 1.0},
    recipe={"evaluations": 8},
    recipes_on={
        "digits": {
            **_ON_DIGITS,
            "network": {"width": 4, "latent_dim": 10},
            "batch_size": 16,
            "epochs": 40,
            "learning_rate": 3e-3,
            # The loss has settled by then. The error of reconstructions has not, nor the Frechet
            # distance, for which 350 images are few.
            "metric": "loss",
        },
        "mnist": {
            **_ON_MNIST,
            "network": {"width": 8, "latent_dim": 10},
            "epochs": 4,
            "learning_rate": 1e-3,
        },
    },
    departures=(
        "Samples are decoded from N(0, I); the drafts draw mean and variance at random first, "
        "which spreads the codes too far (drafts of Kalibhat et al.).",
    ),
)


def _bound_critic_once(resolved, given):
    """Let a gradient penalty stand in for clipping: Gulrajani et al. replace one by the other."""
    if resolved["gradient_penalty"] and "clip_weights" not in given:
        resolved["clip_weights"] = None


GAN = Family(
    name="gan",
    title="generative adversarial network",
    model_class=_gan,
    components=("generator", "discriminator"),
    maker="generator",
    offers=frozenset({"samples"}),
    training=GanTraining,
    num_optimizers=2,
    options={
        "loss": "non_saturating",
        "critic_steps": 1,
        "generator_batch_factor": 1,
        "clip_weights": None,
        "gradient_penalty": 0.0,
        "ema_decay": None,
    },
    # The epochs are of a draft of Kalibhat et al.
    recipe={"epochs": 200, "batch_size": 64, "evaluations": 5},
    recipes_on={
        "digits": {**_ON_DIGITS, "network": {"width": 8}, "epochs": 16, "learning_rate": 1e-3},
        "mnist": {**_ON_MNIST, "network": {"width": 8}, "epochs": 4, "learning_rate": 1e-3},
    },
    complete=_bound_critic_once,
    departures=(
        "The optimizer and its rate are those of the papers that introduced each model; the drafts "
        "take Adam at 1e-3 with its default betas for all (drafts of Kalibhat et al.).",
        "The generator's first layer and the discriminator's last one are pruned and rewound as "
        "all others; the drafts leave them dense and draw them anew in each round (drafts of "
        "Kalibhat et al.).",
    ),
)

CYCLE_GAN = Family(
    name="cycle-gan",
    title="cycle-consistent adversarial network",
    model_class=_cycle_gan,
    components=("generator_a2b", "generator_b2a", "discriminator_a", "discriminator_b"),
    groups={
        "generator": ("generator_a2b", "generator_b2a"),
        "discriminator": ("discriminator_a", "discriminator_b"),
    },
    maker="generator_a2b",
    offers=frozenset({"translations"}),
    training=AdversarialTraining,
    num_optimizers=3,
    options={
        "cycle_weight": 10.0,
        "identity_weight": 5.0,
        "replay_size": 50,
        "augment": False,
    },
    # As Zhu et al. set them, arXiv:1703.10593.
    recipe={
        "epochs": 200,
        "batch_size": 1,
        "learning_rate": 2e-4,
        "learning_rate_decay": "linear-from-half",
        "optimizer_options": {"beta_1": 0.5},
        "evaluations": 5,
    },
    recipes_on={
        "digits-relief": {
            "image_size": 32,
            "batch_size": 4,
            "precision": "float32",
            "network": {"width": 16},
            "epochs": 20,
        }
    },
    departures=(
        "Horses and zebras to train on are enlarged with bilinear weights before they are cropped "
        "and mirrored, and not with bicubic ones (Zhu et al., arXiv:1703.10593).",
    ),
)
