"""The losses of GANs against numbers worked out by hand."""

import numpy as np
import pytest

from tf_tickets.lab.models.gan_losses import LOSSES

REAL, FAKE = np.float32([[2.0], [-0.5]]), np.float32([[0.5], [-3.0]])


def softplus(x):
    return np.log1p(np.exp(np.float64(x)))


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        (
            "non_saturating",
            (softplus(-2) + softplus(0.5) + softplus(0.5) + softplus(-3)) / 2,
            (softplus(-0.5) + softplus(3)) / 2,
        ),
        ("hinge", (0 + 1.5) / 2 + (1.5 + 0) / 2, 1.25),
        ("wasserstein", -1.25 - 0.75, 1.25),
    ],
)
def test_losses_by_hand(name, discriminator, generator):
    loss = LOSSES[name]
    assert float(loss.discriminator(REAL, FAKE)) == pytest.approx(discriminator, rel=1e-6)
    assert float(loss.generator(FAKE)) == pytest.approx(generator, rel=1e-6)


def test_only_the_verdicts_of_a_wasserstein_critic_are_not_probabilities():
    assert [name for name, loss in LOSSES.items() if not loss.gives_probabilities] == [
        "wasserstein"
    ]
