"""A VAE and a VQ-VAE, as keras.io has them: an encoder and a decoder, and a `train_step`."""

import keras
import tensorflow as tf
from keras import layers, ops

from tests.keras_examples.example import Example, images, update

# --- VAE


class Sampling(layers.Layer):
    """Draws a code from its mean and the logarithm of its variance."""

    def __init__(self, **options):
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        mean, log_variance = inputs
        noise = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
        return mean + ops.exp(0.5 * log_variance) * noise


def vae_encoder():
    x = image = keras.Input((8, 8, 1))
    for width in (8, 16):
        x = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Dense(16, "relu")(layers.Flatten()(x))
    mean, log_variance = (layers.Dense(2, name=name)(x) for name in ("z_mean", "z_log_var"))
    return keras.Model(image, [mean, log_variance, Sampling()([mean, log_variance])])


def vae_decoder():
    code = keras.Input((2,))
    x = layers.Reshape((2, 2, 16))(layers.Dense(64, "relu")(code))
    for width in (16, 8):
        x = layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")(x)
    return keras.Model(code, x)


class VAE(keras.Model):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def train_step(self, data):
        with tf.GradientTape() as tape:
            mean, log_variance, code = self.encoder(data)
            errors = keras.losses.binary_crossentropy(data, self.decoder(code))
            divergence = -0.5 * (1 + log_variance - ops.square(mean) - ops.exp(log_variance))
            loss = ops.mean(ops.sum(errors, (1, 2))) + ops.mean(ops.sum(divergence, 1))
        update(self.optimizer, tape, loss, self.trainable_weights)
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def vae(encoder, decoder):
    model = VAE(encoder, decoder)
    model.compile(optimizer=keras.optimizers.Adam())
    return model


# --- VQ-VAE


class VectorQuantizer(layers.Layer):
    """Replaces each vector by the nearest one of a table, through which gradients go straight."""

    def __init__(self, num_embeddings, embedding_dim, beta=0.25, **options):
        super().__init__(**options)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.beta = beta
        self.embeddings = self.add_weight(
            shape=(embedding_dim, num_embeddings), initializer="uniform", name="embeddings_vqvae"
        )

    def call(self, x):
        flat = ops.reshape(x, (-1, self.embedding_dim))
        chosen = ops.one_hot(self.code_indices(flat), self.num_embeddings, dtype=x.dtype)
        quantized = ops.reshape(chosen @ ops.transpose(self.embeddings), ops.shape(x))
        commitment = ops.mean((ops.stop_gradient(quantized) - x) ** 2)
        self.add_loss(self.beta * commitment)
        self.add_loss(ops.mean((quantized - ops.stop_gradient(x)) ** 2))
        return x + ops.stop_gradient(quantized - x)

    def code_indices(self, flat):
        table = ops.convert_to_tensor(self.embeddings)
        similarity = flat @ table
        lengths = ops.sum(flat**2, axis=1, keepdims=True) + ops.sum(table**2, axis=0)
        return ops.argmin(lengths - 2 * similarity, axis=1)


def vqvae_encoder(dim=8):
    x = image = keras.Input((8, 8, 1))
    for width in (16, 24):
        x = layers.Conv2D(width, 3, strides=2, padding="same", activation="relu")(x)
    return keras.Model(image, layers.Conv2D(dim, 1, padding="same")(x), name="encoder")


def vqvae_decoder(dim=8):
    x = codes = keras.Input((2, 2, dim))
    for width in (24, 16):
        x = layers.Conv2DTranspose(width, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(1, 3, padding="same")(x)
    return keras.Model(codes, x, name="decoder")


def vqvae_network():
    quantizer = VectorQuantizer(16, 8, name="vector_quantizer")
    image = keras.Input((8, 8, 1))
    return keras.Model(image, vqvae_decoder()(quantizer(vqvae_encoder()(image))), name="vq_vae")


class VQVAETrainer(keras.Model):
    def __init__(self, vqvae, train_variance):
        super().__init__()
        self.vqvae = vqvae
        self.train_variance = train_variance
        self.loss_tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self):
        return [self.loss_tracker]

    def train_step(self, x):
        with tf.GradientTape() as tape:
            errors = ops.mean((x - self.vqvae(x)) ** 2) / self.train_variance
            loss = errors + sum(self.vqvae.losses)
        update(self.optimizer, tape, loss, self.vqvae.trainable_variables)
        self.loss_tracker.update_state(loss)
        return {"loss": self.loss_tracker.result()}


def vqvae(**networks):
    model = VQVAETrainer(**networks, train_variance=0.1)
    model.compile(optimizer=keras.optimizers.Adam())
    return model


EXAMPLES = {
    "VAE": Example(
        lambda: {"encoder": vae_encoder(), "decoder": vae_decoder()},
        vae,
        images(16, 8, 8, 1, low=0.0),
    ),
    "VQ-VAE": Example(lambda: {"vqvae": vqvae_network()}, vqvae, images(16, 8, 8, 1, low=-0.5)),
}
