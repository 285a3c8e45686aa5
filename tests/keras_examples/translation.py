"""CycleGAN and GauGAN, as keras.io has them: images made of other images."""

import functools

import keras
import tensorflow as tf
from keras import layers, ops

from tests.keras_examples.example import Example, images, labels, update

# --- CycleGAN


class ReflectionPadding2D(layers.Layer):
    """Pads images by their own mirrored borders."""

    def __init__(self, padding=(1, 1), **options):
        super().__init__(**options)
        self.padding = tuple(padding)

    def call(self, x):
        height, width = self.padding
        return ops.pad(x, [[0, 0], [height] * 2, [width] * 2, [0, 0]], mode="reflect")


def normed(x, activation=None, slope=None):
    x = layers.GroupNormalization(groups=-1)(x)
    if slope is not None:
        return layers.LeakyReLU(slope)(x)
    return activation(x) if activation else x


def residual_block(x, activation):
    width = x.shape[-1]
    y = layers.Conv2D(width, 3, use_bias=False)(ReflectionPadding2D()(x))
    y = layers.Conv2D(width, 3, use_bias=False)(ReflectionPadding2D()(normed(y, activation)))
    return layers.add([x, normed(y)])


def resnet_generator(name):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 7, use_bias=False)(ReflectionPadding2D((3, 3))(image))
    x = normed(x, layers.Activation("relu"))
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x)
    x = normed(x, layers.Activation("relu"))
    for _ in range(2):
        x = residual_block(x, layers.Activation("relu"))
    x = layers.Conv2DTranspose(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = normed(x, layers.Activation("relu"))
    x = layers.Conv2D(3, 7)(ReflectionPadding2D((3, 3))(x))
    return keras.Model(image, layers.Activation("tanh")(x), name=name)


def patch_discriminator(name):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 4, strides=2, padding="same")(image)
    x = layers.LeakyReLU(0.2)(x)
    x = layers.Conv2D(12, 4, strides=2, padding="same", use_bias=False)(x)
    x = normed(x, slope=0.2)
    return keras.Model(image, layers.Conv2D(1, 4, padding="same")(x), name=name)


class CycleGan(keras.Model):
    lambda_cycle, lambda_identity = 10.0, 0.5

    def __init__(self, gen_G, gen_F, disc_X, disc_Y):
        super().__init__()
        self.gen_G = gen_G
        self.gen_F = gen_F
        self.disc_X = disc_X
        self.disc_Y = disc_Y

    def call(self, inputs):
        return self.disc_X(inputs), self.disc_Y(inputs), self.gen_G(inputs), self.gen_F(inputs)

    def compile(self, gen_G_optimizer, gen_F_optimizer, disc_X_optimizer, disc_Y_optimizer):
        super().compile()
        self.gen_G_optimizer = gen_G_optimizer
        self.gen_F_optimizer = gen_F_optimizer
        self.disc_X_optimizer = disc_X_optimizer
        self.disc_Y_optimizer = disc_Y_optimizer
        self.cycle_loss_fn = self.identity_loss_fn = keras.losses.MeanAbsoluteError()
        self.adversarial = keras.losses.MeanSquaredError()

    def train_step(self, batch_data):
        real_x, real_y = batch_data
        mse = self.adversarial
        to_y, to_x = (functools.partial(each, training=True) for each in (self.gen_G, self.gen_F))
        with tf.GradientTape(persistent=True) as tape:
            fake_y, fake_x = to_y(real_x), to_x(real_y)
            cycled_x, cycled_y = to_x(fake_y), to_y(fake_x)
            same_x, same_y = to_x(real_x), to_y(real_y)
            losses = {}
            for key, network, fake, real, others in (
                ("G", self.disc_Y, fake_y, real_y, (cycled_y, same_y)),
                ("F", self.disc_X, fake_x, real_x, (cycled_x, same_x)),
            ):
                of_real, of_fake = (network(each, training=True) for each in (real, fake))
                cycle, identity = (self.cycle_loss_fn(real, other) for other in others)
                losses[key] = mse(ops.ones_like(of_fake), of_fake)
                losses[key] += self.lambda_cycle * (cycle + self.lambda_identity * identity)
                losses[f"D_of_{key}"] = 0.5 * (
                    mse(ops.ones_like(of_real), of_real) + mse(ops.zeros_like(of_fake), of_fake)
                )
        for optimizer, key, network in (
            (self.gen_G_optimizer, "G", self.gen_G),
            (self.gen_F_optimizer, "F", self.gen_F),
            (self.disc_X_optimizer, "D_of_F", self.disc_X),
            (self.disc_Y_optimizer, "D_of_G", self.disc_Y),
        ):
            update(optimizer, tape, losses[key], network.trainable_variables)
        return {f"{key}_loss": loss for key, loss in losses.items()}


def cycle_gan_networks():
    return {
        **{name: resnet_generator(name) for name in ("gen_G", "gen_F")},
        **{name: patch_discriminator(name) for name in ("disc_X", "disc_Y")},
    }


def cycle_gan(**networks):
    model = CycleGan(**networks)
    model.compile(*(keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(4)))
    return model


# --- GauGAN

CODE, NUM_CLASSES = 6, 3


class SPADE(layers.Layer):
    """Normalises features, and scales and shifts them by what a map of classes says."""

    def __init__(self, filters, epsilon=1e-5, **options):
        super().__init__(**options)
        self.epsilon = epsilon
        self.conv = layers.Conv2D(8, 3, padding="same", activation="relu")
        self.conv_gamma = layers.Conv2D(filters, 3, padding="same")
        self.conv_beta = layers.Conv2D(filters, 3, padding="same")

    def build(self, input_shape):
        self.resize_shape = input_shape[1:3]

    def call(self, features, classes):
        classes = ops.image.resize(classes, self.resize_shape, interpolation="nearest")
        x = self.conv(classes)
        mean, variance = ops.moments(features, axes=(0, 1, 2), keepdims=True)
        normalized = (features - mean) / ops.sqrt(variance + self.epsilon)
        return self.conv_gamma(x) * normalized + self.conv_beta(x)


class SpadeBlock(layers.Layer):
    def __init__(self, filters, **options):
        super().__init__(**options)
        self.filters = filters

    def build(self, input_shape):
        width = input_shape[-1]
        self.spade_1, self.spade_2 = SPADE(width), SPADE(self.filters)
        self.conv_1 = layers.Conv2D(self.filters, 3, padding="same")
        self.conv_2 = layers.Conv2D(self.filters, 3, padding="same")
        self.learned_skip = width != self.filters
        if self.learned_skip:
            self.spade_3 = SPADE(width)
            self.conv_3 = layers.Conv2D(self.filters, 3, padding="same")

    def call(self, features, classes):
        x = self.conv_1(ops.leaky_relu(self.spade_1(features, classes), 0.2))
        x = self.conv_2(ops.leaky_relu(self.spade_2(x, classes), 0.2))
        if not self.learned_skip:
            return features + x
        return self.conv_3(ops.leaky_relu(self.spade_3(features, classes), 0.2)) + x


class GaussianSampler(layers.Layer):
    def __init__(self, latent_dim, **options):
        super().__init__(**options)
        self.latent_dim = latent_dim
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        means, log_variances = inputs
        noise = keras.random.normal(ops.shape(means), seed=self.seed_generator)
        return means + ops.exp(0.5 * log_variances) * noise


def gau_generator():
    code, classes = keras.Input((CODE,)), keras.Input((8, 8, NUM_CLASSES))
    x = layers.Reshape((2, 2, 12))(layers.Dense(48)(code))
    for width in (12, 8):
        x = layers.UpSampling2D((2, 2))(SpadeBlock(width)(x, classes))
    x = layers.Conv2D(3, 4, padding="same")(layers.LeakyReLU(0.2)(x))
    return keras.Model([code, classes], layers.Activation("tanh")(x), name="generator")


def downsampled(x, width, norm=True):
    x = layers.Conv2D(width, 3, strides=2, padding="same", use_bias=False)(x)
    return layers.LeakyReLU(0.2)(layers.GroupNormalization(groups=-1)(x) if norm else x)


def gau_encoder():
    image = keras.Input((8, 8, 3))
    x = downsampled(downsampled(image, 8, norm=False), 12)
    x = layers.Flatten()(x)
    heads = [layers.Dense(CODE, name=name)(x) for name in ("mean", "variance")]
    return keras.Model(image, heads, name="encoder")


def gau_discriminator():
    first, second = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    x1 = downsampled(layers.Concatenate()([first, second]), 8, norm=False)
    x2 = downsampled(x1, 12)
    verdict = layers.Conv2D(1, 4, padding="same")(x2)
    return keras.Model([first, second], [x1, x2, verdict], name="discriminator")


class GauGAN(keras.Model):
    def __init__(self, generator, discriminator, encoder):
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.encoder = encoder
        self.sampler = GaussianSampler(CODE)
        self.combined_model = self.build_combined_generator()

    def build_combined_generator(self):
        self.discriminator.trainable = False
        classes, image = keras.Input((8, 8, NUM_CLASSES)), keras.Input((8, 8, 3))
        code = keras.Input((CODE,))
        made = self.generator([code, classes])
        outputs = [*self.discriminator([image, made]), made]
        return keras.Model([code, classes, image], outputs, name="combined")

    def compile(self, gen_lr=1e-4, disc_lr=4e-4):
        super().compile()
        self.generator_optimizer = keras.optimizers.Adam(gen_lr, beta_1=0.0, beta_2=0.999)
        self.discriminator_optimizer = keras.optimizers.Adam(disc_lr, beta_1=0.0, beta_2=0.999)
        self.disc_loss_tracker = keras.metrics.Mean(name="disc_loss")
        self.gen_loss_tracker = keras.metrics.Mean(name="gen_loss")

    @property
    def metrics(self):
        return [self.disc_loss_tracker, self.gen_loss_tracker]

    def train_discriminator(self, code, picture, real, classes):
        fake = self.generator([code, classes])
        with tf.GradientTape() as tape:
            of_fake = self.discriminator([picture, fake])[-1]
            of_real = self.discriminator([picture, real])[-1]
            hinges = ops.relu(1.0 - of_real), ops.relu(1.0 + of_fake)
            loss = 0.5 * sum(ops.mean(hinge) for hinge in hinges)
        self.discriminator.trainable = True
        update(self.discriminator_optimizer, tape, loss, self.discriminator.trainable_variables)
        return loss

    def train_generator(self, picture, real, classes):
        self.discriminator.trainable = False
        with tf.GradientTape() as tape:
            means, log_variances = moments = self.encoder(real)
            *_, verdict, fake = self.combined_model([self.sampler(moments), classes, picture])
            seen = [self.discriminator([picture, each])[:-1] for each in (real, fake)]
            loss = 10.0 * sum(ops.mean(abs(a - b)) for a, b in zip(*seen, strict=True))
            loss -= ops.mean(verdict)
            spread = 1 + log_variances - means**2 - ops.exp(log_variances)
            loss -= 0.1 * 0.5 * ops.mean(ops.sum(spread, axis=1))
        weights = [*self.combined_model.trainable_variables, *self.encoder.trainable_variables]
        update(self.generator_optimizer, tape, loss, weights)
        return loss

    def train_step(self, data):
        picture, real, classes = data
        code = self.sampler(self.encoder(real))
        d_loss = self.train_discriminator(code, picture, real, classes)
        g_loss = self.train_generator(picture, real, classes)
        self.disc_loss_tracker.update_state(d_loss)
        self.gen_loss_tracker.update_state(g_loss)
        return {metric.name: metric.result() for metric in self.metrics}


def gau_gan(**networks):
    model = GauGAN(**networks)
    model.compile()
    return model


EXAMPLES = {
    "CycleGAN": Example(
        cycle_gan_networks,
        cycle_gan,
        (images(16, 8, 8, 3), images(16, 8, 8, 3, seed=1)),
    ),
    "GauGAN": Example(
        lambda: {
            "generator": gau_generator(),
            "discriminator": gau_discriminator(),
            "encoder": gau_encoder(),
        },
        gau_gan,
        (
            images(16, 8, 8, 3),
            images(16, 8, 8, 3, seed=1),
            labels(16, 8, 8, num_classes=NUM_CLASSES),
        ),
    ),
}
