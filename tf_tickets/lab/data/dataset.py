"""Image data sets as `tf.data`, with pixels in [-1, 1] and an order that can be repeated."""

import dataclasses

import numpy as np
import tensorflow as tf

from tf_tickets.errors import SettingError, check_count, check_whole
from tf_tickets.lab.data import parts
from tf_tickets.lab.data.facts import digest_of, image_shape, resolve_card, resolve_size
from tf_tickets.lab.data.pixels import to_float

__all__ = ["ImageDataset", "image_shape", "load", "steps_per_epoch", "training_batches"]

# What a stream may hold back in order to shuffle: about 5,000 images of 64x64x3.
_SHUFFLE_BYTES = 2**26


@dataclasses.dataclass(frozen=True, eq=False)
class ImageDataset:
    """One split of a data set, decoded and resized; made by `load`.

    Attributes:
        name: one of `DATASETS`.
        split: "train", "classifier", "validation" or "test".
        num_images: how many images it holds, after any limit.
        image_shape: (height, width, channels).
        num_classes: number of different labels; 0 if the images have none.
        digest: names data, split, image size and limit, as in
            "mnist-train-32-40000".
        stored: if all of it fits in memory, two tensors: images (uint8, or float32 in
            [-1, 1]) of shape (num_images, height, width, channels) and int64 labels, -1 of an image
            without; else a `tf.data.Dataset` of such pairs, one image at a time.
    """

    name: str
    split: str
    num_images: int
    image_shape: tuple[int, int, int]
    num_classes: int
    digest: str
    stored: tuple[tf.Tensor, tf.Tensor] | tf.data.Dataset = dataclasses.field(repr=False)

    @property
    def in_memory(self) -> bool:
        """Whether all images are held decoded in memory."""
        return isinstance(self.stored, tuple)

    @property
    def examples(self) -> tf.data.Dataset:
        """Unbatched (float32 image in [-1, 1], int64 label) pairs, always in the same order."""
        return _finish(self._pairs().map(_with_float_image), self.num_images)

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """Return the same pairs in batches, the last of which may be smaller.

        Args:
            batch_size: most images in a batch.
        """
        # In batches from the start: one by one, ten thousand small images take a second.
        batched = self._pairs().batch(batch_size).map(_with_float_image)
        return _finish(batched, -(-self.num_images // batch_size))

    def of_domain(self, number: int) -> "ImageDataset":
        """Return the images of one of two domains, in the same order.

        Classes are those of the data set in A, and as many others in B; without labels, A and B.

        Args:
            number: 0 for A, 1 for B.
        """
        height, width, channels = self.image_shape
        own = slice(number * (channels // 2), (number + 1) * (channels // 2))
        num_classes = max(self.num_classes, 1)

        def of_domain(images, labels):
            return images[..., own], tf.maximum(labels, 0) + number * num_classes

        return dataclasses.replace(
            self,
            image_shape=(height, width, channels // 2),
            num_classes=2 * num_classes,
            digest=f"{self.digest}-{'ab'[number]}",
            stored=self._mapped(of_domain),
        )

    def of_both_domains(self) -> "ImageDataset":
        """Return the images of both domains one after another, with classes as `of_domain`."""
        a, b = self.of_domain(0), self.of_domain(1)
        joined = (
            tuple(tf.concat(both, axis=0) for both in zip(a.stored, b.stored, strict=True))
            if self.in_memory
            else a.stored.concatenate(b.stored)
        )
        return dataclasses.replace(
            a, num_images=2 * self.num_images, digest=f"{self.digest}-ab", stored=joined
        )

    def _mapped(self, function):
        return function(*self.stored) if self.in_memory else self.stored.map(function)

    def _pairs(self) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(self.stored) if self.in_memory else self.stored


def load(
    name: str,
    split: str,
    image_size: int | None = None,
    limit: int | None = None,
    data_dir: str | None = None,
) -> ImageDataset:
    """Return one split of an image data set, square and in [-1, 1].

    Images are cropped to the central square of their shorter side (Celeb-A's 218x178 to
    178x178) and resized bilinearly, with smoothing if they shrink. A split whose decoded
    bytes stay below 1 GiB is decoded once, here, and held in memory; a larger one is read
    again in each pass, and needs no more memory than its shuffle buffer.

    Args:
        name: "digits" (1,797 images in all), "mnist", "cifar10", "celeb_a", whose label says
            whether the face smiles, or "images", a folder of PNG and JPEG files of your own.
        split: "train" for what generative models are trained on, "classifier" for what the
            classifier behind the metrics is trained on, "validation" for what tickets are chosen
            by, "test" for what is reported. No image is in two of them.
        image_size: height and width in pixels, at least 8; 32 by default.
        limit: keep the first so many images only; no others are decoded.
        data_dir: the folder of tensorflow_datasets; by default the environment's
            `TFDS_DATA_DIR`, else `~/tensorflow_datasets`. What is not there is downloaded. For
            "images", the folder that holds them.

    Raises:
        SettingError: if an argument has a value that cannot work.
        FileError: if the data can be neither found nor downloaded, or is damaged.
    """
    card = resolve_card(name, split, limit, data_dir)
    size = resolve_size(image_size)
    read = parts.reader(card)
    stored, num_available = read(split, size, limit, data_dir)
    num_images = min(limit or num_available, num_available)
    return ImageDataset(
        name=name,
        split=split,
        num_images=num_images,
        image_shape=(size, size, card.channels),
        num_classes=card.num_classes,
        digest=digest_of(card, split, size, num_images),
        stored=stored if isinstance(stored, tf.data.Dataset) else _in_memory(*stored),
    )


def _in_memory(images, labels) -> tuple[tf.Tensor, tf.Tensor]:
    """Return images and labels as tensors: images uint8 or float32, a label of -1 where none is."""
    labels = np.full(len(images), -1) if labels is None else labels
    with tf.device("CPU"):  # where tf.data runs
        images = tf.convert_to_tensor(images)
        if images.dtype != tf.uint8:
            images = tf.cast(images, tf.float32)
        return images, tf.cast(labels, tf.int64)


def steps_per_epoch(dataset: ImageDataset, batch_size: int) -> int:
    """Return the number of whole batches in one pass over the data.

    Args:
        dataset: as `load` returns it.
        batch_size: images per batch.

    Raises:
        SettingError: if `batch_size` is below 1 or above the number of images.
    """
    check_count("batch_size", batch_size)
    if batch_size > dataset.num_images:
        raise SettingError(
            f"`batch_size` must not exceed the {dataset.num_images} images of {dataset.digest}. "
            f"Received: batch_size={batch_size}. Choose a smaller batch or more images."
        )
    return dataset.num_images // batch_size


def training_batches(
    dataset: ImageDataset, batch_size: int, seed: int, start_step: int, stop_step: int
) -> tf.data.Dataset:
    """Return the image batches of optimizer steps `start_step` to `stop_step - 1`.

    Each epoch is a reshuffle of the data whose order follows from (seed, epoch) alone, and
    its last, partial batch is dropped. So the batch at a step depends on the seed and the step
    only: training that is resumed at step 10 sees what uninterrupted training sees. A stream
    is shuffled within a buffer, and starting inside an epoch reads that epoch from its start.

    Args:
        dataset: where the images come from.
        batch_size: images per batch.
        seed: orders the data; a non-negative integer below 2**31.
        start_step: the first step, counted from 0 at the start of training.
        stop_step: one past the last step.

    Returns:
        A data set of `stop_step - start_step` float32 batches in [-1, 1], of shape
        (batch_size, height, width, channels).

    Raises:
        SettingError: if an argument has a value that cannot work.
    """
    num_steps = steps_per_epoch(dataset, batch_size)
    check_whole("seed", seed)
    if not 0 <= seed < 2**31:
        raise SettingError(f"`seed` must be in [0, 2**31). Received: seed={seed}.")
    check_count("start_step", start_step, least=0)
    check_count("stop_step", stop_step, least=start_step)
    first_epoch = start_step // num_steps
    epochs = tf.data.Dataset.range(first_epoch, -(-stop_step // num_steps))
    shuffled = _shuffled_rows if dataset.in_memory else _shuffled_images
    batches = epochs.flat_map(lambda epoch: shuffled(dataset, batch_size, seed, epoch))
    batches = batches.skip(start_step - first_epoch * num_steps).take(stop_step - start_step)
    if dataset.in_memory:
        images = dataset.stored[0]
        batches = batches.map(lambda rows: tf.gather(images, rows), tf.data.AUTOTUNE)
    return _finish(batches.map(to_float, tf.data.AUTOTUNE), stop_step - start_step)


def _shuffled_rows(dataset, batch_size, seed, epoch) -> tf.data.Dataset:
    num_used = steps_per_epoch(dataset, batch_size) * batch_size
    order = tf.random.experimental.stateless_shuffle(
        tf.range(dataset.num_images), seed=tf.stack([tf.constant(seed, tf.int64), epoch])
    )
    return tf.data.Dataset.from_tensor_slices(tf.reshape(order[:num_used], (-1, batch_size)))


def _shuffled_images(dataset, batch_size, seed, epoch) -> tf.data.Dataset:
    buffer_size = max(1, _SHUFFLE_BYTES // int(np.prod(dataset.image_shape)))
    # `shuffle` mixes its seed with the global one. Inside `flat_map` this sets the seed of the
    # traced function only, so the order follows from (seed, epoch) whatever the process set.
    # The sum keeps it from 0, for which TensorFlow would compare `epoch` as if it were a number.
    tf.random.set_seed(seed + 1)
    images = dataset.stored.map(lambda image, label: image)
    images = images.shuffle(buffer_size, seed=epoch, reshuffle_each_iteration=False)
    return images.batch(batch_size, drop_remainder=True)


def _finish(dataset: tf.data.Dataset, length: int) -> tf.data.Dataset:
    options = tf.data.Options()
    options.deterministic = True
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(length))
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)


def _with_float_image(images, labels):
    return to_float(images), labels
