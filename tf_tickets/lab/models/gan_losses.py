"""The losses of GANs by name: a new one is one more entry of LOSSES."""

import dataclasses
from collections.abc import Callable

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.registry import Registry

keras = LazyModule("keras")


@dataclasses.dataclass(frozen=True)
class GanLoss:
    """What the two networks of a GAN minimise.

    Attributes:
        name: value of the option `loss`.
        discriminator: function of the logits (batch, 1) of (real, generated) images.
        generator: function of the logits of generated images.
        gives_probabilities: whether the sigmoid of a logit is how probably an image is real, so
            that one discriminator can teach another.
    """

    name: str
    discriminator: Callable
    generator: Callable
    gives_probabilities: bool = True


def _non_saturating(real, fake):
    ops = keras.ops
    return ops.mean(ops.softplus(-real)) + ops.mean(ops.softplus(fake))


def _hinge(real, fake):
    ops = keras.ops
    return ops.mean(ops.relu(1 - real)) + ops.mean(ops.relu(1 + fake))


def _earth_mover(real, fake):
    return keras.ops.mean(fake) - keras.ops.mean(real)


def _minus_mean(fake):
    return -keras.ops.mean(fake)


LOSSES = Registry(
    "loss",
    [
        # Goodfellow et al., 2014, arXiv:1406.2661.
        GanLoss(
            "non_saturating",
            _non_saturating,
            lambda fake: keras.ops.mean(keras.ops.softplus(-fake)),
        ),
        # Miyato et al., 2018, arXiv:1802.05957.
        GanLoss("hinge", _hinge, _minus_mean),
        # Arjovsky et al., 2017, arXiv:1701.07875: the verdicts have no scale.
        GanLoss("wasserstein", _earth_mover, _minus_mean, gives_probabilities=False),
    ],
)
