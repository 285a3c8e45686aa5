"""Networks that turn images into features: the data set's own classifier, or Inception.

A Frechet distance or a score means nothing without the network behind it, so a `FeatureExtractor`
carries the kind and the digest of its weights, which go into every record.
"""

import functools
import hashlib
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence

import filelock
import numpy as np
import safetensors.numpy
import tensorflow as tf

from tf_tickets import interop
from tf_tickets.engines import threads_in_use
from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_path, sha256_of, sha256_of_json, write_whole
from tf_tickets.lab.cache import in_cache_folder
from tf_tickets.lab.metrics import classifier
from tf_tickets.lab.metrics.images import float_images

_DIGEST_LENGTH = 16
_INCEPTION_HINT = "Give `inception` a local SavedModel folder, or leave it out and get fcd."


class FeatureExtractor:
    """A trained network that gives features and logits of images, always in float32.

    Args:
        network: function of images (n, h, w, c) -> (features (n, d), logits (n, classes)).
        kind: "classifier", whose Frechet distance is the fcd, or "inception", whose is the FID.
        digest: start of a SHA-256 of the network's weights.
        num_features: d.
        batch_size: how many images pass through the network at once.
        image_size: the side to which the network resizes images, or None if it does not.
        image_shape: the height, width and channels of images that it takes; None where any will do.
        channels: those that it takes, if they are several; None for all.
    """

    def __init__(
        self,
        network: Callable,
        *,
        kind: str,
        digest: str,
        num_features: int,
        batch_size: int,
        image_size: int | None = None,
        image_shape: tuple[int | None, int | None, int | None] = (None, None, None),
        channels: Sequence[int] | None = None,
    ):
        self.kind = kind
        self.digest = digest
        self.num_features = num_features
        self.image_size = image_size
        self._image_shape = image_shape
        self._channels = channels
        self._batch_size = batch_size
        self._run = tf.function(network, jit_compile=False, reduce_retracing=True)

    def __call__(self, images) -> tuple[np.ndarray, np.ndarray]:
        """Return features (n, d) and logits (n, classes) of images (n, h, w, c).

        They are floats in [-1, 1], or uint8 from 0 to 255. NaN and infinity pass through.

        Raises:
            SettingError: if there are none, or they are of a shape or kind that it does not take.

        Warns:
            UserWarning: if floats look like 0 to 255.
        """
        images = float_images(images, self._image_shape)
        self._check_channels(images.shape[-1])
        starts = range(0, len(images), self._batch_size)
        batches = [self._run(images[start : start + self._batch_size]) for start in starts]
        features, logits = zip(*batches, strict=True)
        return np.concatenate(features), np.concatenate(logits)

    def _check_channels(self, channels):
        if self._channels is not None and channels not in self._channels:
            expected = " or ".join(map(str, self._channels))
            raise SettingError(
                f"The {self.kind} network takes images of {expected} channels. Received: "
                f"{channels}. Leave out what is no colour, such as transparency."
            )


def load_classifier(
    train,
    cache_dir: str | os.PathLike | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> FeatureExtractor:
    """Return the features of a small ResNet-18 that learned the labels of `train`.

    It is trained once, which takes seconds for digits and minutes for CIFAR-10 on two cores, and
    kept in the cache folder; the same data, the same version of this package and as many threads
    find it there. A damaged file is noticed by its hash, and replaced with a warning.

    Args:
        train: a training split, as `tf_tickets.lab.data.dataset.load` returns it.
        cache_dir: where trained classifiers are kept. By default the folder that the environment
            variable `TF_TICKETS_CACHE` names, else `tf_tickets` in the user's cache folder.
        progress: called while training with the number of steps done and of all steps.

    Raises:
        SettingError: if the images have no labels, or fewer than two classes.
        FileError: if the cache folder cannot be written.
    """
    if train.num_classes < 2:
        raise SettingError(
            f"The classifier needs a data set of at least 2 classes. Received: {train.name} with "
            f"{train.num_classes or 'no labels'}. Use another data set, give `inception`, or be "
            "content with the metrics that need no features."
        )
    sizes = train.image_shape, train.num_classes, train.num_images
    with in_cache_folder("the classifier", cache_dir) as folder:
        stem = f"classifier-{train.name}-{_recipe_digest(train)}"
        # The lock makes a second process wait for the first one's classifier and not train its own.
        with filelock.FileLock(folder / f"{stem}.lock"):
            content = _read_intact(folder, stem)
            if content is None:
                network = classifier.build_network(*sizes)
                classifier.train_network(network, train.examples, progress)
                content = safetensors.numpy.save({v.path: v.numpy() for v in network.variables})
                write_whole(folder / _file_name(stem, content), content)
    return _classifier_of(content, *sizes)


@functools.lru_cache(maxsize=2)  # runs on the same images, one after another, trace it once
def _classifier_of(content, image_shape, num_classes, num_images) -> FeatureExtractor:
    network = classifier.build_network(image_shape, num_classes, num_images)
    weights = safetensors.numpy.load(content)
    for variable in network.variables:
        variable.assign(weights[variable.path])
    return FeatureExtractor(
        lambda images: network(images, training=False),
        kind="classifier",
        digest=_digest(content),
        num_features=network.output_shape[0][-1],
        batch_size=512,
        image_shape=image_shape,
    )


def _recipe_digest(train) -> str:
    """Return a short name for all that the trained classifier depends on."""
    data = [train.digest, train.num_images, list(train.image_shape), train.num_classes]
    return sha256_of_json([data, classifier.RECIPE, threads_in_use()])[:12]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_LENGTH]


def _file_name(stem: str, content: bytes) -> str:
    return f"{stem}-{_digest(content)}.safetensors"


def _read_intact(folder: pathlib.Path, stem: str) -> bytes | None:
    """Return the kept weights, or None if no file has the hash that is in its name."""
    for path in sorted(folder.glob(f"{stem}-*.safetensors")):
        content = path.read_bytes()
        if path.name == _file_name(stem, content):
            return content
        warnings.warn(f"The classifier in {path} is damaged; it is trained anew.", stacklevel=3)
        path.unlink()
    return None


def load_inception(address: str | os.PathLike) -> FeatureExtractor:
    """Return the features of the Inception network that TF-GAN computes FID and IS with.

    Images of any size are resized to 299 x 299, bilinearly; grey ones are repeated to 3 channels.
    Those of other channels, such as RGBA, are refused.

    Args:
        address: a local SavedModel folder or a TF-Hub address, such as TF-GAN's own:
            https://tfhub.dev/tensorflow/tfgan/eval/inception/1. It maps float32 images
            (n, 299, 299, 3) in [-1, 1] to a dictionary with `pool_3` and `logits`.

    Raises:
        FileError: if there is no such module, it is damaged, or it gives other outputs.
    """
    as_path(address, "address")
    tf_gan = interop.inception_metrics()
    module, digest = _load_module(os.fspath(address), tf_gan.tfhub)
    size = tf_gan.INCEPTION_DEFAULT_IMAGE_SIZE
    outputs = tf_gan.INCEPTION_FINAL_POOL, tf_gan.INCEPTION_OUTPUT

    def network(images):
        if images.shape[-1] == 1:
            images = tf.image.grayscale_to_rgb(images)
        answers = module(tf.image.resize(images, (size, size)))
        # TF-GAN would flatten these with `tf.compat.v1.layers`, which Keras 3 took away.
        return [tf.reshape(answers[name], (tf.shape(images)[0], -1)) for name in outputs]

    try:
        features, _ = network(tf.zeros((1, size, size, 3)))
    except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
        raise FileError(
            f"{address} is not the Inception network of TF-GAN: it does not map images of shape "
            f"(n, {size}, {size}, 3) to {' and '.join(outputs)}. {_INCEPTION_HINT}"
        ) from error
    return FeatureExtractor(
        network,
        kind="inception",
        digest=digest,
        num_features=features.shape[-1],
        batch_size=32,
        image_size=size,
        channels=(1, 3),
    )


def _load_module(address: str, tfhub) -> tuple[Callable, str]:
    """Load a module of TF-Hub and return it with the digest of its files."""
    try:
        folder = pathlib.Path(tfhub.resolve(address))
        module = tfhub.load(str(folder))
        digest = hashlib.sha256()
        for path in sorted([*folder.glob("saved_model.pb*"), *folder.glob("variables/*")]):
            digest.update(f"{path.name} {sha256_of(path)}\n".encode())
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        reason = " ".join(str(error).split())
        raise FileError(
            f"Cannot load the Inception network from {address!r}: {reason} {_INCEPTION_HINT}"
        ) from error
    return module, digest.hexdigest()[:_DIGEST_LENGTH]
