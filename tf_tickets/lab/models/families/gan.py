"""Generative adversarial networks: two networks, two optimizers, one step."""

import functools

import keras
import tensorflow as tf
from keras import ops

from tf_tickets.costs.flops import count_flops
from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import copy_with_state, layers_of, retrace
from tf_tickets.lab.models.families import GAN
from tf_tickets.lab.models.families.base import (
    ImageModel,
    Sampler,
    apply_gradients,
    draw,
    equal_parts,
    images_only,
    scaling_as,
)
from tf_tickets.lab.models.families.gan_arguments import check_arguments, check_counts
from tf_tickets.lab.models.families.gan_penalties import bernoulli_divergence, gradient_penalty
from tf_tickets.lab.models.gan_losses import LOSSES
from tf_tickets.lab.models.spectral import SpectralConv2D


@keras.saving.register_keras_serializable("tf_tickets")
class GenerativeAdversarialNetwork(Sampler, ImageModel):
    """A generator and a discriminator with an optimizer each.

    One training step updates the discriminator `critic_steps` times, each time on images of its
    own, and then the generator once: a batch is split in so many equal parts, and one that cannot
    be, as an epoch's last, is filled up with its first images. The generator's pass is shared by
    its own update and the last of the discriminator's, and its update computes no gradients of the
    discriminator's weights.

    `fit` and `evaluate` report the losses alone, without penalties, regularisers and what a teacher
    adds; `evaluate` of the images that `sample` makes, by averages if there are any.

    Spectrally normalised layers take one power step before each update of the discriminator. Noise
    comes from `self.seed_generator`, whose state is a variable of the model, so a snapshot repeats
    it. `evaluate` draws noise of its own, the same each time.

    Args:
        generator: `keras.Model` from codes (batch, latent_dim) to float32 images.
        discriminator: `keras.Model` from images to float32 logits (batch, 1).
        loss: a name in `gan_losses.LOSSES`, such as "non_saturating", "hinge" or "wasserstein".
        critic_steps: updates of the discriminator per update of the generator (n_critic).
        clip_weights: bound to which the discriminator's weights are clipped after each update,
            after what masks remove is zero; None for no clipping.
        gradient_penalty: weight of the squared distance from 1 of the norm of the discriminator's
            gradient, between real and generated images; 0 for none.
        ema_decay: of the moving average of the generator's weights by which it samples; None to
            sample by the weights themselves. Moving statistics are not averaged again. The average
            starts anew with a new optimizer, from the weights after the first update.
        generator_batch_factor: codes of the generator's update, for each image of one of the
            discriminator's; from 2 on it draws codes of its own.
        seed: of the training noise; by default it follows `keras.utils.set_random_seed`.

    Raises:
        SettingError: if an argument has a value that cannot work.

    Source: Goodfellow et al., 2014, arXiv:1406.2661; hinge: Miyato et al., 2018, arXiv:1802.05957;
    Wasserstein and clipping: Arjovsky et al., 2017, arXiv:1701.07875; gradient penalty: Gulrajani
    et al., 2017, arXiv:1704.00028; averaging: Yazici et al., 2019, arXiv:1806.04498.
    """

    component_names = GAN.components
    loss_names = ("generator_loss", "discriminator_loss")
    decoding_component = GAN.maker

    def __init__(
        self,
        generator,
        discriminator,
        loss: str = "non_saturating",
        critic_steps: int = 1,
        clip_weights: float | None = None,
        gradient_penalty: float = 0.0,
        ema_decay: float | None = None,
        generator_batch_factor: int = 1,
        seed: int | None = None,
        **kwargs,
    ):
        check_arguments(loss, clip_weights, gradient_penalty, ema_decay)
        check_counts(critic_steps=critic_steps, generator_batch_factor=generator_batch_factor)
        super().__init__(generator, discriminator, **kwargs)
        self.loss_name = loss
        self.critic_steps = critic_steps
        self.clip_weights = clip_weights
        self.gradient_penalty = gradient_penalty
        self.ema_decay = ema_decay
        self.generator_batch_factor = generator_batch_factor
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed, name="seed_generator")
        self._discriminator_loss = LOSSES[loss].discriminator
        self._generator_loss = LOSSES[loss].generator
        self._teacher = _Untracked(None)
        averaged = [] if ema_decay is None else generator.trainable_variables
        self._average_variables = [self._average_of(variable) for variable in averaged]

    def _average_of(self, variable):
        average = self.add_weight(
            shape=variable.shape,
            dtype=variable.dtype,
            trainable=False,
            name=f"average_{variable.path.replace('/', '_')}",
        )
        average.assign(variable)
        return average

    @property
    def averages(self) -> list[tuple]:
        """Pairs of a generator's weight and its moving average, which masks have to hold too."""
        if not self._average_variables:
            return []
        return list(zip(self.generator.trainable_variables, self._average_variables, strict=True))

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The generator's optimizer, which is also `optimizer`, and the discriminator's."""
        return [self.optimizer, self.discriminator_optimizer]

    def call(self, codes, training=False):
        """Return images generated from codes (batch, latent_dim) by the weights themselves."""
        return self.generator(codes, training=training)

    def decode(self, codes):
        """Return images generated in inference mode, by averages if there are any."""
        averages = [(weight, average.value) for weight, average in self.averages]
        with keras.StatelessScope(averages):
            return self.generator(codes, training=False)

    def inference_model(self) -> keras.Model:
        """Return a copy of the generator, of the averages of its weights if there are any."""
        copy = copy_with_state(self.generator)
        for weight, average in zip(copy.trainable_variables, self._average_variables, strict=False):
            weight.assign(average)
        return copy

    @property
    def scoring_losses(self):
        """Each network's variables and its own loss.

        Together the two losses would cancel in part, as they want opposite things of the generator.
        """
        return [
            (self.generator.trainable_variables, self._loss_of_generator),
            (self.discriminator.trainable_variables, self._loss_of_discriminator),
        ]

    def step_flops(self) -> int:
        """Return the FLOPs of one training step, for each image of one update.

        With F and B for a forward and a backward pass, each of the c updates of the discriminator
        takes F_G + 2 (F_D + B_D). The generator's update takes 2 F_D + B_G: its images are those of
        the last update before, and the discriminator gives the gradient of its input, none of its
        weights. If B is 2 F this makes (c + 2) F_G + (6 c + 2) F_D. A usual convention has
        (c + 3) F_G + (6 c + 3) F_D, with new images for the generator and all of the
        discriminator's gradients, which are not computed here. A gradient penalty adds 6 F_D to
        each of the c updates: a forward pass and its gradient, and twice as much to learn from
        both. With a batch of its own, the generator's update takes F_G too, and all of it as often
        as its batch is larger. What a teacher takes is not counted.
        """
        generator, discriminator = map(count_flops, (self.generator, self.discriminator))
        # The gradient of its input alone takes a network as much as its forward pass.
        verdict = 2 * discriminator.forward
        critic_step = generator.forward + 2 * (discriminator.forward + discriminator.backward)
        if self.gradient_penalty:
            critic_step += 3 * verdict
        factor = self.generator_batch_factor
        update = verdict + generator.backward + (generator.forward if factor > 1 else 0)
        return self.critic_steps * critic_step + factor * update

    def settle(self) -> None:
        """Bring what follows the weights up to them, after these were set from outside."""
        for layer in self._spectral_layers():
            layer.settle()

    def distill(self, teacher: keras.Model | None) -> None:
        """Let a trained discriminator teach this one from the next compiled step on.

        The discriminator's loss then has a second term: the Kullback-Leibler divergence of its
        verdict from the teacher's, both being probabilities of "real", on real and on generated
        images. It is halved, as in the authors' code, which averages over both outcomes.

        Args:
            teacher: a discriminator, which is not trained or saved with this model; None for none.

        Raises:
            SettingError: if the teacher is not a model, or the loss has no probability of "real".

        Source: Chen et al., 2021, arXiv:2106.00134.
        """
        if teacher is not None and not isinstance(teacher, keras.Model):
            raise SettingError(f"`teacher` must be a keras.Model or None. Received: {teacher!r}.")
        if teacher is not None and not LOSSES[self.loss_name].gives_probabilities:
            kind = self.loss_name.replace("_", " ").capitalize()
            raise SettingError(
                f"{kind} critics can neither teach nor be taught: their verdicts are not "
                "probabilities. Choose another loss."
            )
        if teacher is self._teacher.value:
            return
        self._teacher = _Untracked(teacher)
        retrace(self)

    def compile(self, generator_optimizer=None, discriminator_optimizer=None, **options):
        """Make the model ready to train.

        Args:
            generator_optimizer, discriminator_optimizer: Keras optimizers or their names; by
                default Adam at 2e-4 with beta_1 0.5 (Radford et al., 2016, arXiv:1511.06434).
            **options: as `ImageModel.compile` takes them.

        Raises:
            SettingError: if both are one object, whose state can be of one network only.
        """
        of_generator, of_discriminator = map(
            _optimizer, (generator_optimizer, discriminator_optimizer)
        )
        if of_generator is of_discriminator:
            raise SettingError(
                "The generator and the discriminator need an optimizer each. Received the same "
                f"{type(of_generator).__name__} twice."
            )
        super().compile(of_generator, **options)
        self.discriminator_optimizer = scaling_as(self.optimizer, of_discriminator)
        self.optimizer.build(self.generator.trainable_variables)
        self.discriminator_optimizer.build(self.discriminator.trainable_variables)

    def train_step(self, data):
        """Update both networks on one batch; return the running means of the losses."""
        images = images_only(data)
        parts = equal_parts(images, self.critic_steps)
        shared = self.generator_batch_factor == 1
        train = self._train_discriminator
        # As a function it is traced once, and not for each part again; but replicas that talk to
        # each other may not do so from within a function of their own.
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        if alone and not self.run_eagerly:
            train = tf.function(train, jit_compile=False)
        for part in parts[:-1] if shared else parts:
            discriminator_loss = train(part)
        with tf.GradientTape() as tape:
            fakes = self._generate(parts[-1], self.generator_batch_factor)
            if shared:
                with tape.stop_recording():
                    discriminator_loss = self._update_discriminator(parts[-1], fakes)
            generator_loss = self._generator_loss(self.discriminator(fakes, training=True))
            total = generator_loss + sum(self.generator.losses)
            scaled = self._scaled(self.optimizer, total)
        apply_gradients(self.optimizer, tape, scaled, self.generator.trainable_variables)
        self._update_averages()
        losses = {"generator_loss": generator_loss, "discriminator_loss": discriminator_loss}
        return self.report_losses(losses, images)

    def test_step(self, data):
        """Return the running means of the losses on one batch, in inference mode."""
        images = images_only(data)
        # Seeded by how many images the pass has seen: other codes in each batch, none by chance.
        seen = ops.cast(self._loss_means[0].count, "int32")
        shape = (ops.shape(images)[0], self.latent_dim)
        codes = tf.random.stateless_normal(shape, seed=tf.stack([0, seen]))
        fake = self.discriminator(self.decode(codes), training=False)
        real = self.discriminator(images, training=False)
        losses = {
            "generator_loss": self._generator_loss(fake),
            "discriminator_loss": self._discriminator_loss(real, fake),
        }
        return self.report_losses(losses, images)

    def _generate(self, images, times=1):
        """Return as many generated images, or so many times as many, in training mode."""
        shape = (times * ops.shape(images)[0], self.latent_dim)
        codes = draw(keras.random.normal, shape, self.seed_generator)
        return self.generator(codes, training=True)

    def _train_discriminator(self, images):
        return self._update_discriminator(images, self._generate(images))

    def _update_discriminator(self, images, fakes):
        """Update the discriminator on one part of a batch; return the loss alone."""
        for layer in self._spectral_layers():
            layer.power_step()
        with tf.GradientTape() as tape:
            loss, total = self._discriminator_losses(images, fakes)
            scaled = self._scaled(self.discriminator_optimizer, total)
        variables = self.discriminator.trainable_variables
        apply_gradients(self.discriminator_optimizer, tape, scaled, variables)
        if self.clip_weights is not None:
            for variable in variables:
                variable.assign(ops.clip(variable, -self.clip_weights, self.clip_weights))
        return loss

    def _discriminator_losses(self, images, fakes):
        """Return the discriminator's loss alone, and all that it minimises."""
        real, fake = (self.discriminator(x, training=True) for x in (images, fakes))
        loss = self._discriminator_loss(real, fake)
        total = loss + sum(self.discriminator.losses)
        if self.gradient_penalty:
            total += self.gradient_penalty * self._penalty(images, fakes)
        if self._teacher.value is not None:
            total += self._distillation(ops.concatenate([real, fake]), images, fakes)
        return loss, total

    def _loss_of_discriminator(self, images):
        return self._discriminator_losses(images, ops.stop_gradient(self._generate(images)))[1]

    def _loss_of_generator(self, images):
        verdicts = self.discriminator(self._generate(images), training=True)
        return self._generator_loss(verdicts) + sum(self.generator.losses)

    def _penalty(self, images, fakes):
        """Return the mean squared distance from 1 of the gradient's norm, at points between."""
        shape = (ops.shape(images)[0], 1, 1, 1)
        share = draw(keras.random.uniform, shape, self.seed_generator)
        between = share * images + (1 - share) * fakes
        return gradient_penalty(functools.partial(self.discriminator, training=True), between)

    def _distillation(self, logits, images, fakes):
        taught = self._teacher.value(ops.concatenate([images, fakes]), training=False)
        return 0.5 * ops.mean(bernoulli_divergence(taught, logits))

    def _update_averages(self):
        # A new optimizer means new weights: the average starts from these.
        started = ops.cast(self.optimizer.iterations > 1, "float32")
        for weight, average in self.averages:
            decay = self.ema_decay * ops.cast(started, average.dtype)
            average.assign(decay * average + (1 - decay) * weight)

    def _scaled(self, optimizer, loss):
        # A distribution strategy sums the replicas' gradients.
        return optimizer.scale_loss(loss / tf.distribute.get_strategy().num_replicas_in_sync)

    def _spectral_layers(self):
        layers = layers_of(self.discriminator)
        return [layer for layer in layers if isinstance(layer, SpectralConv2D)]

    def save_own_variables(self, store):
        """Save the averages and the noise's state; the weights belong to the two networks."""
        store["seed_generator_state"] = ops.convert_to_numpy(self.seed_generator.state)
        for number, average in enumerate(self._average_variables):
            store[f"average_{number}"] = ops.convert_to_numpy(average)

    def load_own_variables(self, store):
        """Restore what `save_own_variables` saved."""
        self.seed_generator.state.assign(store["seed_generator_state"])
        for number, average in enumerate(self._average_variables):
            average.assign(store[f"average_{number}"])

    def get_config(self):
        """Return what makes the model again."""
        return {
            **super().get_config(),
            "loss": self.loss_name,
            "critic_steps": self.critic_steps,
            "clip_weights": self.clip_weights,
            "gradient_penalty": self.gradient_penalty,
            "ema_decay": self.ema_decay,
            "generator_batch_factor": self.generator_batch_factor,
            "seed": self.seed,
        }

    def get_compile_config(self):
        """Return how the model was compiled, less `jit_compile`: the loading machine decides."""
        config = super().get_compile_config()
        if not self.compiled:
            return config
        optimizer = keras.saving.serialize_keras_object(self.discriminator_optimizer)
        config["generator_optimizer"] = config.pop("optimizer")
        return {**config, "discriminator_optimizer": optimizer}

    def compile_from_config(self, config):
        """Compile as `get_compile_config` says, which builds both optimizers."""
        self.compile(**keras.saving.deserialize_keras_object(config))


class _Untracked:
    """Holds a model in a way that Keras does not take for a part of the one that holds this."""

    def __init__(self, value):
        self.value = value


def _optimizer(given):
    return keras.optimizers.get(given or keras.optimizers.Adam(2e-4, beta_1=0.5))
