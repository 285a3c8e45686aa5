"""What the examples have in common: how each is built and trained, and what it is made of."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.names import place_names

BATCH_SIZE = 4


@dataclasses.dataclass(frozen=True)
class Example:
    """One script of keras.io, made small.

    Attributes:
        networks: makes its networks, by name, of fresh weights.
        assemble: makes a compiled model of such networks.
        data: arrays that `fit` slices into batches, one or a tuple of them.
    """

    networks: Callable[[], dict[str, keras.Model]]
    assemble: Callable[..., keras.Model]
    data: tuple | np.ndarray

    def build(self, seed=0) -> keras.Model:
        keras.utils.set_random_seed(seed)
        return self.assemble(**self.networks())

    def fit(self, model, epochs, callbacks=()) -> dict:
        """Train a model, and return the logs of each epoch."""
        batches = tf.data.Dataset.from_tensor_slices(self.data).batch(BATCH_SIZE)
        options = {"callbacks": list(callbacks), "shuffle": False, "verbose": 0}
        return model.fit(batches, epochs=epochs, **options).history


def parts_of(model) -> dict[str, keras.Model]:
    """Return the networks within a model, by name; itself where it is a network without others."""
    names = place_names(model)
    parts = {names[id(each)]: each for each in model.layers if isinstance(each, keras.Model)}
    return parts or {model.name: model}


def images(*shape, seed=0, low=-1.0) -> np.ndarray:
    """Return random images (batch, height, width, channels) in [low, 1]."""
    return np.random.default_rng(seed).uniform(low, 1, shape).astype("float32")


def labels(*shape, num_classes, seed=0) -> np.ndarray:
    """Return random labels as one-hot vectors, float32 (*shape, num_classes)."""
    drawn = np.random.default_rng(seed).integers(num_classes, size=shape)
    return np.eye(num_classes, dtype="float32")[drawn]


def update(optimizer, tape, loss, weights) -> None:
    """Make one update of some weights by the gradients of a loss."""
    optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
