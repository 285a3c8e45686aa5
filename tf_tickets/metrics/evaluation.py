"""All metrics of a generative model at once, each record with the protocol it was taken by."""

import contextlib
import math
import weakref
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.metrics.accuracy import classifier_accuracy, classifier_score
from tf_tickets.metrics.features import FeatureExtractor
from tf_tickets.metrics.frechet import Moments, frechet_distance

HIGHER_IS_BETTER = {
    "loss": False,
    "reconstruction_loss": False,
    "fcd": False,
    "fid": False,
    "classifier_score": True,
    "inception_score": True,
    "classifier_accuracy": True,
}

# The names of the Frechet distance and of the score, by the network behind them.
_NAMES = {"classifier": ("fcd", "classifier_score"), "inception": ("fid", "inception_score")}


class _Judged:
    """What the extractor said of a stream of images: all that the metrics ask."""

    def __init__(self, extractor: FeatureExtractor):
        self._extractor = extractor
        self._logits = []
        self.moments = Moments(extractor.num_features)

    def add(self, images, most: int | None = None):
        """Look at a batch; only images up to the `most`-th of the stream enter the moments."""
        features, logits = self._extractor(images)
        self._logits.append(logits)
        room = None if most is None else max(most - self.moments.count, 0)
        self.moments.update(features[:room])

    @property
    def logits(self) -> np.ndarray:
        return np.concatenate(self._logits)


class Evaluator:
    """Evaluates models on one data set, by one protocol.

    Calling it with a model returns `(metrics, protocol)`, two flat dictionaries. The metrics:

    - `loss`: the model's own objective on the test split;
    - `reconstruction_loss`: mean squared error per pixel value there, pixels in [-1, 1];
    - `fcd` or `fid`, by the extractor's kind: Frechet distance of samples, where the model can
      sample, or else of reconstructed test images, to as many real training images;
    - `classifier_score` or `inception_score` of the same images;
    - `classifier_accuracy` (only with a classifier): how many reconstructed test images are still
      recognised.

    Numbers depend on the model's weights alone: all that is random in an evaluation derives from
    `seed`, and the model's own random state is afterwards what it was before.

    A model is a `keras.Model` whose `evaluate()` on batches of images (n, h, w, c) gives `loss`,
    with `reconstruct(images) -> images` and, if it can, `sample(num_images, seed) -> images`.

    Args:
        train: the training split, as `tf_tickets.data.load` returns it.
        test: the test split of the same data set.
        extractor: the network behind all but the two losses.
        num_images: most images, of either kind, that a Frechet distance compares.
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
        self._num_images = num_images
        self._batch_size = batch_size
        self._seed = seed
        self._test_batches = test.examples.batch(batch_size)
        self._test_images = self._test_batches.map(lambda images, labels: images)
        self._real_moments: dict[int, Moments] = {}
        self._reconstructors = weakref.WeakKeyDictionary()

    def __call__(self, model) -> tuple[dict[str, float], dict]:
        """Return the model's metrics, name -> value, and the protocol, fit for JSON."""
        generated = "samples" if hasattr(model, "sample") else "reconstructions"
        # Reconstructions of a model that can sample are looked at only for their labels' sake.
        looks = generated == "reconstructions" or self._extractor.kind == "classifier"
        with _fixed_random_state(model, self._seed):
            loss = model.evaluate(self._test_images, verbose=0, return_dict=True)["loss"]
            reconstruction_loss, judged, labels = self._reconstruct(model, looks)
            metrics = {"loss": float(loss), "reconstruction_loss": reconstruction_loss}
            _check_finite(metrics)
            if self._extractor.kind == "classifier":
                metrics["classifier_accuracy"] = classifier_accuracy(judged.logits, labels)
            if generated == "samples":
                judged = self._sample(model)
        distance, score = _NAMES[self._extractor.kind]
        real = self._real(judged.moments.count)
        metrics[distance] = frechet_distance(real, judged.moments)
        metrics[score] = classifier_score(judged.logits[: judged.moments.count])
        _check_finite(metrics)
        return metrics, self._protocol(generated, judged, real)

    def _reconstruct(self, model, looks: bool) -> tuple[float, _Judged, np.ndarray]:
        """Return the mean squared error of the test images, them judged, and their labels."""
        reconstruct = self._reconstructor(model)
        judged = _Judged(self._extractor)
        most = min(self._num_images, self._train.num_images)
        squared_error, num_values, labels = 0.0, 0, []
        for images, batch_labels in self._test_batches:
            reconstructed = reconstruct(images)
            squared_error += float(tf.reduce_sum(tf.math.squared_difference(reconstructed, images)))
            num_values += math.prod(images.shape)
            labels.append(batch_labels.numpy())
            if looks:
                judged.add(reconstructed, most)
        return squared_error / num_values, judged, np.concatenate(labels)

    def _reconstructor(self, model):
        """Return the model's `reconstruct`, compiled; once per model, for as long as it lives."""
        if model not in self._reconstructors:
            model_reference = weakref.ref(model)

            @tf.function(jit_compile=False, reduce_retracing=True)
            def reconstruct(images):
                return tf.cast(model_reference().reconstruct(images), tf.float32)

            self._reconstructors[model] = reconstruct
        return self._reconstructors[model]

    def _sample(self, model) -> _Judged:
        judged = _Judged(self._extractor)
        num_images = min(self._num_images, self._train.num_images)
        sizes = _batch_sizes(num_images, self._batch_size)
        seeds = np.random.default_rng(self._seed).integers(2**31, size=len(sizes))
        for size, seed in zip(sizes, seeds, strict=True):
            judged.add(model.sample(size, int(seed)))
        return judged

    def _real(self, num_images: int) -> Moments:
        """Return the moments of the first training images, looked at only once."""
        if num_images not in self._real_moments:
            judged = _Judged(self._extractor)
            for images, _ in self._train.examples.take(num_images).batch(self._batch_size):
                judged.add(images)
            self._real_moments[num_images] = judged.moments
        return self._real_moments[num_images]

    def _protocol(self, generated: str, judged: _Judged, real: Moments) -> dict:
        return {
            "features": self._extractor.kind,
            "features_digest": self._extractor.digest,
            "real": self._train.digest,
            "num_real_images": real.count,
            "generated": generated,
            "num_generated_images": judged.moments.count,
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
