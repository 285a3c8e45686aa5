"""Prunes the generator of a subclassed GAN with a `train_step` of its own.

Usage: python examples/gan.py

The model is written as in the Keras.io example "DCGAN to generate face images". It is a
`keras.Model` that holds a generator and a discriminator, is compiled with `d_optimizer` and
`g_optimizer`, and trains both networks in `train_step`. Nothing in it was changed for pruning. The
images are handwritten digits of 8 x 8 pixels. The training is far too short for good samples. The
example shows two other things: the zeros of each round stay zero under two optimizers, and the
ticket can be written to a file and loaded again.
"""

import pathlib
import tempfile

import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from keras import layers

import tf_tickets as tt

LATENT_DIM = 16
ROUNDS = 3


def main():
    """Search for tickets of the generator, and print what was found."""
    images = sklearn.datasets.load_digits().images[..., None].astype("float32") / 8 - 1
    data = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images), seed=0)
    data = data.batch(64, drop_remainder=True)

    keras.utils.set_random_seed(0)
    gan = GAN(build_discriminator(), build_generator())
    gan.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3))
    gan(tf.zeros((1, LATENT_DIM)))

    rewind = tt.callbacks.RewindPoint(step=10)

    def train(model, data):
        model.fit(data, epochs=2, shuffle=False, callbacks=[rewind], verbose=0)

    search = tt.search.LoopedPruning(
        gan,
        data,
        train,
        schedule=tt.IterativeSparsity(rate=0.4, rounds=ROUNDS),
        rounds=ROUNDS,
        rewind_point=rewind,
        scope=gan.generator,
    )
    for number, ticket in enumerate(search.run(), 1):
        print(f"round {number}: {ticket}")

    removed = ticket.masks.size - ticket.masks.num_kept
    variables = tt.variable_names(gan)
    revived = sum(
        np.count_nonzero(variables[name].numpy()[~mask]) for name, mask in ticket.masks.items()
    )
    print(f"after the last training {revived} of {removed:,} removed weights are not 0")

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "generator.safetensors"
        ticket.save(path)
        tt.Ticket.load(path).apply(gan)
        print(f"the ticket takes {path.stat().st_size:,} bytes; rewound to step {rewind.step}")


def build_discriminator():
    """Return a network that computes a logit for an image of 8 x 8 pixels."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 4, strides=2, padding="same", name="conv1"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(64, 4, strides=2, padding="same", name="conv2"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Flatten(),
            layers.Dense(1, name="logit"),
        ],
        name="discriminator",
    )


def build_generator():
    """Return a network that makes an image of 8 x 8 pixels in [-1, 1] from a latent vector."""
    return keras.Sequential(
        [
            keras.Input((LATENT_DIM,)),
            layers.Dense(2 * 2 * 64, name="dense"),
            layers.Reshape((2, 2, 64)),
            layers.Conv2DTranspose(64, 4, strides=2, padding="same", name="up1"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2DTranspose(32, 4, strides=2, padding="same", name="up2"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.Conv2D(1, 3, padding="same", activation="tanh", name="image"),
        ],
        name="generator",
    )


class GAN(keras.Model):
    """A generator and a discriminator that learn from each other."""

    def __init__(self, discriminator, generator):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    def compile(self, d_optimizer, g_optimizer):
        """Set an optimizer for each network."""
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer

    def call(self, latent):
        """Return the discriminator's logits for generated images."""
        return self.discriminator(self.generator(latent))

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def train_step(self, real):
        """Update the discriminator, and then the generator."""
        batch_size = tf.shape(real)[0]
        generated = self.generator(tf.random.normal((batch_size, LATENT_DIM)))
        with tf.GradientTape() as tape:
            logits = self.discriminator(tf.concat([generated, real], axis=0))
            labels = tf.concat([tf.ones((batch_size, 1)), tf.zeros((batch_size, 1))], axis=0)
            d_loss = self.loss_fn(labels, logits)
        gradients = tape.gradient(d_loss, self.discriminator.trainable_weights)
        self.d_optimizer.apply_gradients(
            zip(gradients, self.discriminator.trainable_weights, strict=True)
        )

        latent = tf.random.normal((batch_size, LATENT_DIM))
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generator(latent))
            g_loss = self.loss_fn(tf.zeros((batch_size, 1)), logits)
        gradients = tape.gradient(g_loss, self.generator.trainable_weights)
        self.g_optimizer.apply_gradients(
            zip(gradients, self.generator.trainable_weights, strict=True)
        )

        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {metric.name: metric.result() for metric in self.metrics}


if __name__ == "__main__":
    main()
