"""CycleGAN: translation between two domains of images of which no pairs are known."""

import keras
import tensorflow as tf
from keras import ops

from tf_tickets.costs.flops import count_flops
from tf_tickets.errors import SettingError, check_at_least, check_count
from tf_tickets.keras_internals import copy_with_state
from tf_tickets.lab.models.families import CYCLE_GAN
from tf_tickets.lab.models.families.base import (
    ImageModel,
    apply_gradients,
    images_only,
    scaling_as,
)
from tf_tickets.lab.models.families.replay import ReplayBuffer

DIRECTIONS = ("a2b", "b2a")
_ENLARGED = 1.12


@keras.saving.register_keras_serializable("tf_tickets")
class CycleGAN(ImageModel):
    """Two generators that translate between domains A and B, and a discriminator for each domain.

    `fit` and `evaluate` take images of both domains on top of each other, (batch, height, width,
    2 channels): the first half of the channels is an image of A, the second one of B. No loss looks
    at both, so which are together does not matter.

    One training step updates the generators once, by one optimizer, and then the discriminator of A
    and that of B, each by its own. The generators minimise

        adversarial + cycle_weight * cycle + identity_weight * identity

    in which the adversarial loss is the squared distance of the verdicts from 1, the cycle loss how
    far an image is from what comes back of it, and the identity loss how far a generator is from
    leaving an image of its own target domain as it is, both as mean absolute differences; each is
    the sum over the two directions. A discriminator learns that real images are 1, and that those
    of its `ReplayBuffer` are 0.

    Args:
        generator_a2b, generator_b2a: `keras.Model` from images of one domain to the other.
        discriminator_a, discriminator_b: `keras.Model` from images to verdicts (batch, 1).
        cycle_weight, identity_weight: as above.
        replay_size: images that each discriminator's buffer holds; 0 for none.
        augment: whether images to train on are enlarged by 1.12, cropped and mirrored at random.
        seed: of the draws from the buffers; by default it follows `keras.utils.set_random_seed`.

    Raises:
        SettingError: if an argument has a value that cannot work.

    Source: Zhu et al., 2017, arXiv:1703.10593; least squares: Mao et al., 2017, arXiv:1611.04076.
    """

    component_names = CYCLE_GAN.components
    loss_names = ("generator_loss", "discriminator_loss", "cycle_loss", "identity_loss")

    def __init__(
        self,
        generator_a2b,
        generator_b2a,
        discriminator_a,
        discriminator_b,
        cycle_weight: float = 10.0,
        identity_weight: float = 5.0,
        replay_size: int = 50,
        augment: bool = False,
        seed: int | None = None,
        **kwargs,
    ):
        check_at_least("cycle_weight", cycle_weight, 0)
        check_at_least("identity_weight", identity_weight, 0)
        check_count("replay_size", replay_size, least=0)
        super().__init__(generator_a2b, generator_b2a, discriminator_a, discriminator_b, **kwargs)
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight
        self.replay_size = replay_size
        self.augment = augment
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name="seed_generator")
        self.replays = [
            ReplayBuffer(replay_size, network.input_shape[1:], name=f"replay_{domain}")
            for domain, network in zip("ab", (discriminator_a, discriminator_b), strict=True)
        ]

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """That of both generators, which is also `optimizer`, and one for each discriminator."""
        return [self.optimizer, *self.discriminator_optimizers]

    def call(self, images, training=False):
        """Return the translations of both halves, on top of each other as B and A."""
        return ops.concatenate(self._translated(images, training), axis=-1)

    def translate(self, images, direction: str):
        """Return float32 images of the other domain, in inference mode.

        Args:
            images: of one domain, (batch, height, width, channels) in [-1, 1].
            direction: "a2b" or "b2a".
        """
        return self.components[f"generator_{direction}"](images, training=False)

    def inference_model(self) -> keras.Model:
        """Return a model whose components, `a2b` and `b2a`, are copies of the generators.

        It takes images {"a": ..., "b": ...}, and returns {"a2b": ..., "b2a": ...}.
        """
        copies = [copy_with_state(each) for each in (self.generator_a2b, self.generator_b2a)]
        inputs = {
            domain: keras.Input(network.input_shape[1:], name=domain)
            for domain, network in zip("ab", copies, strict=True)
        }
        translators = dict(zip(DIRECTIONS, copies, strict=True))
        outputs = {name: network(inputs[name[0]]) for name, network in translators.items()}
        made = keras.Model(inputs, outputs, name="translation")
        made.components = translators
        return made

    @property
    def scoring_losses(self):
        """The variables and the loss of the generators, and of each discriminator."""

        def of_discriminator(number):
            def loss(images):
                real, fake = _by_domain(images, self._translated(images))[number]
                fake = ops.stop_gradient(fake)
                return self._discriminator_loss(self._discriminators[number], real, fake)

            return loss

        def of_generators(images):
            return self._objective(self._generator_losses(images)[0])

        return [
            (self._generator_variables, of_generators),
            *(
                (network.trainable_variables, of_discriminator(number))
                for number, network in enumerate(self._discriminators)
            ),
        ]

    def step_flops(self) -> int:
        """Return the FLOPs of one training step, for each image of either domain.

        Each generator makes a translation, a way back and an identity, and learns from all three:
        3 (F + B), with F and B for a forward and a backward pass. A discriminator gives the
        gradient of its input once, which takes 2 F, and learns of a real and a replayed image, 2 (F
        + B).
        """
        counts = [count_flops(network) for network in self.components.values()]
        flops = sum(3 * (each.forward + each.backward) for each in counts[:2])
        return flops + sum(4 * each.forward + 2 * each.backward for each in counts[2:])

    def settle(self) -> None:
        """Empty the buffers, which hold what other weights have made."""
        for replay in self.replays:
            replay.empty()

    def compile(self, *optimizers, **options):
        """Make the model ready to train.

        Args:
            *optimizers: Keras optimizers or their names: of both generators, of the discriminator
                of A, and of that of B. By default Adam at 2e-4 with beta_1 0.5.
            **options: as `ImageModel.compile` takes them.

        Raises:
            SettingError: if these are not three different ones, or replicas are to train.
        """
        optimizers = optimizers or [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(3)]
        given = [keras.optimizers.get(each) for each in optimizers]
        if len({id(each) for each in given}) != 3:
            raise SettingError(
                "A CycleGAN needs three optimizers: one for both generators, and one for each "
                f"discriminator. Received: {len({id(each) for each in given})}."
            )
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise SettingError(
                "A CycleGAN trains on one device: its replay buffers hold images one after "
                "another. Use the strategy none."
            )
        super().compile(given[0], **options)
        self.discriminator_optimizers = [scaling_as(self.optimizer, each) for each in given[1:]]
        self.optimizer.build(self._generator_variables)
        parts = zip(self.discriminator_optimizers, self._discriminators, strict=True)
        for optimizer, network in parts:
            optimizer.build(network.trainable_variables)

    def train_step(self, data):
        """Update all four networks on one batch; return the running means of the losses."""
        images = images_only(data)
        if self.augment:
            halves = (augmented(half, self.seed_generator) for half in split_domains(images))
            images = ops.concatenate(list(halves), axis=-1)
        with tf.GradientTape() as tape:
            losses, translated = self._generator_losses(images)
            total = self.optimizer.scale_loss(self._objective(losses))
        apply_gradients(self.optimizer, tape, total, self._generator_variables)
        losses["discriminator_loss"] = sum(
            self._train_discriminator(number, real, fake)
            for number, (real, fake) in enumerate(_by_domain(images, translated))
        )
        return self.report_losses(losses, images)

    def test_step(self, data):
        """Return the running means of the losses on one batch, in inference mode."""
        images = images_only(data)
        losses, translated = self._generator_losses(images, training=False)
        losses["discriminator_loss"] = sum(
            self._discriminator_loss(network, real, fake, training=False)
            for network, (real, fake) in zip(
                self._discriminators, _by_domain(images, translated), strict=True
            )
        )
        return self.report_losses(losses, images)

    @property
    def _discriminators(self):
        return self.discriminator_a, self.discriminator_b

    @property
    def _generator_variables(self):
        return [
            *self.generator_a2b.trainable_variables,
            *self.generator_b2a.trainable_variables,
        ]

    def _translated(self, images, training=True):
        a, b = split_domains(images)
        return self.generator_a2b(a, training=training), self.generator_b2a(b, training=training)

    def _generator_losses(self, images, training=True):
        """Return the three losses of the generators by name, and the translations."""
        a, b = split_domains(images)
        fake_b, fake_a = self._translated(images, training)
        verdicts = [
            self.discriminator_a(fake_a, training=training),
            self.discriminator_b(fake_b, training=training),
        ]
        back_a = self.generator_b2a(fake_b, training=training)
        back_b = self.generator_a2b(fake_a, training=training)
        same_a = self.generator_b2a(a, training=training)
        same_b = self.generator_a2b(b, training=training)
        losses = {
            "generator_loss": sum(ops.mean(ops.square(each - 1.0)) for each in verdicts),
            "cycle_loss": _distance(back_a, a) + _distance(back_b, b),
            "identity_loss": _distance(same_a, a) + _distance(same_b, b),
        }
        return losses, (fake_b, fake_a)

    def _objective(self, losses):
        regularizers = [*self.generator_a2b.losses, *self.generator_b2a.losses]
        return (
            losses["generator_loss"]
            + self.cycle_weight * losses["cycle_loss"]
            + self.identity_weight * losses["identity_loss"]
            + sum(regularizers)
        )

    def _train_discriminator(self, number, real, fake):
        network, optimizer = self._discriminators[number], self.discriminator_optimizers[number]
        shown = self.replays[number].exchange(fake, self.seed_generator)
        with tf.GradientTape() as tape:
            loss = self._discriminator_loss(network, real, shown)
            total = optimizer.scale_loss(loss + sum(network.losses))
        apply_gradients(optimizer, tape, total, network.trainable_variables)
        return loss

    def _discriminator_loss(self, network, real, fake, training=True):
        real, fake = network(real, training=training), network(fake, training=training)
        return 0.5 * (ops.mean(ops.square(real - 1.0)) + ops.mean(ops.square(fake)))

    def save_own_variables(self, store):
        """Save the state of the draws; all weights belong to the networks and the buffers."""
        store["seed_generator_state"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        """Restore what `save_own_variables` saved."""
        self.seed_generator.state.assign(store["seed_generator_state"])

    def get_config(self):
        """Return what makes the model again."""
        return {
            **super().get_config(),
            "cycle_weight": self.cycle_weight,
            "identity_weight": self.identity_weight,
            "replay_size": self.replay_size,
            "augment": self.augment,
            "seed": self.seed,
        }

    def get_compile_config(self):
        """Return how the model was compiled, less `jit_compile`: the loading machine decides."""
        config = super().get_compile_config()
        if not self.compiled:
            return config
        optimizers = [keras.saving.serialize_keras_object(each) for each in self.optimizers]
        return {**config, "optimizer": optimizers}

    def compile_from_config(self, config):
        """Compile as `get_compile_config` says, which builds all optimizers."""
        config = keras.saving.deserialize_keras_object(config)
        self.compile(*config.pop("optimizer"), **config)


def split_domains(images):
    """Return the images of A and those of B, which lie on top of each other.

    Args:
        images: (batch, height, width, 2 channels).
    """
    return ops.split(images, 2, axis=-1)


def augmented(images, seed: keras.random.SeedGenerator):
    """Return a random crop of each image, enlarged by 1.12, and mirrored with a chance of one half.

    Args:
        images: (batch, height, width, channels).
        seed: of the draws.
    """
    count = tf.shape(images)[0]
    corners = keras.random.uniform((count, 2), 0.0, 1.0 - 1.0 / _ENLARGED, seed=seed)
    top, left = tf.unstack(corners, axis=1)
    bottom, right = top + 1.0 / _ENLARGED, left + 1.0 / _ENLARGED
    is_mirrored = keras.random.uniform((count,), seed=seed) < 0.5
    left, right = tf.where(is_mirrored, right, left), tf.where(is_mirrored, left, right)
    boxes = tf.stack([top, left, bottom, right], axis=1)
    cropped = tf.image.crop_and_resize(images, boxes, tf.range(count), images.shape[1:3])
    return tf.ensure_shape(cropped, images.shape)


def _by_domain(images, translated):
    """Return (real, fake) images of A, and those of B; translations are those of A first."""
    (a, b), (fake_b, fake_a) = split_domains(images), translated
    return (a, fake_a), (b, fake_b)


def _distance(images, others):
    return ops.mean(ops.abs(images - others))
