"""Metrics of models that translate between two domains: those of each direction, and their mean."""

import dataclasses
import functools
import weakref

import numpy as np

from tf_tickets.lab.metrics import accuracy, frechet, kernel, losses
from tf_tickets.lab.metrics.card import Metric

_DIRECTIONS = {"a2b": "A to B", "b2a": "B to A"}
# What one direction measures of its translations, as if they were reconstructions -> its name here.
_OWN_NAMES = {
    "reconstruction_loss": "translation_error",
    "classifier_accuracy": "translated_accuracy",
}


def _of_translations(card: Metric) -> list[Metric]:
    """Return the cards of both directions, and of their mean if there is no such card yet."""
    needs_truth = "truth" if card.name in _OWN_NAMES else None
    mean = dataclasses.replace(
        card,
        name=_OWN_NAMES.get(card.name, card.name),
        of="translations",
        only_with=needs_truth,
        protocol=None,
    )
    single = [
        dataclasses.replace(mean, name=f"{mean.name}_{short}", title=f"{card.title}, {long}")
        for short, long in _DIRECTIONS.items()
    ]
    return [mean, *single] if needs_truth else single


_LOSSES = ("generator_loss", "discriminator_loss", "cycle_loss")
(_ERROR,) = (card for card in losses.CARDS if card.name == "reconstruction_loss")
(_ACCURACY,) = (card for card in accuracy.CARDS if card.name == "classifier_accuracy")
_JOINED = {
    card.name: card
    for card in (
        dataclasses.replace(_ERROR, title="Error of translations"),
        dataclasses.replace(_ACCURACY, title="Accuracy on translations"),
        *frechet.CARDS,
        *kernel.CARDS,
    )
}
CARDS = tuple(single for card in _JOINED.values() for single in _of_translations(card))


class TranslationEvaluator:
    """Evaluates models that translate, on one split of two domains, by one protocol.

    It is called as an `Evaluator` is. Beside the losses, the metrics are those of the translations
    of A beside the images of B, such as `fcd_a2b`, of the other direction, and of both: `fcd` is
    their mean. If the data has true translations, `translation_error` is how far those of the model
    are from them, and `translated_accuracy` how many of these a classifier still recognises.

    The protocol holds, as `copies`, what a model has that leaves every image as it is.

    Args:
        real: the split of two domains, as `tf_tickets.lab.data.dataset.load` returns it.
        extractors, other, batch_size, seed: as `Evaluator` takes them.
        has_truth: whether both images of a row show the same.
    """

    def __init__(self, real, extractors=(), other=None, batch_size=500, seed=0, has_truth=False):
        from tf_tickets.lab.metrics.evaluation import Evaluator

        self._real = real
        self._has_truth = has_truth
        self._batch_size = batch_size
        self._directions = {
            name: Evaluator(
                real.of_domain(1 - number),
                extractors,
                other=None if other is None else other.of_domain(1 - number),
                batch_size=batch_size,
                seed=seed,
                inputs=real.of_domain(number),
            )
            for number, name in enumerate(_DIRECTIONS)
        }
        self._views = weakref.WeakKeyDictionary()

    def __call__(self, model) -> tuple[dict[str, float], dict]:
        """Return the model's metrics, name -> value, and the protocol, fit for JSON."""
        images = self._real.batches(self._batch_size).map(lambda images, labels: images)
        losses = model.evaluate(images, verbose=0, return_dict=True)
        if model not in self._views:
            self._views[model] = {name: _Direction(model, name) for name in _DIRECTIONS}
        found, protocol = self._measured(self._views[model])
        floors = _with_means({name: each.floor for name, each in self._directions.items()})
        kept = {name: float(value) for name, value in losses.items() if name in _LOSSES}
        protocol |= {"generated": "translations", "floor": floors, "copies": self.copies}
        return {**kept, **found}, protocol

    def watch(self, model) -> dict[str, float]:
        """Return the metrics that a training is followed by: all, as losses say too little."""
        return self(model)[0]

    @functools.cached_property
    def copies(self) -> dict[str, float]:
        """The metrics of a model that leaves every image as it is."""
        return self._measured(dict.fromkeys(_DIRECTIONS, _View()))[0]

    def _measured(self, views):
        """Return the metrics of all directions, and the protocol of one."""
        found, protocol = {}, {}
        for name, evaluator in self._directions.items():
            metrics, protocol = evaluator(views[name])
            if not self._has_truth:
                metrics = {k: value for k, value in metrics.items() if k not in _OWN_NAMES}
            found[name] = metrics
        return _with_means(found), protocol


class _View:
    """A model that makes images of B out of images of A, to be evaluated as if it reconstructed."""

    weights = variables = ()

    def evaluate(self, images, **options) -> dict:
        """Return no losses: they are those of both directions."""
        return {}

    def reconstruct(self, images):
        """Return the images as they are."""
        return images


class _Direction(_View):
    """One direction of a model; it does not keep the model alive."""

    def __init__(self, model, direction):
        self._model, self._direction = weakref.ref(model), direction

    def reconstruct(self, images):
        """Return the translations of images of the direction's first domain."""
        return self._model().translate(images, self._direction)


def _with_means(found: dict[str, dict]) -> dict[str, float]:
    """Return the metrics of each direction under a name of its own, and the mean of both."""
    both = {}
    for metric in _JOINED:
        own = _OWN_NAMES.get(metric, metric)
        values = {name: each[metric] for name, each in found.items() if metric in each}
        if values:
            both[own] = float(np.mean(list(values.values())))
            both |= {f"{own}_{direction}": value for direction, value in values.items()}
    return both
