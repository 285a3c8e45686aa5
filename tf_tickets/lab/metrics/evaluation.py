"""All metrics of a generative model at once, each record with the protocol it was taken by."""

import contextlib
import functools
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError, check_count
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.metrics.accuracy import classifier_accuracy
from tf_tickets.lab.metrics.card import Metric
from tf_tickets.lab.metrics.collapse import PixelDeviation
from tf_tickets.lab.metrics.evidence import Evidence, ImageEvidence, ReconstructionEvidence
from tf_tickets.lab.metrics.features import FeatureExtractor
from tf_tickets.lab.metrics.images import float_images
from tf_tickets.protocols import Reconstructs, Samples

# A model whose losses or reconstructions are not finite has diverged, whatever its samples are:
# these metrics are looked at first.
_TURNS = (("losses", "reconstructions"), ("samples", "generated"))


# What a model can make, and the protocol that says so.
_OFFERS = {"reconstructions": Reconstructs, "samples": Samples}


class Evaluator:
    """Evaluates models on one split of a data set, by one protocol.

    Calling it with a model returns `(metrics, protocol)`, two flat dictionaries. The metrics are
    those of `METRICS` that can be measured of the model, in that order:

    - `loss`: the model's own objective on these images; of a GAN instead `discriminator_loss`
      and `generator_loss`, which are shown but choose no model;
    - `reconstruction_loss`: mean squared error per pixel value there, pixels in [-1, 1];
    - `classifier_accuracy` (only with a classifier): how many reconstructed images are still
      recognised;
    - `fcd` and `fid`, for each extractor: Frechet distance of samples, if the model can sample, or
      else of reconstructed images, to the real ones;
    - `kcd` and `kid`: kernel distance between the same images; it may be slightly negative;
    - `classifier_score` and `inception_score` of the same generated images.

    The real images should be none that the model or the classifier was trained on. What two sets
    of such images are apart is the `floor` of the protocol: no generator can be better.

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
        real: the split, as `tf_tickets.lab.data.dataset.load` returns it.
        extractors: the networks behind all but the losses, one of each kind; none if images
            without labels cannot train a classifier and Inception is out of reach.
        num_samples: how many images are sampled; by default as many as are real. A Frechet
            distance is biased upward for few, so compare only distances of equally many.
        other: another split of real images, for the floor.
        batch_size: how many images are in work at once.
        seed: of the samples and of all else that is random in an evaluation.
        inputs: what is reconstructed, if that is not `real`: as many images. What should come of
            each is the image in the same place of `real`.

    Raises:
        SettingError: if `num_samples` or `batch_size` is too small; when called, if the model
            makes other images than it was asked for.
        DivergedError: when called, if a metric is NaN or infinite; the message names it.
    """

    def __init__(
        self,
        real,
        extractors: Sequence[FeatureExtractor] = (),
        num_samples: int | None = None,
        other=None,
        batch_size: int = 500,
        seed: int = 0,
        inputs=None,
    ):
        num_samples = real.num_images if num_samples is None else num_samples
        for name, value, least in (
            ("num_samples", num_samples, 2),
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
        ):
            check_count(name, value, least)
        self._real = real
        self._extractors = {extractor.kind: extractor for extractor in extractors}
        self._num_samples = num_samples
        self._other = other
        self._batch_size = batch_size
        self._seed = seed
        self._batches = real.batches(batch_size)
        self._images = self._batches.map(lambda images, labels: images)
        self._inputs = real if inputs is None else inputs
        self._reconstructors = weakref.WeakKeyDictionary()

    def __call__(self, model) -> tuple[dict[str, float], dict]:
        """Return the model's metrics, name -> value, and the protocol, fit for JSON."""
        offers = _offers_of(model)
        with _fixed_random_state(model, self._seed):
            losses = model.evaluate(self._images, verbose=0, return_dict=True)
            measured = self._measured(offers, losses)
            seen = _Seen(self._new_evidence)
            if "reconstructions" in offers:
                self._reconstruct(model, seen, offers, measured)
            if "samples" in offers:
                self._sample(model, seen)
        evidence = {
            kind: Evidence(losses, self._judged_real[kind], generated, *seen.of(kind))
            for kind, generated in seen.generated.items()
        }
        generated = "samples" if "samples" in offers else "reconstructions"
        metrics = _computed(measured, evidence)
        return metrics, self._protocol(generated, seen.count, measured)

    def watch(self, model) -> dict[str, float]:
        """Return those of the metrics that cost little, to follow a training by.

        They are the losses and the `reconstruction_loss`. Of a model that cannot reconstruct all
        metrics are returned: its losses say nothing of how good it is.
        """
        offers = _offers_of(model)
        if "reconstructions" not in offers:
            return self(model)[0]
        with _fixed_random_state(model, self._seed):
            losses = model.evaluate(self._images, verbose=0, return_dict=True)
            measured = [
                metric
                for metric in self._measured(offers, losses)
                if metric.of in ("losses", "reconstructions") and metric.features is None
            ]
            seen = _Seen(lambda most: {None: ImageEvidence(None, most)})
            self._reconstruct(model, seen, offers, measured)
        evidence = Evidence(losses, None, seen.generated[None], *seen.of(None))
        return _computed(measured, {None: evidence})

    @functools.cached_property
    def _judged_real(self) -> dict:
        """The real images as each network sees them; they are looked at only once."""
        return self._judge(self._real, self._real.num_images)

    def _judge(self, dataset, most) -> dict:
        judged = self._new_evidence(most)
        for images, _ in dataset.batches(self._batch_size):
            for each in judged.values():
                each.add(images)
        return judged

    def _new_evidence(self, most: int) -> dict:
        """Return empty evidence for each network; under None that for metrics that need none."""
        judged = {kind: ImageEvidence(e, most) for kind, e in self._extractors.items()}
        return judged or {None: ImageEvidence(None, most)}

    @functools.cached_property
    def floor(self) -> dict[str, float]:
        """Each distance between this split and the other one, at equal counts; {} without it."""
        if self._other is None or not self._extractors:
            return {}
        count = min(self._real.num_images, self._other.num_images)
        here, there = self._judge(self._real, count), self._judge(self._other, count)
        return {
            metric.name: float(metric.compute(Evidence({}, here[kind], there[kind], None, None)))
            for metric in METRICS.values()
            if (kind := metric.features) in self._extractors
            and metric.has_floor
            and metric.of == "generated"
        }

    def _measured(self, offers, losses) -> list[Metric]:
        has_labels = self._real.num_classes >= 2
        return [
            metric
            for metric in METRICS.values()
            if metric.applies(offers, self._extractors, has_labels, losses)
        ]

    def _reconstruct(self, model, seen, offers, measured):
        """Look at the images once reconstructed, as any images and beside the originals."""
        reconstruct = self._reconstructor(model)
        # Those of a model that can sample are looked at only if a metric is of them in particular.
        most = 0 if "samples" in offers else self._real.num_images
        is_judged = any(m.of == "reconstructions" and m.features for m in measured)
        judged = seen.new(most)
        reconstructions = ReconstructionEvidence()
        inputs = self._inputs.batches(self._batch_size)
        for (given, _), (images, labels) in tf.data.Dataset.zip(inputs, self._batches):
            reconstructed = self._checked(reconstruct(given), len(images), "reconstruct")
            error = float(tf.reduce_sum(tf.math.squared_difference(reconstructed, images)))
            reconstructions.add(reconstructed, images, labels, error)
            if most or is_judged:
                for each in judged.values():
                    each.add(reconstructed)
        if is_judged:
            reconstructions.judge(judged.get("classifier"))
        seen.reconstructions = reconstructions

    def _reconstructor(self, model):
        """Return the model's `reconstruct`, compiled; once per model, for as long as it lives."""
        if model not in self._reconstructors:
            model_reference = weakref.ref(model)

            @tf.function(jit_compile=False, reduce_retracing=True)
            def reconstruct(images):
                return model_reference().reconstruct(images)

            self._reconstructors[model] = reconstruct
        return self._reconstructors[model]

    def _sample(self, model, seen):
        judged, deviation = seen.new(self._num_samples), PixelDeviation()
        sizes = _batch_sizes(self._num_samples, self._batch_size)
        seeds = np.random.default_rng(self._seed).integers(2**31, size=len(sizes))
        for size, seed in zip(sizes, seeds, strict=True):
            images = self._checked(model.sample(size, int(seed)), size, "sample")
            deviation.update(images)
            for each in judged.values():
                each.add(images)
        seen.deviation = deviation.mean

    def _checked(self, images, count: int, method: str) -> tf.Tensor:
        """Return images that a model made as float32; of another shape they would be compared,
        by broadcasting or after resizing, without a word.
        """
        images = float_images(images, self._real.image_shape, f"The images of `{method}`")
        if len(images) != count:
            raise SettingError(
                f"`{method}` was asked for {count} images. Received: {len(images)} of them."
            )
        return images

    def _protocol(self, generated: str, num_generated: int, measured) -> dict:
        of_metrics = {}
        for metric in measured:
            of_metrics |= metric.protocol(num_generated) if metric.protocol else {}
        return {
            "features": [self._described(each) for each in self._extractors.values()],
            "floor": self.floor,
            "real": self._real.digest,
            "num_real_images": self._real.num_images,
            "generated": generated,
            "num_generated_images": num_generated,
            **of_metrics,
            "image_shape": list(self._real.image_shape),
            "seed": self._seed,
        }

    def _described(self, extractor) -> dict:
        described = {
            "kind": extractor.kind,
            "digest": extractor.digest,
            "resize": extractor.image_size,
        }
        if extractor.kind == "classifier":
            labels = np.concatenate([label for _, label in self._batches.as_numpy_iterator()])
            logits = self._judged_real["classifier"].all_logits
            described["accuracy"] = classifier_accuracy(logits, labels)
        return described


class _Seen:
    """What was seen of a model: its generated images, and what it reconstructs.

    Args:
        new_evidence: `new_evidence(most)` returns empty evidence for each network.
    """

    def __init__(self, new_evidence: Callable[[int], dict]):
        self._new_evidence = new_evidence
        self.generated: dict = {}
        self.reconstructions = None
        self.deviation = None

    def new(self, most: int) -> dict:
        """Return empty evidence, which is from now on that of the generated images."""
        self.generated = self._new_evidence(most)
        return self.generated

    @property
    def count(self) -> int:
        """How many images were generated."""
        return next(iter(self.generated.values())).count

    def of(self, kind) -> tuple:
        """Return the reconstructions and the deviation, as an `Evidence` takes them."""
        return self.reconstructions, self.deviation


def _offers_of(model) -> list[str]:
    return [name for name, protocol in _OFFERS.items() if isinstance(model, protocol)]


def _computed(measured: Sequence[Metric], evidence: Mapping) -> dict[str, float]:
    """Return the metrics of a model, each computed from what its network saw."""
    of_any, metrics = next(iter(evidence.values())), {}
    for turn in _TURNS:
        for metric in measured:
            if metric.of in turn:
                seen = evidence.get(metric.features, of_any)
                metrics[metric.name] = float(metric.compute(seen))
                _check_finite(metric.name, metrics[metric.name])
    return metrics


def _batch_sizes(count: int, batch_size: int) -> list[int]:
    full, rest = divmod(count, batch_size)
    return [batch_size] * full + [rest] * (rest > 0)


def _check_finite(name: str, value: float):
    if not math.isfinite(value):
        raise DivergedError(
            f"The model has diverged: its {name} is {value}. Try a lower learning rate, or float32."
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
