"""A denoising diffusion implicit model, as keras.io has it: a U-Net and its moving average."""

import math

import keras
import tensorflow as tf
from keras import layers, ops

from tests.keras_examples.example import Example, images, update

SIZE, WIDTHS, DEPTH = 8, (8, 12, 16), 2
EMBEDDING = 8
IMAGES = images(16, SIZE, SIZE, 3, low=0.0)


@keras.saving.register_keras_serializable("tests")
def sinusoidal_embedding(x):
    frequencies = ops.exp(ops.linspace(math.log(1.0), math.log(1000.0), EMBEDDING // 2))
    angles = ops.cast(2.0 * math.pi * frequencies, x.dtype) * x
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=3)


def residual_block(x, width):
    residual = x if x.shape[3] == width else layers.Conv2D(width, 1)(x)
    x = layers.BatchNormalization(center=False, scale=False)(x)
    x = layers.Conv2D(width, 3, padding="same", activation="swish")(x)
    x = layers.Conv2D(width, 3, padding="same")(x)
    return layers.Add()([x, residual])


def unet():
    noisy, variances = keras.Input((SIZE, SIZE, 3)), keras.Input((1, 1, 1))
    e = layers.Lambda(sinusoidal_embedding, output_shape=(1, 1, EMBEDDING))(variances)
    e = layers.UpSampling2D(size=SIZE, interpolation="nearest")(e)
    x = layers.Concatenate()([layers.Conv2D(WIDTHS[0], 1)(noisy), e])
    skips = []
    for width in WIDTHS[:-1]:
        for _ in range(DEPTH):
            x = residual_block(x, width)
            skips.append(x)
        x = layers.AveragePooling2D(2)(x)
    for _ in range(DEPTH):
        x = residual_block(x, WIDTHS[-1])
    for width in reversed(WIDTHS[:-1]):
        x = layers.UpSampling2D(size=2, interpolation="bilinear")(x)
        for _ in range(DEPTH):
            x = residual_block(layers.Concatenate()([x, skips.pop()]), width)
    x = layers.Conv2D(3, 1, kernel_initializer="zeros")(x)
    return keras.Model([noisy, variances], x, name="residual_unet")


class DiffusionModel(keras.Model):
    def __init__(self, network):
        super().__init__()
        self.normalizer = layers.Normalization()
        self.network = network
        self.ema_network = keras.models.clone_model(network)
        self.ema_network.set_weights(network.get_weights())

    @property
    def averages(self):  # all that is added for pruning
        return list(zip(self.network.weights, self.ema_network.weights, strict=True))

    def compile(self, **options):
        super().compile(**options)
        self.noise_loss_tracker = keras.metrics.Mean(name="n_loss")

    @property
    def metrics(self):
        return [self.noise_loss_tracker]

    def diffusion_schedule(self, times):
        start, end = math.acos(0.95), math.acos(0.02)
        angles = start + times * (end - start)
        return ops.sin(angles), ops.cos(angles)

    def train_step(self, data):
        clean = self.normalizer(data, training=True)
        noise = tf.random.normal(tf.shape(clean))
        noise_rates, signal_rates = self.diffusion_schedule(
            tf.random.uniform((tf.shape(clean)[0], 1, 1, 1))
        )
        noisy = signal_rates * clean + noise_rates * noise
        with tf.GradientTape() as tape:
            loss = self.loss(noise, self.network([noisy, noise_rates**2], training=True))
        update(self.optimizer, tape, loss, self.network.trainable_weights)
        for weight, average in zip(self.network.weights, self.ema_network.weights, strict=True):
            average.assign(0.9 * average + 0.1 * weight)
        self.noise_loss_tracker.update_state(loss)
        return {"n_loss": self.noise_loss_tracker.result()}


def diffusion(network):
    model = DiffusionModel(network)
    model.normalizer.adapt(IMAGES)
    optimizer = keras.optimizers.AdamW(learning_rate=1e-3, weight_decay=1e-4)
    model.compile(optimizer=optimizer, loss=keras.losses.MeanAbsoluteError())
    return model


EXAMPLES = {"DDIM": Example(lambda: {"network": unet()}, diffusion, IMAGES)}
