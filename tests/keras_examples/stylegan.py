"""A StyleGAN, as keras.io has it: kernels that are scaled at each call, and styles by AdaIN."""

import math

import keras
import tensorflow as tf
from keras import layers, ops

from tests.keras_examples.example import Example, images, update

LATENT, STAGES = 8, 2
NORMAL = keras.initializers.RandomNormal(stddev=1.0)


class EqualizedConv(layers.Layer):
    """A convolution whose kernel is drawn from N(0, 1) and scaled at each call."""

    def __init__(self, out_channels, kernel=3, gain=2, **options):
        super().__init__(**options)
        self.out_channels = out_channels
        self.size = kernel
        self.gain = gain

    def build(self, input_shape):
        shape = (self.size, self.size, input_shape[-1], self.out_channels)
        self.kernel = self.add_weight(shape=shape, initializer=NORMAL, name="kernel")
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias")
        self.scale = math.sqrt(self.gain / (self.size**2 * input_shape[-1]))

    def call(self, inputs):
        return ops.conv(inputs, self.scale * self.kernel, padding="same") + self.bias


class EqualizedDense(layers.Layer):
    def __init__(self, units, gain=2, **options):
        super().__init__(**options)
        self.units = units
        self.gain = gain

    def build(self, input_shape):
        shape = (input_shape[-1], self.units)
        self.kernel = self.add_weight(shape=shape, initializer=NORMAL, name="kernel")
        self.bias = self.add_weight(shape=shape[-1:], initializer="zeros", name="bias")
        self.scale = math.sqrt(self.gain / input_shape[-1])

    def call(self, inputs):
        return inputs @ (self.scale * self.kernel) + self.bias


class AddNoise(layers.Layer):
    def build(self, input_shape):
        shape = (1, 1, 1, input_shape[0][-1])
        self.b = self.add_weight(shape=shape, initializer="random_normal", name="kernel")

    def call(self, inputs):
        x, noise = inputs
        return x + self.b * noise


class AdaIN(layers.Layer):
    def __init__(self, **options):
        super().__init__(**options)
        self.epsilon = 1e-5

    def build(self, input_shapes):
        width = input_shapes[0][-1]
        self.dense_1, self.dense_2 = EqualizedDense(width, gain=1), EqualizedDense(width, gain=1)

    def call(self, inputs):
        x, w = inputs
        mean, variance = ops.moments(x, axes=(1, 2), keepdims=True)
        scale, shift = (dense(w)[:, None, None] for dense in (self.dense_1, self.dense_2))
        return scale * (x - mean) / ops.sqrt(variance + self.epsilon) + shift


class MinibatchStd(layers.Layer):
    """Adds a channel that says how much the images of a batch differ."""

    def call(self, x):
        spread = ops.mean(ops.sqrt(ops.var(x, axis=0) + 1e-8))
        return ops.concatenate([x, ops.zeros_like(x[..., :1]) + spread], axis=-1)


class FadeIn(layers.Layer):
    """Goes from the images of a stage before to those of this one."""

    def call(self, alpha, old, new):
        return old + alpha * (new - old)


def mapping():
    codes = x = keras.Input((LATENT,))
    for _ in range(2):
        x = layers.LeakyReLU(0.2)(EqualizedDense(12)(x))
    return keras.Model(codes, layers.RepeatVector(STAGES)(x), name="mapping")


def styled(x, w, noise, width):
    for number in range(2):
        x = EqualizedConv(width, 3)(x) if number else x
        x = layers.LeakyReLU(0.2)(AddNoise()([x, noise]))
        x = AdaIN()([x, w])
    return x


def generator():
    base, alpha = keras.Input((4, 4, 16)), keras.Input((1, 1, 1))
    styles = keras.Input((STAGES, 12))
    noises = [keras.Input((size, size, 1)) for size in (4, 8)]
    x = styled(base, styles[:, 0], noises[0], 16)
    x = layers.UpSampling2D((2, 2))(x)
    old = EqualizedConv(3, 1, gain=1)(x)
    x = styled(EqualizedConv(12, 3)(x), styles[:, 1], noises[1], 12)
    outputs = FadeIn()(alpha, old, EqualizedConv(3, 1, gain=1)(x))
    return keras.Model([base, styles, *noises, alpha], outputs, name="generator")


def discriminator():
    image, alpha = keras.Input((8, 8, 3)), keras.Input((1, 1, 1))
    old = layers.LeakyReLU(0.2)(EqualizedConv(12, 1)(layers.AveragePooling2D(2)(image)))
    x = layers.LeakyReLU(0.2)(EqualizedConv(12, 1)(image))
    x = layers.LeakyReLU(0.2)(EqualizedConv(12, 3)(x))
    x = FadeIn()(alpha, old, layers.AveragePooling2D(2)(x))
    x = layers.LeakyReLU(0.2)(EqualizedConv(12, 3)(MinibatchStd()(x)))
    x = layers.LeakyReLU(0.2)(EqualizedDense(16)(layers.Flatten()(x)))
    return keras.Model([image, alpha], EqualizedDense(1)(x), name="discriminator")


class StyleGAN(keras.Model):
    """Two phases of one resolution: the images of the stage before fade out, and then are gone."""

    def __init__(self, mapping, generator, discriminator):
        super().__init__()
        self.mapping = mapping
        self.generator = generator
        self.discriminator = discriminator
        self.base = self.add_weight(shape=(4, 4, 16), initializer="ones", name="base")
        self.alpha = self.add_weight(shape=(), initializer="zeros", trainable=False, name="alpha")

    def compile(self, d_optimizer, g_optimizer, steps_in_transition=8):
        super().compile()
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        self.alpha_step = 1.0 / steps_in_transition

    def call(self, codes):
        count = tf.shape(codes)[0]
        noises = [tf.random.normal((count, size, size, 1)) for size in (4, 8)]
        base = tf.tile(self.base[None], (count, 1, 1, 1))
        return self.generator([base, self.mapping(codes), *noises, self.faded(count)])

    def faded(self, count):
        return tf.fill((count, 1, 1, 1), tf.convert_to_tensor(self.alpha))

    def gradient_penalty(self, real, fake):
        shares = tf.random.uniform((tf.shape(real)[0], 1, 1, 1))
        between = real + shares * (fake - real)
        with tf.GradientTape() as tape:
            tape.watch(between)
            verdicts = self.discriminator([between, self.faded(tf.shape(real)[0])])
        gradients = tape.gradient(verdicts, between)
        norms = tf.sqrt(tf.reduce_sum(tf.square(gradients), axis=[1, 2, 3]) + 1e-12)
        return tf.reduce_mean(tf.square(norms - 1))

    def train_step(self, real):
        count = tf.shape(real)[0]
        alpha = self.faded(count)
        weights = [*self.mapping.trainable_weights, *self.generator.trainable_weights, self.base]
        with tf.GradientTape() as tape:
            fake = self(tf.random.normal((count, LATENT)))
            g_loss = -tf.reduce_mean(self.discriminator([fake, alpha]))
        update(self.g_optimizer, tape, g_loss, weights)
        with tf.GradientTape() as tape:
            of_fake, of_real = (self.discriminator([each, alpha]) for each in (fake, real))
            d_loss = tf.reduce_mean(of_fake) - tf.reduce_mean(of_real)
            d_loss += self.gradient_penalty(real, fake)
            d_loss += 1e-3 * tf.reduce_mean(of_real**2)
        update(self.d_optimizer, tape, d_loss, self.discriminator.trainable_weights)
        self.alpha.assign(tf.minimum(1.0, self.alpha + self.alpha_step))
        return {"d_loss": d_loss, "g_loss": g_loss}


def style_gan(**networks):
    model = StyleGAN(**networks)
    model.compile(*(keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99) for _ in range(2)))
    return model


EXAMPLES = {
    "StyleGAN": Example(
        lambda: {
            "mapping": mapping(),
            "generator": generator(),
            "discriminator": discriminator(),
        },
        style_gan,
        images(16, 8, 8, 3),
    )
}
