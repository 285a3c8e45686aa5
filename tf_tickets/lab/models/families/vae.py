"""The variational autoencoder and its beta."""

import keras
from keras import ops

from tf_tickets.errors import SettingError
from tf_tickets.lab.models.families import VARIATIONAL_AUTOENCODER
from tf_tickets.lab.models.families.autoencoder import EncoderDecoder
from tf_tickets.lab.models.families.base import Sampler, draw


@keras.saving.register_keras_serializable("tf_tickets")
class VariationalAutoencoder(Sampler, EncoderDecoder):
    """A VAE: squared error summed over each image, plus `beta` times the KL divergence.

    Both terms are averaged over the batch; they are reported as "reconstruction" and "kl".

    Training draws its noise from `self.seed_generator`, whose state is one of the model's
    variables, so a snapshot of those repeats it; XLA draws other noise than the rest of
    TensorFlow does from the same state. `evaluate` draws the same noise each time
    and leaves that state alone: looking at a model does not change how its training goes on.

    Args:
        encoder: `keras.Model` from images to (batch, 2 * latent_dim): means, log-variances.
        decoder: `keras.Model` from (batch, latent_dim) to float32 images.
        beta: weight of the KL divergence; 1 gives the evidence lower bound.
        seed: of the training noise; by default it follows `keras.utils.set_random_seed`.

    Raises:
        SettingError: if `beta` is negative.

    Source: Kingma and Welling, arXiv:1312.6114; beta: Higgins et al., ICLR 2017.
    """

    loss_names = ("loss", "reconstruction", "kl")
    decoding_component = VARIATIONAL_AUTOENCODER.maker

    def __init__(self, encoder, decoder, beta: float = 1.0, seed: int | None = None, **kwargs):
        if beta < 0:
            raise SettingError(f"`beta` must be at least 0. Received: beta={beta}.")
        super().__init__(encoder, decoder, **kwargs)
        self.beta = beta
        self.seed = seed
        # The name keeps the path of its state the same in every model.
        self.seed_generator = keras.random.SeedGenerator(seed, name="seed_generator")

    def encode(self, images, training: bool = False):
        """Return mean and log-variance of the latent code, float32 (batch, latent_dim) each."""
        return ops.split(self.encoder(images, training=training), 2, axis=-1)

    def call(self, images, training=False):
        """Return the reconstruction of `images` through the mean of their latent code."""
        mean, _ = self.encode(images, training=training)
        return self.decoder(mean, training=training)

    def image_losses(self, images, training):
        """Return "loss", "reconstruction" and "kl"."""
        mean, log_variance = self.encode(images, training=training)
        shape = ops.shape(mean)
        if training:
            noise = draw(keras.random.normal, shape, self.seed_generator)
        else:
            noise = keras.random.normal(shape, seed=0)
        outputs = self.decoder(mean + ops.exp(0.5 * log_variance) * noise, training=training)
        squared_errors = ops.sum(ops.square(outputs - images), axis=(1, 2, 3))
        divergences = kl_divergence(mean, log_variance)
        reconstruction, kl = ops.mean(squared_errors), ops.mean(divergences)
        return {
            "loss": reconstruction + self.beta * kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }

    def decode(self, codes):
        """Return images decoded in inference mode from codes (batch, latent_dim)."""
        return self.decoder(codes, training=False)

    def save_own_variables(self, store):
        """Save the noise's state too, so that training goes on from a file as it would have."""
        store["seed_generator_state"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        """Restore what `save_own_variables` saved; the weights belong to the two networks."""
        self.seed_generator.state.assign(store["seed_generator_state"])

    def get_config(self):
        """Return what makes the model again."""
        return {**super().get_config(), "beta": self.beta, "seed": self.seed}


def kl_divergence(mean, log_variance):
    """Return the KL divergence from N(0, I), summed over the latent code: shape (batch,)."""
    terms = ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0
    return 0.5 * ops.sum(terms, axis=-1)
