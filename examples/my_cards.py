"""Adds a VAE, a data set, a score and a metric of your own to the laboratory, and tries them.

Usage: python examples/my_cards.py

The commands take the same cards from this file, and nothing in the package changes:

    python scripts/find_tickets.py --extension examples/my_cards.py \
        --model dense-vae --dataset discs --method lamp-at-init --metric brightness_gap

Cards are made at the start of a command, so what takes seconds to import is imported where it is
used.
"""

import tempfile

import numpy as np

import tf_tickets as tt


def dense_networks(image_shape, width=64, latent_dim=8):
    """Return an encoder to means and log-variances, and a decoder to pixels in [-1, 1]."""
    from keras import Input, Sequential, layers

    # Codes and images are float32, even if a training computes in 16 bits.
    code = layers.Dense(2 * latent_dim, dtype="float32")
    pixels = layers.Dense(int(np.prod(image_shape)), "tanh", dtype="float32")
    encoder = [Input(image_shape), layers.Flatten(), layers.Dense(width, "relu"), code]
    decoder = [Input((latent_dim,)), layers.Dense(width, "relu"), pixels]
    decoder.append(layers.Reshape(image_shape, dtype="float32"))
    return Sequential(encoder, name="encoder"), Sequential(decoder, name="decoder")


def read_discs(split, size, limit, data_dir):
    """Return grey images of one white disc each, of no class, and how many there are."""
    import tensorflow as tf

    count = DISCS.num_images[split]
    across, down, radius = np.random.default_rng(len(split)).random((3, count, 1, 1))
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    inside = (x - across) ** 2 + (y - down) ** 2 < (0.1 + 0.3 * radius) ** 2
    images = np.where(inside, 1.0, -1.0)[:limit, ..., np.newaxis]
    labels = np.full(len(images), -1)
    return (tf.constant(images, tf.float32), tf.constant(labels, tf.int64)), count


def lamp(magnitudes):
    """Return each weight's square over the sum of those in its layer that are no smaller."""
    order = np.argsort(magnitudes, axis=None)
    squares = np.square(magnitudes.ravel()[order])
    scores = np.empty_like(squares)
    scores[order] = squares / np.cumsum(squares[::-1])[::-1]
    return scores.reshape(magnitudes.shape)


@tt.lab.register
class Lamp(tt.lab.AtInitialization):
    """Keeps initial weights by layer-adaptive magnitude: Lee et al., 2021, arXiv:2010.07611."""

    name = "lamp-at-init"
    title = "the initial weights of the smallest layer-adaptive magnitude"
    color = "#8C510A"

    def scores(self, model, kernels, losses, seed):
        """Return variable name -> float array; higher means keep."""
        return {name: lamp(array) for name, array in tt.magnitude_scores(kernels).items()}


def brightness_gap(evidence):
    """Return how much brighter or darker generated pixels are than real ones, on average."""
    return abs(float(evidence.generated.images.mean() - evidence.real.images.mean()))


tt.lab.register(
    tt.lab.ModelCard(
        name="dense-vae",
        title="Dense VAE",
        family=tt.lab.models.VARIATIONAL_AUTOENCODER,
        networks=dense_networks,
        recipe={"image_size": 16, "epochs": 20, "batch_size": 32, "learning_rate": 3e-3},
    )
)
DISCS = tt.lab.register(
    tt.lab.DatasetCard(
        name="discs",
        title="discs",
        read=read_discs,
        channels=1,
        num_classes=0,
        num_images={"train": 512, "test": 128},
    )
)
tt.lab.register(
    tt.lab.Metric(
        name="brightness_gap",
        title="Gap of brightness",
        unit="pixel value",
        higher_is_better=False,
        compute=brightness_gap,
    )
)


def main():
    """Search with these cards for a ticket, and print each round beside its control."""
    config = tt.lab.RunConfig(
        model="dense-vae",
        method=Lamp(rounds=3, rate=0.5),
        data=tt.lab.Data(dataset="discs"),
        judging=tt.lab.Judging(metric="brightness_gap"),
        seeds=(0,),
    )
    with tempfile.TemporaryDirectory() as folder:
        run = tt.lab.run(config, folder)
        for comparison in run.comparisons:
            print(
                f"round {comparison.round}: {comparison.weight_sparsity:.1%} removed, "
                f"{run.metric} {comparison.mean:.3f}, random {comparison.random:.3f}"
            )
        print(tt.lab.sentence(run))


if __name__ == "__main__":
    main()
