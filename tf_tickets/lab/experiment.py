"""A recipe brought to life: its data, its model, its training, its metrics and its pictures."""

import pathlib
import random
import weakref
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.files import sha256_of_arrays
from tf_tickets.keras_internals import copy_layer, copy_network
from tf_tickets.lab import data, metrics, models
from tf_tickets.lab.data.dataset import steps_per_epoch
from tf_tickets.lab.pictures import write_strip
from tf_tickets.lab.recipes import Recipe
from tf_tickets.lab.training import LinearDecay, fit_steps, steps_at_once
from tf_tickets.names import variable_names
from tf_tickets.protocols import Distills, Samples, Settles, Translates, components_of, rebuilt
from tf_tickets.search.task import Task
from tf_tickets.strategy import check_agreement
from tf_tickets.tickets.snapshot import take_snapshot

_NUM_PICTURES = 10


class Experiment:
    """What a search needs of one recipe: see `task`.

    Args:
        recipe: what to build, and how to train it.
        limit: use only so many training images, and at most as many for validation and test. The
            classifier behind the metrics always has all of its own.
        data_dir: folder of tensorflow_datasets, or of images of one's own.
        distill_discriminator: whether a GAN's trained dense discriminator teaches those of the
            later rounds (Chen et al., 2021, arXiv:2106.00134).
        strategy: that models are built and trained by, a recipe's batch being that of all replicas
            together. Whatever only looks at a model does so on one device: metrics and pictures
            are by one protocol, and need no other worker.

    Raises:
        SettingError, FileError: if the data cannot be had, or a batch cannot be split among the
            replicas.

    Attributes:
        callbacks: Keras callbacks for every training.
    """

    def __init__(
        self,
        recipe: Recipe,
        limit: int | None = None,
        data_dir: str | None = None,
        distill_discriminator: bool = False,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self.recipe = recipe
        self.strategy = strategy or tf.distribute.get_strategy()
        self._check_batch_size()
        self._twins = weakref.WeakKeyDictionary()
        self._distills = distill_discriminator
        self._teacher = None
        self._data_dir = data_dir
        self.train_images, self.validation_images, self.test_images = (
            data.load(recipe.dataset, split, recipe.image_size, limit, data_dir)
            for split in ("train", "validation", "test")
        )
        self._evaluators: tuple[metrics.Evaluator, metrics.Evaluator] | None = None
        self.callbacks: list[keras.callbacks.Callback] = []

    def _check_batch_size(self):
        replicas = self.strategy.num_replicas_in_sync
        if self.recipe.batch_size % replicas:
            raise SettingError(
                f"The {replicas} replicas share each batch equally: `batch_size` must be a "
                f"multiple of {replicas}. Received: batch_size={self.recipe.batch_size}."
            )

    def task(self) -> Task:
        """Return what a search asks for."""
        return Task(
            build=self.build,
            train=self.train,
            evaluate=self.evaluate,
            num_steps=self.num_steps,
            evaluations=self.recipe.evaluations,
            watch=self.watch,
            test=self.test,
            directions={name: card.higher_is_better for name, card in metrics.METRICS.items()},
            check=metrics.refuse_collapse,
            prepare=self.prepare,
            illustrate=self.illustrate,
        )

    @property
    def num_steps(self) -> int:
        """Optimizer steps of one training."""
        found, recipe = self.train_images.num_images, self.recipe
        if recipe.critic_steps > 1 and self.images_per_step > found:
            raise SettingError(
                f"A step of {recipe.model} takes batch_size={recipe.batch_size} images "
                f"for each of critic_steps={recipe.critic_steps} updates of its discriminator, and "
                f"there are {found} images. Choose a smaller `batch_size` or fewer `critic_steps`."
            )
        return recipe.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one pass over the training images."""
        return steps_per_epoch(self.train_images, self.images_per_step)

    @property
    def images_per_step(self) -> int:
        """Images that one optimizer step sees."""
        return self.recipe.images_per_step

    def load_features(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Load the classifier behind the metrics; it is trained if none is kept.

        `evaluate` does it when it has to.

        Args:
            progress: called, while a classifier is trained, with the steps done and all steps.

        Raises:
            FileError: if no classifier can be kept.
        """
        self._evaluators = self.evaluators(progress=progress)

    def evaluators(
        self,
        inception: str | None = None,
        num_samples: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[metrics.Evaluator, metrics.Evaluator]:
        """Return what evaluates models on the validation images and on the test images.

        Args:
            inception: address or folder of an Inception network, whose features come beside those
                of the classifier.
            num_samples: how many images are sampled; by default as many as are real.
            progress: as `load_features` takes it.

        Raises:
            FileError: if the Inception network cannot be loaded, or no classifier be kept.
        """
        extractors = [metrics.load_inception(inception)] if inception else []
        # Images without labels train no classifier, but to tell two domains apart.
        if self.train_images.num_classes >= 2 or self._card.domains:
            extractors = [self._classifier(progress), *extractors]
        here, there = self.validation_images, self.test_images
        if self._card.domains:
            options = {"has_truth": self._card.has_truth}
            return (
                metrics.TranslationEvaluator(here, extractors, there, **options),
                metrics.TranslationEvaluator(there, extractors, here, **options),
            )
        return (
            metrics.Evaluator(here, extractors, num_samples, other=there),
            metrics.Evaluator(there, extractors, num_samples, other=here),
        )

    def _classifier(self, progress):
        size = self.recipe.image_size
        images = data.load(self.recipe.dataset, "classifier", size, data_dir=self._data_dir)
        if self._card.domains:
            images = images.of_both_domains()
        return metrics.load_classifier(images, progress=progress)

    @property
    def _card(self):
        return data.DATASETS[self.recipe.dataset].at(self._data_dir)

    def evaluate(self, model: keras.Model) -> tuple[dict[str, float], dict]:
        """Return a model's metrics on the validation images, and their protocol."""
        return self._on(0)(self._on_one_device(model))

    def test(self, model: keras.Model) -> tuple[dict[str, float], dict]:
        """Return a model's metrics on the test images, and their protocol."""
        return self._on(1)(self._on_one_device(model))

    def watch(self, model: keras.Model) -> dict[str, float]:
        """Return those metrics on the validation images that a training is followed by."""
        return self._on(0).watch(self._on_one_device(model))

    def _on(self, number):
        if self._evaluators is None:
            self.load_features()
        return self._evaluators[number]

    def _on_one_device(self, model):
        """Return the model, or if a strategy trains it a twin with the weights of now."""
        if self.strategy is tf.distribute.get_strategy():
            return model
        if model not in self._twins:
            parts = components_of(model).items()
            self._twins[model] = rebuilt(
                model, {name: copy_network(part, copy_layer) for name, part in parts}
            )
            self._twins[model].compile()
        twin = self._twins[model]
        for variable, trained in zip(twin.weights, model.weights, strict=True):
            variable.assign(trained.numpy())
        return twin

    def build(self, seed: int) -> keras.Model:
        """Return a new compiled model whose weights are drawn from the seed.

        If workers train together, all of them have to build it.
        """
        with self.strategy.scope():
            return self.build_on_one_device(seed)

    def build_on_one_device(self, seed: int) -> keras.Model:
        """Return the same model, outside the strategy, for one worker alone."""
        # Under a strategy, several steps as one end in an InvalidArgumentError of TensorFlow.
        at_once = 1 if tf.distribute.has_strategy() else self._steps_at_once
        return build_model(self.recipe, self.train_images.image_shape, seed, at_once)

    def train(self, model: keras.Model, seed: int, start_step: int, stop_step: int) -> None:
        """Train a model for the optimizer steps [start_step, stop_step)."""
        fit_steps(
            model,
            self.train_images,
            self.images_per_step,
            seed,
            start_step,
            stop_step,
            [*self.callbacks, *self._decay(start_step)],
        )

    @property
    def _steps_at_once(self):
        return steps_at_once(self.steps_per_epoch, self.num_steps)

    def _decay(self, start_step):
        if self.recipe.learning_rate_decay == "none":
            return []
        rate, every = self.recipe.learning_rate, self._steps_at_once
        begin = 0.5 if self.recipe.learning_rate_decay == "linear-from-half" else 0.0
        return [LinearDecay(rate, self.num_steps, start_step, every, begin)]

    def prepare(self, model: keras.Model, dense: Mapping[str, np.ndarray] | None) -> None:
        """Prepare a model whose weights were set for a training from them.

        Args:
            model: as `build` returns it.
            dense: the trained dense network's weights, by variable name; None if that is what will
                be trained. A GAN's discriminator is taught by this one's if it distills.

        Raises:
            SettingError: if workers that train together do not hold the same weights.
        """
        if isinstance(model, Settles):
            model.settle()
        if self._distills and isinstance(model, Distills):
            model.distill(None if dense is None else self._teacher_with(dense))
        if self.strategy.cluster_resolver is not None:
            # What each worker computed by itself, such as masks, could differ between machines.
            advice = "Their weights differ. Use machines of one kind, with the same versions."
            check_agreement(self.strategy, sha256_of_arrays(take_snapshot(model)), advice)

    def _teacher_with(self, weights):
        """Return the one discriminator that teaches, with these weights."""
        if self._teacher is None:
            model = self.build(seed=0)
            inside = {id(variable) for variable in model.discriminator.variables}
            named = variable_names(model).items()
            self._teacher = (model.discriminator, [(n, v) for n, v in named if id(v) in inside])
        discriminator, variables = self._teacher
        for name, variable in variables:
            variable.assign(weights[name])
        return discriminator

    def illustrate(self, model: keras.Model, path: pathlib.Path) -> None:
        """Write a PNG of ten images side by side that the model makes.

        Samples of a fixed seed if it can sample, else what it makes of the real pictures.
        """
        model = self._on_one_device(model)
        if isinstance(model, Samples):
            images = model.sample(_NUM_PICTURES, seed=0)
        elif isinstance(model, Translates):
            halves = zip(np.split(self.real_pictures(), 2), ("a2b", "b2a"), strict=True)
            images = np.concatenate([model.translate(*half) for half in halves])
        else:
            images = model.reconstruct(self.real_pictures())
        write_strip(keras.ops.convert_to_numpy(images), path)

    def real_pictures(self) -> np.ndarray:
        """Return the ten test images that pictures are compared with, (10, h, w, c) in [-1, 1].

        Of two domains these are five of A and five of B.
        """
        examples = self.test_images.examples.take(_NUM_PICTURES)
        images = np.stack([image for image, _ in examples.as_numpy_iterator()])
        if not self._card.domains:
            return images
        a, b = np.split(images, 2, axis=-1)
        half = _NUM_PICTURES // 2
        return np.concatenate([a[:half], b[half:]])


def build_model(
    recipe: Recipe, image_shape: Sequence[int], seed: int, steps_per_execution: int = 1
) -> keras.Model:
    """Return a new compiled model of a recipe, with weights drawn from the seed."""
    # Keras draws its layers' seeds from here. `keras.utils.set_random_seed` would also seed
    # TensorFlow, which drops its compiled kernels at that: 0.6 s for each model built in a search.
    random.seed(seed)
    model = models.build(recipe.model, image_shape, **recipe.network)
    count = models.MODELS[recipe.model].family.num_optimizers
    optimizers = [_optimizer(recipe) for _ in range(count)]
    model.compile(*optimizers, steps_per_execution=steps_per_execution)
    return model


def _optimizer(recipe):
    config = {"learning_rate": recipe.learning_rate, **recipe.optimizer_options}
    return keras.optimizers.get({"class_name": recipe.optimizer, "config": config})
