import pytest

from tf_tickets.lab import recipes
from tf_tickets.lab.description import describe


def test_dcgan_is_described_beside_the_paper():
    described = describe(recipes.resolve("dcgan", "cifar10"), "generator")
    prunable, flops = described.pop("prunable"), described.pop("flops")
    assert described == {
        "params": 6_512_196,
        "components": {"generator": 3_576_323, "discriminator": 2_935_873},
        "paper": {"dataset": "cifar10", "params": 6_500_000},
        "options": {
            **{"width": 64, "latent_dim": 100, "spectral": False, "slope": 0.2},
            **{"loss": "non_saturating", "critic_steps": 1, "ema_decay": None},
            **{"clip_weights": None, "gradient_penalty": 0.0},
            **{"generator_batch_factor": 1, "initializer": "keras"},
        },
    }
    # Less biases and batch norms: three numbers for each of the 960 filters, and one for a pixel.
    assert prunable == 3_576_323 - 3 * 960 - 3
    # Twice the millions of multiplications, and hardly more for biases and batch norms.
    assert flops == pytest.approx(
        {"generator": 2 * 103.3e6, "discriminator": 2 * 108.7e6}, rel=5e-3
    )
