"""What the image models have in common: named parts, reported losses, compiling, saving."""

import keras
import tensorflow as tf
from keras import ops

from tf_tickets.errors import SettingError


class ImageModel(keras.Model):
    """A model of images that is made of named networks and trained by a step of its own.

    `fit` and `evaluate` take images, float in [-1, 1] of shape (batch, height, width, channels);
    labels beside them are ignored.

    Subclasses name their networks in `component_names`, and what their steps report, averaged over
    an epoch, in `loss_names`.

    Args:
        *networks: one `keras.Model` for each of `component_names`, which becomes an attribute.
    """

    component_names = ()
    loss_names = ("loss",)

    def __init__(self, *networks: keras.Model, **kwargs):
        super().__init__(**kwargs)
        for name, network in zip(self.component_names, networks, strict=True):
            setattr(self, name, network)
        self._loss_means = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self.built = True  # its networks are, so there are weights to save and load

    @property
    def components(self) -> dict[str, keras.Model]:
        """The parts that can be pruned on their own, by name."""
        return {name: getattr(self, name) for name in self.component_names}

    def with_networks(self, **networks: keras.Model) -> "ImageModel":
        """Return an uncompiled model with the same options, made of other networks.

        Args:
            **networks: one for each of `component_names`.
        """
        return type(self)(**{**self.get_config(), **networks})

    @property
    def scoring_losses(self) -> list[tuple]:
        """Pairs of variables and the loss that says what they are worth before any training.

        Each loss is a function from a batch of images to a scalar, in training mode.
        """
        raise NotImplementedError

    @property
    def metrics(self):
        """The running means of the losses."""
        return self._loss_means

    def compile(
        self,
        optimizer,
        *,
        jit_compile: bool | str | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        auto_scale_loss: bool = True,
    ):
        """Make the model ready to train, as `keras.Model.compile` does; the loss is its own.

        Args:
            optimizer: Keras optimizer or its name.
            jit_compile: whether XLA compiles the step. By default Keras chooses on a GPU; on
                a CPU there is none, where XLA was measured to slow convolutions down.
            run_eagerly: as in Keras.
            steps_per_execution: as in Keras.
            auto_scale_loss: as in Keras.
        """
        if jit_compile is None:
            jit_compile = "auto" if tf.config.get_visible_devices("GPU") else False
        super().compile(
            optimizer=optimizer,
            jit_compile=jit_compile,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            auto_scale_loss=auto_scale_loss,
        )

    def report_losses(self, losses: dict, images) -> dict:
        """Add the losses of one batch to the running means, and return these."""
        batch_size = tf.shape(images)[0]  # a last, smaller batch counts for less
        for mean in self._loss_means:
            mean.update_state(losses[mean.name], sample_weight=batch_size)
        return {mean.name: mean.result() for mean in self._loss_means}

    def get_config(self):
        """Return what makes the model again, its networks included."""
        networks = {
            name: keras.saving.serialize_keras_object(network)
            for name, network in self.components.items()
        }
        return {**super().get_config(), **networks}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model that `get_config` described."""
        networks = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in cls.component_names
        }
        return cls(**{**config, **networks})

    def get_compile_config(self):
        """Return how the model was compiled, less `jit_compile`: the loading machine decides."""
        config = super().get_compile_config()
        kept = ("optimizer", "run_eagerly", "steps_per_execution")
        return {key: config[key] for key in kept if key in config}

    def compile_from_config(self, config):
        """Compile as `get_compile_config` says, with the optimizer ready to take its state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


def images_only(data):
    """Return the images of a batch, without their labels.

    Raises:
        SettingError: if there are sample weights.
    """
    images, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise SettingError("Image models take no sample or class weights; all images count alike.")
    return images


def scaling_as(first: keras.optimizers.Optimizer, other: keras.optimizers.Optimizer):
    """Return the other of a model's optimizers, wrapped to scale its loss if the first one does.

    `compile` wraps the first one alone, in 16 bits.
    """
    kind = keras.optimizers.LossScaleOptimizer
    return kind(other) if isinstance(first, kind) and not isinstance(other, kind) else other


def apply_gradients(optimizer, tape: tf.GradientTape, scaled_loss, variables) -> None:
    """Update variables by the gradient of a loss that `optimizer.scale_loss` has scaled."""
    gradients = tape.gradient(scaled_loss, variables)
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def equal_parts(images, num_parts: int) -> list:
    """Return a batch in equal parts, filled up with its first images if it cannot be split."""
    size = images.shape[0]
    if num_parts > 1 and (size is None or size % num_parts):
        count = tf.shape(images)[0]
        filled = -(-count // num_parts) * num_parts
        images = tf.gather(images, tf.range(filled) % count)
    return tf.split(images, num_parts)


def draw(distribution, shape, seed: keras.random.SeedGenerator):
    """Return random numbers for this replica's equal part of a batch.

    Keras gives all replicas of a distribution strategy the same numbers. Here each takes its part
    of those that a single device would draw for the whole batch.

    Args:
        distribution: `keras.random.normal` or `keras.random.uniform`.
        shape: of the numbers, the replica's part of the batch first.
        seed: the same generator in all replicas.
    """
    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return distribution(shape, seed=seed)
    part, *rest = shape
    drawn = distribution((part * replica.num_replicas_in_sync, *rest), seed=seed)
    return drawn[replica.replica_id_in_sync_group * part :][:part]


class Sampler:
    """What an image model needs to make images out of noise; comes before it among its bases.

    Subclasses name the network that does in `decoding_component`, and use it in `decode`.
    """

    decoding_component = ""

    @property
    def latent_dim(self) -> int:
        """How many numbers the latent code has."""
        return self.components[self.decoding_component].input_shape[-1]

    def decode(self, codes):
        """Return float32 images in [-1, 1] of codes (batch, latent_dim), in inference mode."""
        raise NotImplementedError

    def sample(self, num_images: int, seed: int, batch_size: int = 500):
        """Return images of z ~ N(0, I), as `decode` makes them.

        Args:
            num_images: how many.
            seed: decides them; the model's own noise is not touched.
            batch_size: how many are decoded at once, which bounds the memory used.

        Returns:
            A float32 tensor (num_images, height, width, channels) in [-1, 1].

        Raises:
            SettingError: if `num_images` is below 1.
        """
        if num_images < 1:
            raise SettingError(f"`num_images` must be at least 1. Received: {num_images}.")
        codes = keras.random.normal((num_images, self.latent_dim), seed=seed)
        starts = range(0, num_images, batch_size)
        return ops.concatenate([self.decode(codes[i : i + batch_size]) for i in starts])
