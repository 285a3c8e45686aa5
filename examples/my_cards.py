"""Adds a VAE, a data set, a score and a metric of your own to the laboratory.

Usage: python scripts/find_tickets.py --extension examples/my_cards.py --model dense-vae \
           --dataset discs --method lamp-at-init --metric brightness_gap
"""

import numpy as np

import tf_tickets as tt


def dense_networks(image_shape, width=64, latent_dim=8):
    """Return an encoder to means and log-variances, and a decoder to pixels in [-1, 1]."""
    from keras import Input, Sequential, layers  # here, as a command reads its options first

    code = layers.Dense(2 * latent_dim, dtype="float32")
    pixels = layers.Dense(int(np.prod(image_shape)), "tanh", dtype="float32")
    images = layers.Reshape(image_shape, dtype="float32")
    encoder = [Input(image_shape), layers.Flatten(), layers.Dense(width, "relu"), code]
    decoder = [Input((latent_dim,)), layers.Dense(width, "relu"), pixels, images]
    return Sequential(encoder, name="encoder"), Sequential(decoder, name="decoder")


def read_discs(split, size, limit, data_dir):
    """Return images of one white disc each, without labels, and how many there are.

    The laboratory takes the validation images from those of the split "train".
    """
    count = {"train": 512, "test": 128}[split]
    x, y, radius = np.random.default_rng(count).random((3, count, 1, 1))
    line = np.linspace(0, 1, size)
    inside = (line - x) ** 2 + (line[:, None] - y) ** 2 < (0.1 + 0.3 * radius) ** 2
    return (np.where(inside, 1.0, -1.0)[:limit, ..., None], None), count


def brightness_gap(evidence):
    """Return how much brighter or darker generated pixels are than real ones, on average."""
    return abs(float(evidence.generated.images.mean() - evidence.real.images.mean()))


@tt.lab.register
class Lamp(tt.lab.AtInitialization):
    """Keeps initial weights by layer-adaptive magnitude: Lee et al., 2021, arXiv:2010.07611."""

    name = "lamp-at-init"
    title = "the initial weights of the smallest layer-adaptive magnitude"

    def scores(self, model, kernels, losses, seed):
        """Return variable name -> float array; higher means keep."""
        return {name: lamp(array) for name, array in tt.magnitude_scores(kernels).items()}


def lamp(magnitudes):
    """Return each weight's square over the sum of those in its layer that are no smaller."""
    order = np.argsort(magnitudes, axis=None)
    squares = np.square(magnitudes.ravel()[order])
    scores = np.empty_like(squares)
    scores[order] = squares / np.cumsum(squares[::-1])[::-1]
    return scores.reshape(magnitudes.shape)


vae, recipe = tt.lab.models.VARIATIONAL_AUTOENCODER, {"image_size": 16, "learning_rate": 3e-3}
tt.lab.register(tt.lab.ModelCard("dense-vae", "Dense VAE", vae, dense_networks, recipe=recipe))
tt.lab.register(tt.lab.DatasetCard("discs", "discs", read_discs, channels=1, num_classes=0))
tt.lab.register(tt.lab.Metric("brightness_gap", "Brightness gap", "pixel", False, brightness_gap))
