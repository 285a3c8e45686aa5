"""The small ResNet-18 whose features and answers judge images if Inception is absent.

Everything random here has a seed of its own, and every layer a name and a dtype of its own: the
network does not depend on the caller's seeds, name counters or dtype policy, nor change them.
"""

import zlib
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf

# What the trained network depends on beside the data; part of the cache file's name. `version`
# grows with every change of this file that changes the network.
RECIPE = {
    "version": 2,
    # A quarter of ResNet-18's width, and a stem of stride 2: evaluation runs this network after
    # every round, on a CPU if need be. Half of that is enough for a small data set.
    "width": 16,
    "small_width": 8,
    "small_data": 5_000,
    # Images of this side or less have nothing to spare for a stride in the stem.
    "small_side": 16,
    "blocks": 2,
    "stages": 4,
    "batch_size": 64,
    "learning_rate": 3e-3,
    # Images seen in training: 8 passes, but enough of them for a small data set, and minutes
    # rather than hours for a large one (CIFAR-10: 4 passes).
    "passes": 8,
    "min_images_seen": 24_000,
    "max_images_seen": 200_000,
    # Each batch is moved by up to this part of its side, both ways, as is usual for small images.
    "shift": 1 / 8,
    # Training images are held in memory, in 8 bits; those beyond this are left out.
    "max_bytes": 2**28,
    "seed": 0,
}


def build_network(
    image_shape: tuple[int, int, int], num_classes: int, num_images: int
) -> keras.Model:
    """Return an untrained network: images (n, h, w, c) -> (features (n, d), logits (n, classes)).

    Always float32. The features are the last stage's channels, averaged over the image: 128 of
    them, or 64 if there are fewer than 5,000 training images.

    Source: He et al., 2016, arXiv:1512.03385.
    """
    width = RECIPE["small_width"] if num_images < RECIPE["small_data"] else RECIPE["width"]
    images = keras.Input(image_shape, dtype="float32", name="images")
    stem_stride = 1 if image_shape[0] <= RECIPE["small_side"] else 2
    flow = _convolution(images, "stem", width, stem_stride)
    flow = _relu(flow, "stem_relu")
    for stage in range(RECIPE["stages"]):
        for block in range(RECIPE["blocks"]):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"stage{stage}_block{block}"
            flow = _residual_block(flow, name, width * 2**stage, stride)
    features = keras.layers.GlobalAveragePooling2D(name="features", dtype="float32")(flow)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=_initializer("logits"), name="logits", dtype="float32"
    )(features)
    return keras.Model(images, [features, logits], name="classifier")


def _residual_block(flow, name: str, filters: int, stride: int):
    shortcut = flow
    if stride != 1 or flow.shape[-1] != filters:
        shortcut = _convolution(flow, f"{name}_shortcut", filters, stride, kernel_size=1)
    flow = _relu(_convolution(flow, f"{name}_first", filters, stride), f"{name}_first_relu")
    flow = _convolution(flow, f"{name}_second", filters, stride=1)
    flow = keras.layers.Add(name=f"{name}_add", dtype="float32")([flow, shortcut])
    return _relu(flow, f"{name}_relu")


def _convolution(flow, name: str, filters: int, stride: int, kernel_size: int = 3):
    flow = keras.layers.Conv2D(
        filters,
        kernel_size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_initializer(name),
        name=name,
        dtype="float32",
    )(flow)
    # Keras's momentum of 0.99 would not have forgotten the start after a short training.
    return keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm", dtype="float32")(flow)


def _relu(flow, name: str):
    return keras.layers.ReLU(name=name, dtype="float32")(flow)


def _initializer(name: str) -> keras.initializers.Initializer:
    return keras.initializers.HeNormal(seed=RECIPE["seed"] + zlib.crc32(name.encode()))


def train_network(
    network: keras.Model,
    examples: tf.data.Dataset,
    progress: Callable[[int, int], None] | None = None,
):
    """Train `network` in place on (image in [-1, 1], label) pairs; the same data, the same bits.

    Args:
        network: what `build_network` returned.
        examples: single images of shape (h, w, c) with integer labels, not batched.
        progress: called after each step with the number of steps done and of all steps.
    """
    images, labels = _in_memory(examples, network.input_shape[1:])
    seen = RECIPE["passes"] * len(images)
    seen = min(max(seen, RECIPE["min_images_seen"]), RECIPE["max_images_seen"])
    steps = seen // RECIPE["batch_size"]
    train_step = _make_train_step(network, steps)
    for step, chosen in enumerate(_random_batches(len(images), steps), start=1):
        train_step(_shifted(images[chosen], step), labels[chosen])
        if progress is not None:
            progress(step, steps)


def _in_memory(examples: tf.data.Dataset, image_shape) -> tuple[np.ndarray, np.ndarray]:
    """Return the images, in 8 bits, and their labels, as far as there is room for them."""
    room = RECIPE["max_bytes"] // int(np.prod(image_shape))
    batches = list(examples.take(room).batch(1024).map(_to_8_bits).as_numpy_iterator())
    images, labels = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _to_8_bits(images, label):
    return tf.saturate_cast(tf.round((images + 1) * 127.5), tf.uint8), label


def _random_batches(count: int, steps: int) -> Iterator[np.ndarray]:
    """Yield the indices of each step's images: pass after pass, each in a new order.

    A shuffled `tf.data.Dataset` would mix the caller's global seed into the order.
    """
    generator = np.random.default_rng(RECIPE["seed"])
    order = np.empty(0, dtype=np.int64)
    for _ in range(steps):
        while len(order) < RECIPE["batch_size"]:
            order = np.concatenate([order, generator.permutation(count)])
        yield order[: RECIPE["batch_size"]]
        order = order[RECIPE["batch_size"] :]


def _shifted(images: np.ndarray, step: int) -> np.ndarray:
    """Return a batch moved by a step's own distance; what is new at an edge repeats the edge."""
    height, width = images.shape[1:3]
    most = int(RECIPE["shift"] * min(height, width))
    down, right = np.random.default_rng([RECIPE["seed"], step]).integers(2 * most + 1, size=2)
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    return padded[:, down : down + height, right : right + width]


def _make_train_step(network: keras.Model, steps: int):
    schedule = keras.optimizers.schedules.CosineDecay(RECIPE["learning_rate"], steps)
    optimizer = keras.optimizers.Adam(schedule, name="classifier_adam")
    optimizer.build(network.trainable_variables)

    @tf.function(jit_compile=False)
    def train_step(images, labels):
        with tf.GradientTape() as tape:
            _, logits = network(tf.cast(images, tf.float32) / 127.5 - 1, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    return train_step
