"""The replay buffer of a CycleGAN's discriminator."""

import keras
import tensorflow as tf
from keras import ops


@keras.saving.register_keras_serializable("tf_tickets")
class ReplayBuffer(keras.layers.Layer):
    """Images that a generator made before, from which its discriminator learns too.

    While it is not full, each new image is kept and shown. Then each new image is shown and not
    kept, or takes the place of a random one, which is shown instead; either is as likely.

    Args:
        size: how many images it holds.
        image_shape: (height, width, channels).

    Source: Shrivastava et al., 2017, arXiv:1612.07828; Zhu et al., 2017, arXiv:1703.10593.
    """

    def __init__(self, size: int, image_shape, **kwargs):
        super().__init__(trainable=False, dtype="float32", **kwargs)
        self.size = size
        self.image_shape = tuple(image_shape)
        self.images = self.add_weight(
            (size, *self.image_shape), "zeros", trainable=False, name="images"
        )
        self.filled = self.add_weight((), "zeros", "int32", trainable=False, name="filled")
        self.built = True

    def empty(self) -> None:
        """Forget all images."""
        for variable in (self.images, self.filled):
            variable.assign(ops.zeros_like(variable))

    def exchange(self, images, seed: keras.random.SeedGenerator):
        """Take new images, and return as many to show, one after another as above.

        Args:
            images: (batch, height, width, channels).
            seed: of the draws.
        """
        if not self.size:
            return images
        count = tf.shape(images)[0]
        places = keras.random.randint((count,), 0, self.size, seed=seed)
        takes_place = keras.random.uniform((count,), seed=seed) < 0.5

        def exchange_one(i, shown):
            is_full = self.filled.value >= self.size
            place = tf.where(is_full, places[i], self.filled.value)
            old = self.images.value[place]
            shown = shown.write(i, tf.where(is_full & takes_place[i], old, images[i]))
            kept = tf.where(is_full & ~takes_place[i], old, images[i])
            self.images.value.scatter_nd_update([[place]], kept[tf.newaxis])
            self.filled.assign(tf.minimum(self.filled.value + 1, self.size))
            return i + 1, shown

        shown = tf.TensorArray(images.dtype, count, element_shape=images.shape[1:])
        _, shown = tf.while_loop(lambda i, _: i < count, exchange_one, (0, shown))
        return tf.ensure_shape(shown.stack(), images.shape)

    def get_config(self):
        """Return what makes the buffer again, empty."""
        return {**super().get_config(), "size": self.size, "image_shape": self.image_shape}
