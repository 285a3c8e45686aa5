"""The plain autoencoder (K12, K13)."""

import keras

from tf_tickets.models.base import ImageModel


@keras.saving.register_keras_serializable("tf_tickets")
class Autoencoder(ImageModel):
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
