"""What the benchmarks of a training step share: a network, a batch, and steps in turns."""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

BATCH_SIZE = 64
NUM_WARM_UP = 5  # the first of them traces


def build_model() -> keras.Model:
    """Return a convolutional classifier of 2.8 million weights, compiled with Adam."""
    layers = [keras.Input((32, 32, 3))]
    for number, channels in enumerate((64, 128, 256, 512)):
        layers += [
            keras.layers.Conv2D(channels, 4, strides=2, padding="same", name=f"conv_{number}"),
            keras.layers.BatchNormalization(name=f"norm_{number}"),
            keras.layers.ReLU(),
        ]
    layers += [keras.layers.Flatten(), keras.layers.Dense(10, name="dense")]
    model = keras.Sequential(layers, name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    return model


def random_batch() -> tuple[tf.Tensor, tf.Tensor]:
    """Return images of 32x32x3 and their labels."""
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (BATCH_SIZE, 32, 32, 3)).astype("float32")
    return tf.constant(images), tf.constant(random.integers(0, 10, BATCH_SIZE))


def ratios_of_steps(step: Callable, other: Callable, num_pairs: int) -> np.ndarray:
    """Return the times of `step` over those of `other`, timed in alternating order."""
    for _ in range(NUM_WARM_UP):
        step(), other()
    pairs = []
    for number in range(num_pairs):
        order = (step, other) if number % 2 else (other, step)
        seconds = {taken: _seconds_of(taken) for taken in order}
        pairs.append(seconds[step] / seconds[other])
    return np.array(pairs)


def _seconds_of(step):
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun


def described(ratios: np.ndarray) -> str:
    """Return the median, and the order statistics that enclose it with a probability of 95 %."""
    ordered, size = np.sort(ratios), ratios.size
    below = max(0, int(size / 2 - 0.98 * np.sqrt(size)))
    return f"{np.median(ordered):.3f} [{ordered[below]:.3f}, {ordered[size - 1 - below]:.3f}]"
