"""All metrics of a generative model at once, each record with the protocol it was taken by."""

import contextlib
import math
import weakref
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics.accuracy import classifier_accuracy, classifier_score, score_splits
from tf_tickets.lab.metrics.collapse import PixelDeviation
from tf_tickets.lab.metrics.features import FeatureExtractor
from tf_tickets.lab.metrics.frechet import Moments, frechet_distance
from tf_tickets.lab.metrics.kernel import kernel_distance
from tf_tickets.protocols import Reconstructs, Samples

# The metrics by which a model may be chosen. The two losses of a GAN are not among them: each tells
# how one network stands against the other, and a discriminator's is high where its generator is
# good as well as where it is itself poor.
HIGHER_IS_BETTER = {
    "loss": False,
    "reconstruction_loss": False,
    "fcd": False,
    "fid": False,
    "kcd": False,
    "kid": False,
    "classifier_score": True,
    "inception_score": True,
    "classifier_accuracy": True,
}

# The metrics of which neither direction is better.
UNDIRECTED = ("discriminator_loss", "generator_loss", "sample_deviation")

# What a model's `evaluate()` may give that is a metric.
_LOSSES = ("loss", "discriminator_loss", "generator_loss")

# The names of the Frechet distance, the kernel distance and the score, by the network behind them.
_NAMES = {
    "classifier": ("fcd", "kcd", "classifier_score"),
    "inception": ("fid", "kid", "inception_score"),
}


class _Judged:
    """What the extractor said of a stream of images: all that the metrics ask.

    Only the first `most` images enter the moments and the features, which take 4 bytes times their
    length for each image; logits are short, and kept of all.
    """

    def __init__(self, extractor: FeatureExtractor, most: int):
        self._extractor = extractor
        self._most = most
        self._features = []
        self._logits = []
        self.moments = Moments(extractor.num_features)

    def add(self, images):
        """Look at a batch."""
        features, logits = self._extractor(images)
        room = self._most - self.moments.count
        self._features.append(features[:room].copy())  # a view would keep the others in memory
        self._logits.append(logits)
        self.moments.update(features[:room])

    @property
    def features(self) -> np.ndarray:
        return np.concatenate(self._features)

    @property
    def logits(self) -> np.ndarray:
        return np.concatenate(self._logits)


class Evaluator:
    """Evaluates models on one data set, by one protocol.

    Calling it with a model returns `(metrics, protocol)`, two flat dictionaries. The metrics:

    - `loss`: the model's own objective on the test split; of a GAN instead `discriminator_loss`
      and `generator_loss`, which are shown but choose no model;
    - `reconstruction_loss`: mean squared error per pixel value there, pixels in [-1, 1];
    - `classifier_accuracy` (only with a classifier): how many reconstructed test images are still
      recognised;
    - `fcd` or `fid`, by the extractor's kind: Frechet distance of samples, where the model can
      sample, or else of reconstructed test images, to as many real training images;
    - `kcd` or `kid`: kernel distance between the same images; it may be slightly negative;
    - `classifier_score` or `inception_score` of the same generated images.

    A GAN cannot reconstruct, so it has no `reconstruction_loss`, and no `classifier_accuracy`
    either: its samples have no labels that a classifier could find again. It has
    `sample_deviation`, the standard deviation over its samples averaged over all pixel values,
    which is near 0 where it has collapsed to one image (see `refuse_collapse`).

    Numbers depend on the model's weights alone: all that is random in an evaluation derives from
    `seed`, and the model's own random state is afterwards what it was before.

    A model is a `keras.Model` whose `evaluate()` on batches of images (n, h, w, c) gives one of the
    losses above or more. It has `reconstruct(images) -> images`, `sample(num_images, seed) ->
    images`, or both.

    Args:
        train: the training split, as `tf_tickets.lab.data.dataset.load` returns it.
        test: the test split of the same data set.
        extractor: the network behind all but the losses.
        num_images: most images, of either kind, that the two distances compare. It bounds the
            memory too: the kernel distance needs the features of all these images at once.
        batch_size: how many images are in work at once.
        seed: of the samples and of all else that is random in an evaluation.

    Raises:
        SettingError: if `num_images` or `batch_size` is too small.
        DivergedError: when called, if a metric is NaN or infinite; the message names it.
    """

    def __init__(
        self,
        train,
        test,
        extractor: FeatureExtractor,
        num_images: int = 10_000,
        batch_size: int = 500,
        seed: int = 0,
    ):
        for name, value, least in (
            ("num_images", num_images, 2),
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
        ):
            if value < least:
                raise SettingError(f"`{name}` must be {least} or more. Received: {value}.")
        self._train = train
        self._test = test
        self._extractor = extractor
        self._num_images = min(num_images, train.num_images)
        self._batch_size = batch_size
        self._seed = seed
        self._test_batches = test.examples.batch(batch_size)
        self._test_images = self._test_batches.map(lambda images, labels: images)
        self._real_judged: dict[int, _Judged] = {}
        self._reconstructors = weakref.WeakKeyDictionary()

    def __call__(self, model) -> tuple[dict[str, float], dict]:
        """Return the model's metrics, name -> value, and the protocol, fit for JSON."""
        with _fixed_random_state(model, self._seed):
            losses = model.evaluate(self._test_images, verbose=0, return_dict=True)
            metrics = {name: float(losses[name]) for name in _LOSSES if name in losses}
            if isinstance(model, Reconstructs):
                of_reconstructions, judged = self._reconstruct(model)
                metrics |= of_reconstructions
            _check_finite(metrics)
            if isinstance(model, Samples):
                judged, deviation = self._sample(model)
                if not isinstance(model, Reconstructs):
                    metrics["sample_deviation"] = deviation
        metrics |= self._compare(judged)
        _check_finite(metrics)
        generated = "samples" if isinstance(model, Samples) else "reconstructions"
        return metrics, self._protocol(generated, judged.moments.count)

    def _reconstruct(self, model) -> tuple[dict[str, float], _Judged]:
        """Return what is known of the test images once reconstructed, and them judged."""
        reconstruct = self._reconstructor(model)
        # Those of a model that can sample are looked at only for their labels' sake.
        most = 0 if isinstance(model, Samples) else self._num_images
        has_labels = self._extractor.kind == "classifier"
        judged = _Judged(self._extractor, most)
        squared_error, num_values, labels = 0.0, 0, []
        for images, batch_labels in self._test_batches:
            reconstructed = reconstruct(images)
            squared_error += float(tf.reduce_sum(tf.math.squared_difference(reconstructed, images)))
            num_values += math.prod(images.shape)
            labels.append(batch_labels.numpy())
            if most or has_labels:
                judged.add(reconstructed)
        metrics = {"reconstruction_loss": squared_error / num_values}
        if has_labels:
            accuracy = classifier_accuracy(judged.logits, np.concatenate(labels))
            metrics["classifier_accuracy"] = accuracy
        return metrics, judged

    def _reconstructor(self, model):
        """Return the model's `reconstruct`, compiled; once per model, for as long as it lives."""
        if model not in self._reconstructors:
            model_reference = weakref.ref(model)

            @tf.function(jit_compile=False, reduce_retracing=True)
            def reconstruct(images):
                return tf.cast(model_reference().reconstruct(images), tf.float32)

            self._reconstructors[model] = reconstruct
        return self._reconstructors[model]

    def _sample(self, model) -> tuple[_Judged, float]:
        judged = _Judged(self._extractor, self._num_images)
        deviation = PixelDeviation()
        sizes = _batch_sizes(self._num_images, self._batch_size)
        seeds = np.random.default_rng(self._seed).integers(2**31, size=len(sizes))
        for size, seed in zip(sizes, seeds, strict=True):
            images = model.sample(size, int(seed))
            judged.add(images)
            deviation.update(images)
        return judged, deviation.mean

    def _compare(self, judged: _Judged) -> dict[str, float]:
        """Return the distances between generated and as many real images, and the score."""
        count = judged.moments.count
        real = self._real(count)
        frechet, kernel, score = _NAMES[self._extractor.kind]
        return {
            frechet: frechet_distance(real.moments, judged.moments),
            kernel: kernel_distance(real.features, judged.features),
            score: classifier_score(judged.logits[:count]),
        }

    def _real(self, num_images: int) -> _Judged:
        """Return the first training images judged; they are looked at only once."""
        if num_images not in self._real_judged:
            judged = _Judged(self._extractor, num_images)
            for images, _ in self._train.examples.take(num_images).batch(self._batch_size):
                judged.add(images)
            self._real_judged[num_images] = judged
        return self._real_judged[num_images]

    def _protocol(self, generated: str, num_images: int) -> dict:
        return {
            "features": self._extractor.kind,
            "features_digest": self._extractor.digest,
            "real": self._train.digest,
            "num_real_images": num_images,
            "generated": generated,
            "num_generated_images": num_images,
            "score_splits": score_splits(num_images),
            "test": self._test.digest,
            "num_test_images": self._test.num_images,
            "image_shape": list(self._test.image_shape),
            "resize": self._extractor.image_size,
            "seed": self._seed,
        }


def _batch_sizes(count: int, batch_size: int) -> list[int]:
    full, rest = divmod(count, batch_size)
    return [batch_size] * full + [rest] * (rest > 0)


def _check_finite(metrics: dict[str, float]):
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"The model has diverged: its {name} is {value}. Try a lower learning "
                "rate, or float32."
            )


@contextlib.contextmanager
def _fixed_random_state(model: keras.Model, seed: int) -> Iterator[None]:
    """Let the model's seed generators start from `seed`, and put their state back afterwards.

    Otherwise a loss with sampling in it would depend on what was evaluated before, and an
    evaluation would change the training that follows it.
    """
    states = list(_random_states(model))
    before = [state.numpy() for state in states]
    for number, state in enumerate(states):
        state.assign([seed, number << 16])
    try:
        yield
    finally:
        for state, value in zip(states, before, strict=True):
            state.assign(value)


def _random_states(model: keras.Model) -> Iterable[keras.Variable]:
    """Return the variables that are state but no weights: those of the seed generators."""
    weights = {id(variable) for variable in model.weights}
    return (variable for variable in model.variables if id(variable) not in weights)
