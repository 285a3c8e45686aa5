"""What the image models have in common: the training step around their losses."""

import keras
import tensorflow as tf

from tf_tickets.errors import SettingError


class ImageModel(keras.Model):
    """An encoder and a decoder of images, with a training step of their own.

    `fit` and `evaluate` take images, float in [-1, 1] of shape (batch, height, width, channels);
    labels beside them are ignored. Subclasses say in `loss_names` and `image_losses` what is
    minimised ("loss") and what else is reported.

    Args:
        encoder: `keras.Model` from images to codes.
        decoder: `keras.Model` from codes to float32 images.
    """

    loss_names = ("loss",)

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **kwargs):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self._loss_means = [keras.metrics.Mean(name=name) for name in self.loss_names]
        self.built = True  # both parts are, so there are weights to save and load

    @property
    def components(self) -> dict[str, keras.Model]:
        """The parts that can be pruned on their own, by name."""
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def metrics(self):
        """The running means of the losses."""
        return self._loss_means

    def image_losses(self, images, training: bool) -> dict:
        """Return scalar tensors by name, averaged over the batch; one of them is "loss"."""
        raise NotImplementedError

    def reconstruct(self, images):
        """Return float32 images of the same shape, encoded and decoded in inference mode."""
        return self(images, training=False)

    def compile(
        self,
        optimizer="adam",
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

    def train_step(self, data):
        """Update the weights on one batch; return the running means of the losses."""
        images = _images_only(data)
        with tf.GradientTape() as tape:
            losses = self.image_losses(images, training=True)
            # A distribution strategy sums the replicas' gradients.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.scale_loss((losses["loss"] + sum(self.losses)) / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self._report(losses, images)

    def test_step(self, data):
        """Return the running means of the losses on one batch, in inference mode."""
        images = _images_only(data)
        return self._report(self.image_losses(images, training=False), images)

    def _report(self, losses, images):
        batch_size = tf.shape(images)[0]  # a last, smaller batch counts for less
        for mean in self._loss_means:
            mean.update_state(losses[mean.name], sample_weight=batch_size)
        return {mean.name: mean.result() for mean in self._loss_means}

    def get_config(self):
        """Return what makes the model again, its two networks included."""
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "decoder": keras.saving.serialize_keras_object(self.decoder),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Return the model that `get_config` described."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name], custom_objects)
            for name in ("encoder", "decoder")
        }
        return cls(**{**config, **parts})

    def get_compile_config(self):
        """Return how the model was compiled, less `jit_compile`: the loading machine decides."""
        config = super().get_compile_config()
        kept = ("optimizer", "run_eagerly", "steps_per_execution")
        return {key: config[key] for key in kept if key in config}

    def compile_from_config(self, config):
        """Compile as `get_compile_config` says, with the optimizer ready to take its state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)


def _images_only(data):
    images, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    if sample_weight is not None:
        raise SettingError("Image models take no sample or class weights; all images count alike.")
    return images
