"""GANs as keras.io has them: two networks, an optimizer for each, and a `train_step`."""

import keras
import tensorflow as tf
from keras import layers, ops

from tests.keras_examples.example import Example, images, labels, update

LATENT = 8
NUM_CLASSES = 3


def critic(channels=1):
    """Return a discriminator of strided convolutions."""
    model = keras.Sequential([keras.Input((8, 8, channels))], name="discriminator")
    for width in (8, 16):
        model.add(layers.Conv2D(width, 4, strides=2, padding="same"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    return model


def from_codes(size=LATENT):
    """Return a generator of 8x8 images, less its last layer."""
    model = keras.Sequential([keras.Input((size,))], name="generator")
    model.add(layers.Dense(2 * 2 * 16))
    model.add(layers.Reshape((2, 2, 16)))
    for width in (16, 24):
        model.add(layers.Conv2DTranspose(width, 4, strides=2, padding="same"))
        model.add(layers.LeakyReLU(negative_slope=0.2))
    return model


class TwoNetworks(keras.Model):
    """What all of these have in common: two networks with an optimizer each."""

    def __init__(self, discriminator, generator):
        super().__init__()
        self.discriminator = discriminator
        self.generator = generator
        self.seed_generator = keras.random.SeedGenerator(1337)

    def compile(self, d_optimizer, g_optimizer, loss_fn=None):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.loss_fn = loss_fn
        self.d_loss_metric = keras.metrics.Mean(name="d_loss")
        self.g_loss_metric = keras.metrics.Mean(name="g_loss")

    @property
    def metrics(self):
        return [self.d_loss_metric, self.g_loss_metric]

    def codes(self, count):
        return keras.random.normal((count, LATENT), seed=self.seed_generator)

    def noted(self, d_loss, g_loss):
        self.d_loss_metric.update_state(d_loss)
        self.g_loss_metric.update_state(g_loss)
        return {metric.name: metric.result() for metric in self.metrics}


def compiled(model, loss_fn=None):
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), loss_fn)
    return model


# --- DCGAN


def dcgan_networks():
    discriminator, generator = critic(), from_codes()
    for layer in (layers.Flatten(), layers.Dropout(0.2), layers.Dense(1, "sigmoid")):
        discriminator.add(layer)
    generator.add(layers.Conv2D(1, 5, padding="same", activation="sigmoid"))
    return {"discriminator": discriminator, "generator": generator}


class DCGAN(TwoNetworks):
    def train_step(self, real):
        count = ops.shape(real)[0]
        both = ops.concatenate([self.generator(self.codes(count)), real])
        wanted = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))])
        wanted += 0.05 * keras.random.uniform(ops.shape(wanted), seed=self.seed_generator)
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(wanted, self.discriminator(both))
        update(self.d_optimizer, tape, d_loss, self.discriminator.trainable_weights)
        codes = self.codes(count)
        with tf.GradientTape() as tape:
            verdicts = self.discriminator(self.generator(codes))
            g_loss = self.loss_fn(ops.zeros((count, 1)), verdicts)
        update(self.g_optimizer, tape, g_loss, self.generator.trainable_weights)
        return self.noted(d_loss, g_loss)


# --- WGAN-GP


def conv_block(x, filters, use_dropout):
    x = layers.Conv2D(filters, 5, strides=2, padding="same")(x)
    x = layers.LeakyReLU(0.2)(x)
    return layers.Dropout(0.3)(x) if use_dropout else x


def upsample_block(x, filters, activation, use_norm=True):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(layers.UpSampling2D()(x))
    if use_norm:
        x = layers.BatchNormalization()(x)
    return activation(x)


def wgan_networks():
    image = keras.Input((8, 8, 1))
    x = layers.ZeroPadding2D(4)(image)
    for filters, use_dropout in ((8, False), (16, True)):
        x = conv_block(x, filters, use_dropout)
    x = layers.Dense(1)(layers.Dropout(0.2)(layers.Flatten()(x)))
    discriminator = keras.Model(image, x, name="discriminator")
    codes = keras.Input((LATENT,))
    x = layers.Dense(3 * 3 * 16, use_bias=False)(codes)
    x = layers.LeakyReLU(0.2)(layers.BatchNormalization()(x))
    x = upsample_block(layers.Reshape((3, 3, 16))(x), 16, layers.LeakyReLU(0.2))
    x = upsample_block(x, 1, layers.Activation("tanh"))
    generator = keras.Model(codes, layers.Cropping2D(2)(x), name="generator")
    return {"discriminator": discriminator, "generator": generator}


class WGAN(TwoNetworks):
    d_steps, penalty_weight = 2, 10.0

    def gradient_penalty(self, real, fake):
        shares = tf.random.uniform((tf.shape(real)[0], 1, 1, 1))
        between = real + shares * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            verdicts = self.discriminator(between, training=True)
        gradients = tape.gradient(verdicts, between)
        norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]) + 1e-12)
        return tf.reduce_mean((norms - 1.0) ** 2)

    def train_step(self, real):
        count = tf.shape(real)[0]
        for _ in range(self.d_steps):
            codes = tf.random.normal((count, LATENT))
            with tf.GradientTape() as tape:
                fake = self.generator(codes, training=True)
                verdicts = [self.discriminator(each, training=True) for each in (fake, real)]
                d_loss = tf.reduce_mean(verdicts[0]) - tf.reduce_mean(verdicts[1])
                d_loss += self.penalty_weight * self.gradient_penalty(real, fake)
            update(self.d_optimizer, tape, d_loss, self.discriminator.trainable_variables)
        codes = tf.random.normal((count, LATENT))
        with tf.GradientTape() as tape:
            fake = self.generator(codes, training=True)
            g_loss = -tf.reduce_mean(self.discriminator(fake, training=True))
        update(self.g_optimizer, tape, g_loss, self.generator.trainable_variables)
        return self.noted(d_loss, g_loss)


# --- conditional GAN


def conditional_networks():
    discriminator, generator = critic(1 + NUM_CLASSES), from_codes(LATENT + NUM_CLASSES)
    for layer in (layers.GlobalMaxPooling2D(), layers.Dense(1)):
        discriminator.add(layer)
    generator.add(layers.Conv2D(1, 5, padding="same", activation="sigmoid"))
    return {"discriminator": discriminator, "generator": generator}


class ConditionalGAN(TwoNetworks):
    def train_step(self, data):
        real, classes = data
        count = ops.shape(real)[0]
        planes = ops.broadcast_to(classes[:, None, None], (count, 8, 8, NUM_CLASSES))

        def fake():
            made = self.generator(ops.concatenate([self.codes(count), classes], axis=1))
            return ops.concatenate([made, planes], -1)

        both = ops.concatenate([fake(), ops.concatenate([real, planes], -1)], axis=0)
        wanted = ops.concatenate([ops.ones((count, 1)), ops.zeros((count, 1))])
        with tf.GradientTape() as tape:
            d_loss = self.loss_fn(wanted, self.discriminator(both))
        update(self.d_optimizer, tape, d_loss, self.discriminator.trainable_weights)
        with tf.GradientTape() as tape:
            g_loss = self.loss_fn(ops.zeros((count, 1)), self.discriminator(fake()))
        update(self.g_optimizer, tape, g_loss, self.generator.trainable_weights)
        return self.noted(d_loss, g_loss)


EXAMPLES = {
    "DCGAN": Example(
        dcgan_networks,
        lambda **networks: compiled(DCGAN(**networks), keras.losses.BinaryCrossentropy()),
        images(16, 8, 8, 1, low=0.0),
    ),
    "WGAN-GP": Example(
        wgan_networks,
        lambda **networks: compiled(WGAN(**networks)),
        images(16, 8, 8, 1),
    ),
    "conditional GAN": Example(
        conditional_networks,
        lambda **networks: compiled(
            ConditionalGAN(**networks), keras.losses.BinaryCrossentropy(from_logits=True)
        ),
        (images(16, 8, 8, 1, low=0.0), labels(16, num_classes=NUM_CLASSES)),
    ),
}
