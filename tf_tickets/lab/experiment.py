"""A recipe brought to life: its data, its model, its training, its metrics and its pictures."""

import importlib.metadata
import os
import pathlib
import platform
import random
import weakref
from collections.abc import Callable, Collection, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.costs.flops import count_flops
from tf_tickets.errors import SettingError
from tf_tickets.files import sha256_of_arrays, write_whole
from tf_tickets.lab import metrics, models
from tf_tickets.lab.data import dataset as data
from tf_tickets.lab.recipes import COUNTS, Recipe
from tf_tickets.lab.training import fit_steps
from tf_tickets.names import variable_names
from tf_tickets.protocols import Samples, Settles
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.strategy import check_agreement
from tf_tickets.tickets.snapshot import take_snapshot

_NUM_PICTURES = 10


class Experiment:
    """What a search needs of one recipe: `build`, `train`, `evaluate`, `illustrate`, `num_steps`.

    Args:
        recipe: what to build, and how to train it.
        limit: use only so many training images, and at most as many test images.
        data_dir: folder of tensorflow_datasets.
        inception: address or folder of an Inception network; without it a classifier trained on
            the data set's labels gives the features.
        callbacks: Keras callbacks for every training.
        distill_discriminator: whether a GAN's trained dense discriminator teaches those of the
            later rounds (C8).
        strategy: that models are built and trained by, a recipe's batch being that of all replicas
            together. Whatever only looks at a model does so on one device: metrics and pictures
            are by one protocol, and need no other worker.

    Raises:
        SettingError, FileError: if the data or the Inception network cannot be had, or a batch
            cannot be split among the replicas.
    """

    def __init__(
        self,
        recipe: Recipe,
        limit: int | None = None,
        data_dir: str | None = None,
        inception: str | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        distill_discriminator: bool = False,
        strategy: tf.distribute.Strategy | None = None,
    ):
        self.recipe = recipe
        self.strategy = strategy or tf.distribute.get_strategy()
        self._check_batch_size()
        self._twins = weakref.WeakKeyDictionary()
        self._distills = distill_discriminator
        self._teacher = None
        self.train_images, self.test_images = (
            data.load(recipe.dataset, split, recipe.image_size, limit, data_dir)
            for split in ("train", "test")
        )
        self._inception = inception
        self._evaluator = None
        self.callbacks = list(callbacks)

    def _check_batch_size(self):
        replicas = self.strategy.num_replicas_in_sync
        if self.recipe.batch_size % replicas:
            raise SettingError(
                f"The {replicas} replicas share each batch equally: `batch_size` must be a "
                f"multiple of {replicas}. Received: batch_size={self.recipe.batch_size}."
            )

    @property
    def num_steps(self) -> int:
        """Optimizer steps of one training."""
        found = self.train_images.num_images
        if self._critic_steps > 1 and self.images_per_step > found:
            raise SettingError(
                f"A step of {self.recipe.model} takes batch_size={self.recipe.batch_size} images "
                f"for each of critic_steps={self._critic_steps} updates of its discriminator, and "
                f"there are {found} images. Choose a smaller batch_size or fewer critic_steps."
            )
        return self.recipe.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one pass over the training images."""
        return data.steps_per_epoch(self.train_images, self.images_per_step)

    @property
    def images_per_step(self) -> int:
        """Images that one optimizer step sees."""
        # Each of the discriminator's updates within a step sees a batch of its own.
        return self.recipe.batch_size * self._critic_steps

    @property
    def _critic_steps(self) -> int:
        options = models.resolved_options(self.recipe.model, self.recipe.network)
        return options.get("critic_steps", 1)

    def load_features(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Load the network behind the metrics; a classifier is trained where none is kept.

        `evaluate` does it when it has to; doing it first shows a bad address before any training.

        Args:
            progress: called, while a classifier is trained, with the steps done and all steps.

        Raises:
            FileError: if the Inception network cannot be loaded, or no classifier be kept.
        """
        extractor = (
            metrics.load_inception(self._inception)
            if self._inception
            else metrics.load_classifier(self.train_images, progress=progress)
        )
        self._evaluator = metrics.Evaluator(self.train_images, self.test_images, extractor)

    def evaluate(self, model: keras.Model) -> tuple[dict[str, float], dict]:
        """Return a trained model's metrics and the protocol that they were taken by."""
        if self._evaluator is None:
            self.load_features()
        return self._evaluator(self._on_one_device(model))

    def _on_one_device(self, model):
        """Return the model, or where a strategy trains it a twin with the weights of now."""
        if self.strategy is tf.distribute.get_strategy():
            return model
        if model not in self._twins:
            networks = {n: keras.models.clone_model(part) for n, part in model.components.items()}
            self._twins[model] = model.with_networks(**networks)
            self._twins[model].compile()
        twin = self._twins[model]
        for variable, trained in zip(twin.weights, model.weights, strict=True):
            variable.assign(trained.numpy())
        return twin

    def build(self, seed: int) -> keras.Model:
        """Return a new compiled model whose weights are drawn from the seed.

        Where workers train together, all of them have to build it.
        """
        with self.strategy.scope():
            return self.build_on_one_device(seed)

    def build_on_one_device(self, seed: int) -> keras.Model:
        """Return the same model, outside the strategy, for one worker alone."""
        return build_model(self.recipe, self.train_images.image_shape, seed)

    def train(self, model: keras.Model, seed: int, start_step: int, stop_step: int) -> None:
        """Train a model for the optimizer steps [start_step, stop_step)."""
        fit_steps(
            model,
            self.train_images,
            self.images_per_step,
            seed,
            start_step,
            stop_step,
            self.callbacks,
        )

    def prepare(self, model: keras.Model, dense: Mapping[str, np.ndarray] | None) -> None:
        """Prepare a model whose weights were set for a training from them.

        Args:
            model: as `build` returns it.
            dense: the trained dense network's weights, by variable name; None where that is what
                will be trained. A GAN's discriminator is taught by this one's with
                `distill_discriminator`.

        Raises:
            SettingError: if workers that train together do not hold the same weights.
        """
        if isinstance(model, Settles):
            model.settle()
        if self._distills:
            model.distill(None if dense is None else self._teacher_with(dense))
        if self.strategy.cluster_resolver is not None:
            # What each worker computed by itself, such as masks, could differ between machines.
            advice = "Their weights differ. Use machines of one kind, with the same versions."
            check_agreement(self.strategy, sha256_of_arrays(take_snapshot(model)), advice)

    def _teacher_with(self, weights):
        """Return the one discriminator that teaches, with these weights."""
        if self._teacher is None:
            self._teacher = self.build(seed=0).discriminator
        for name, variable in variable_names(self._teacher).items():
            variable.assign(weights[f"discriminator/{name}"])
        return self._teacher

    def illustrate(self, model: keras.Model, path: pathlib.Path) -> None:
        """Write a PNG of ten images side by side that the model makes.

        Samples of a fixed seed where it can sample, reconstructions of test images otherwise.
        """
        model = self._on_one_device(model)
        if isinstance(model, Samples):
            images = model.sample(_NUM_PICTURES, seed=0)
        else:
            images = model.reconstruct(self.real_pictures())
        strip = np.concatenate(keras.ops.convert_to_numpy(images), axis=1)
        pixels = np.rint((strip + 1) * 127.5).clip(0, 255).astype(np.uint8)
        write_whole(path, tf.io.encode_png(pixels).numpy())

    def real_pictures(self) -> np.ndarray:
        """Return the ten test images that pictures are compared with, (10, h, w, c) in [-1, 1]."""
        examples = self.test_images.examples.take(_NUM_PICTURES)
        return np.stack([image for image, _ in examples.as_numpy_iterator()])


def read_pictures(path) -> np.ndarray:
    """Return the images of a strip that `illustrate` wrote, (n, h, w, c) in [-1, 1]."""
    strip = tf.io.decode_png(pathlib.Path(path).read_bytes()).numpy()
    return np.stack(np.split(strip / 127.5 - 1, strip.shape[1] // strip.shape[0], axis=1))


def build_model(recipe: Recipe, image_shape: tuple, seed: int) -> keras.Model:
    """Return a new compiled model of a recipe, with weights drawn from the seed."""
    # Keras draws its layers' seeds from here. `keras.utils.set_random_seed` would also seed
    # TensorFlow, which drops its compiled kernels at that: 0.6 s for each model built in a search.
    random.seed(seed)
    model = models.build(recipe.model, image_shape, **recipe.network)
    model.compile(*(_optimizer(recipe) for _ in range(2 if "generator" in model.components else 1)))
    return model


def _optimizer(recipe):
    config = {"learning_rate": recipe.learning_rate, **recipe.optimizer_options}
    return keras.optimizers.get({"class_name": recipe.optimizer, "config": config})


def describe(recipe: Recipe, scope: str | None = None) -> dict:
    """Return the network's parameter counts, in all and by component, and what an image takes.

    Weights, biases, and the scales and shifts of batch normalisation, as the paper counts; not its
    moving statistics. The paper's count stands beside them, None where the model is none of the
    paper's. `flops` are those of each component's forward pass for one image; `options` are all
    that the model is built with, defaults included.

    Args:
        recipe: of the network.
        scope: the component that may be pruned, or None for all.
    """
    model = build_model(recipe, data.image_shape(recipe.dataset, recipe.image_size), seed=0)
    dataset, params = COUNTS[recipe.model]
    return {
        "params": num_values(model.trainable_variables),
        "components": {
            name: num_values(part.trainable_variables) for name, part in model.components.items()
        },
        "flops": count_flops(model).forward_by_component,
        "prunable": num_values(prunable(model, scope)),
        "paper": params and {"dataset": dataset, "params": params},
        "options": models.resolved_options(recipe.model, recipe.network),
    }


def decisive_metric(name: str, inception: str | None, absent: Collection[str] = ()) -> str:
    """Return the metric's name, "frechet" being `fid` with an Inception network, else `fcd`.

    Args:
        name: "frechet" or a name in `metrics.HIGHER_IS_BETTER`.
        inception: as `Experiment` takes it.
        absent: the metrics that are not measured of the model.

    Raises:
        SettingError: if there is no such metric, or it needs the other kind of features.
    """
    if name == "frechet":
        return "fid" if inception else "fcd"
    of_other_features = ("fcd", "kcd", "classifier_score", "classifier_accuracy")
    if not inception:
        of_other_features = ("fid", "kid", "inception_score")
    known = [m for m in metrics.HIGHER_IS_BETTER if m not in (*of_other_features, *absent)]
    if name not in known:
        hint = "" if inception else " (fid, kid and inception_score need --inception)"
        hint = f" ({name} is not measured of a GAN)" if name in absent else hint
        raise SettingError(
            f"argument --metric: invalid choice: {name!r} (choose from {', '.join(known)}){hint}"
        )
    return name


def versions() -> dict[str, str]:
    """Return the versions of what decides the bits of a result."""
    names = ("tf-tickets", "tensorflow", "keras", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def machine() -> dict:
    """Return what a reader of a result would ask of the machine that it was found on."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
    }
