"""Models with an encoder and a decoder, and the plain autoencoder."""

import keras
import tensorflow as tf

from tf_tickets.lab.models.families import AUTOENCODER
from tf_tickets.lab.models.families.base import ImageModel, images_only


class EncoderDecoder(ImageModel):
    """An encoder and a decoder of images, trained together by one optimizer.

    Subclasses say in `loss_names` and `image_losses` what is minimised ("loss") and what else is
    reported.

    Args:
        encoder: `keras.Model` from images to codes.
        decoder: `keras.Model` from codes to float32 images.
    """

    component_names = AUTOENCODER.components
    components_with_input_gradient = ("decoder",)

    def __init__(self, encoder: keras.Model, decoder: keras.Model, **kwargs):
        super().__init__(encoder, decoder, **kwargs)

    def compile(self, optimizer="adam", **options):
        """Make the model ready to train: see `ImageModel.compile`."""
        super().compile(optimizer, **options)

    def image_losses(self, images, training: bool) -> dict:
        """Return scalar tensors by name, averaged over the batch; one of them is "loss"."""
        raise NotImplementedError

    @property
    def scoring_losses(self):
        """All variables, and the loss that is minimised."""
        return [(self.trainable_variables, lambda images: self._total_loss(images)[0])]

    def reconstruct(self, images):
        """Return float32 images of the same shape, encoded and decoded in inference mode."""
        return self(images, training=False)

    def train_step(self, data):
        """Update the weights on one batch; return the running means of the losses."""
        images = images_only(data)
        with tf.GradientTape() as tape:
            total, losses = self._total_loss(images)
            # A distribution strategy sums the replicas' gradients.
            replicas = tf.distribute.get_strategy().num_replicas_in_sync
            scaled = self.optimizer.scale_loss(total / replicas)
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return self.report_losses(losses, images)

    def _total_loss(self, images):
        """Return what is minimised, and what of it is reported."""
        losses = self.image_losses(images, training=True)
        return losses["loss"] + sum(self.losses), losses

    def test_step(self, data):
        """Return the running means of the losses on one batch, in inference mode."""
        images = images_only(data)
        return self.report_losses(self.image_losses(images, training=False), images)


@keras.saving.register_keras_serializable("tf_tickets")
class Autoencoder(EncoderDecoder):
    """An autoencoder that minimises the mean squared error over all values.

    Args:
        encoder: `keras.Model` from images to codes.
        decoder: `keras.Model` from codes to float32 images.
    """

    def call(self, images, training=False):
        """Return the reconstruction of `images`."""
        return self.decoder(self.encoder(images, training=training), training=training)

    def image_losses(self, images, training):
        """Return the mean squared error as "loss"."""
        outputs = self(images, training=training)
        return {"loss": keras.ops.mean(keras.ops.square(outputs - images))}
