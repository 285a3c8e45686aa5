"""The losses of a model on real images: its own, and how well it reconstructs."""

from tf_tickets.lab.metrics.card import Metric

# A GAN has a loss for each of its two networks and reconstructs no images. Its losses choose no
# model: each tells how one network stands against the other, and a discriminator's is high if its
# generator is good as well as if it is itself poor.
CARDS = (
    Metric(
        name="loss",
        title="Loss",
        unit="loss",
        higher_is_better=False,
        of="losses",
        only_with="reconstructions",
        compute=lambda evidence: evidence.losses["loss"],
    ),
    Metric(
        name="discriminator_loss",
        title="Discriminator loss",
        unit="loss",
        higher_is_better=None,
        of="losses",
        only_without="reconstructions",
        compute=lambda evidence: evidence.losses["discriminator_loss"],
    ),
    Metric(
        name="generator_loss",
        title="Generator loss",
        unit="loss",
        higher_is_better=None,
        of="losses",
        only_without="reconstructions",
        compute=lambda evidence: evidence.losses["generator_loss"],
    ),
    Metric(
        name="cycle_loss",
        title="Cycle loss",
        unit="mean absolute difference of pixels in [-1, 1], sum of both directions",
        higher_is_better=None,
        of="losses",
        only_with="translations",
        compute=lambda evidence: evidence.losses["cycle_loss"],
    ),
    Metric(
        name="reconstruction_loss",
        title="Reconstruction loss",
        unit="mean squared error of pixels in [-1, 1]",
        higher_is_better=False,
        of="reconstructions",
        compute=lambda evidence: evidence.reconstructions.mean_squared_error,
    ),
)
