"""All metrics of a generative model at once, each record with the protocol it was taken by."""

import contextlib
import math
import weakref
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.metrics.collapse import PixelDeviation
from tf_tickets.lab.metrics.evidence import Evidence, ImageEvidence, ReconstructionEvidence
from tf_tickets.lab.metrics.features import FeatureExtractor
from tf_tickets.protocols import Reconstructs, Samples

# A model whose losses or reconstructions are not finite has diverged, whatever its samples are:
# these metrics are looked at first.
_TURNS = (("losses", "reconstructions"), ("samples", "generated"))


# What a model can make, and the protocol that says so.
_OFFERS = {"reconstructions": Reconstructs, "samples": Samples}


class Evaluator:
    """Evaluates models on one data set, by one protocol.

    Calling it with a model returns `(metrics, protocol)`, two flat dictionaries. The metrics are
    those of `METRICS` that can be measured of the model, in that order:

    - `loss`: the model's own objective on the test split; of a GAN instead `discriminator_loss`
      and `generator_loss`, which are shown but choose no model;
    - `reconstruction_loss`: mean squared error per pixel value there, pixels in [-1, 1];
    - `classifier_accuracy` (only with a classifier): how many reconstructed test images are still
      recognised;
    - `fcd` or `fid`, by the extractor's kind: Frechet distance of samples, if the model can
      sample, or else of reconstructed test images, to as many real training images;
    - `kcd` or `kid`: kernel distance between the same images; it may be slightly negative;
    - `classifier_score` or `inception_score` of the same generated images.

    A GAN cannot reconstruct, so it has no `reconstruction_loss`, and no `classifier_accuracy`
    either: its samples have no labels that a classifier could find again. It has
    `sample_deviation`, the standard deviation over its samples averaged over all pixel values,
    which is near 0 if it has collapsed to one image (see `refuse_collapse`). Without an extractor
    there are only the losses, the `reconstruction_loss` and the `sample_deviation`.

    Numbers depend on the model's weights alone: all that is random in an evaluation derives from
    `seed`, and the model's own random state is afterwards what it was before.

    A model is a `keras.Model` whose `evaluate()` on batches of images (n, h, w, c) gives one of the
    losses above or more. It has `reconstruct(images) -> images`, `sample(num_images, seed) ->
    images`, or both.

    Args:
        train: the training split, as `tf_tickets.lab.data.dataset.load` returns it.
        test: the test split of the same data set.
        extractor: the network behind all but the losses, or None: images without labels cannot
            train a classifier, and Inception may be out of reach.
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
        extractor: FeatureExtractor | None,
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
        self._real_judged: dict[int, ImageEvidence] = {}
        self._reconstructors = weakref.WeakKeyDictionary()

    def __call__(self, model) -> tuple[dict[str, float], dict]:
        """Return the model's metrics, name -> value, and the protocol, fit for JSON."""
        offers = [name for name, protocol in _OFFERS.items() if isinstance(model, protocol)]
        with _fixed_random_state(model, self._seed):
            losses = model.evaluate(self._test_images, verbose=0, return_dict=True)
            measured = self._measured(offers, losses)
            judged, reconstructions, deviation = None, None, None
            if "reconstructions" in offers:
                judged, reconstructions = self._reconstruct(model, offers, measured)
            if "samples" in offers:
                judged, deviation = self._sample(model)
        real = self._real(judged.count)
        evidence = Evidence(losses, real, judged, reconstructions, deviation)
        metrics = {}
        for turn in _TURNS:
            of_turn = [metric for metric in measured if metric.of in turn]
            metrics |= {metric.name: float(metric.compute(evidence)) for metric in of_turn}
            _check_finite(metrics)
        generated = "samples" if "samples" in offers else "reconstructions"
        return metrics, self._protocol(generated, judged.count, measured)

    def _measured(self, offers, losses) -> list[Metric]:
        features = self._extractor and self._extractor.kind
        has_labels = self._train.num_classes >= 2
        return [m for m in METRICS.values() if m.applies(offers, features, has_labels, losses)]

    def _reconstruct(self, model, offers, measured) -> tuple[ImageEvidence, ReconstructionEvidence]:
        """Return the test images once reconstructed, as any images and beside the originals."""
        reconstruct = self._reconstructor(model)
        # Those of a model that can sample are looked at only if a metric is of them in particular.
        most = 0 if "samples" in offers else self._num_images
        is_judged = any(m.of == "reconstructions" and m.features for m in measured)
        judged = ImageEvidence(self._extractor, most)
        reconstructions = ReconstructionEvidence()
        for images, labels in self._test_batches:
            reconstructed = reconstruct(images)
            error = float(tf.reduce_sum(tf.math.squared_difference(reconstructed, images)))
            reconstructions.add(reconstructed, images, labels, error)
            if most or is_judged:
                judged.add(reconstructed)
        if is_judged:
            reconstructions.judge(judged)
        return judged, reconstructions

    def _reconstructor(self, model):
        """Return the model's `reconstruct`, compiled; once per model, for as long as it lives."""
        if model not in self._reconstructors:
            model_reference = weakref.ref(model)

            @tf.function(jit_compile=False, reduce_retracing=True)
            def reconstruct(images):
                return tf.cast(model_reference().reconstruct(images), tf.float32)

            self._reconstructors[model] = reconstruct
        return self._reconstructors[model]

    def _sample(self, model) -> tuple[ImageEvidence, float]:
        judged = ImageEvidence(self._extractor, self._num_images)
        deviation = PixelDeviation()
        sizes = _batch_sizes(self._num_images, self._batch_size)
        seeds = np.random.default_rng(self._seed).integers(2**31, size=len(sizes))
        for size, seed in zip(sizes, seeds, strict=True):
            images = model.sample(size, int(seed))
            judged.add(images)
            deviation.update(images)
        return judged, deviation.mean

    def _real(self, num_images: int) -> ImageEvidence:
        """Return the first training images judged; they are looked at only once."""
        if num_images not in self._real_judged:
            judged = ImageEvidence(self._extractor, num_images)
            for images, _ in self._train.examples.take(num_images).batch(self._batch_size):
                judged.add(images)
            self._real_judged[num_images] = judged
        return self._real_judged[num_images]

    def _protocol(self, generated: str, num_images: int, measured) -> dict:
        of_metrics = {}
        for metric in measured:
            of_metrics |= metric.protocol(num_images) if metric.protocol else {}
        extractor = self._extractor
        return {
            "features": extractor and extractor.kind,
            "features_digest": extractor and extractor.digest,
            "real": self._train.digest,
            "num_real_images": num_images,
            "generated": generated,
            "num_generated_images": num_images,
            **of_metrics,
            "test": self._test.digest,
            "num_test_images": self._test.num_images,
            "image_shape": list(self._test.image_shape),
            "resize": extractor and extractor.image_size,
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
