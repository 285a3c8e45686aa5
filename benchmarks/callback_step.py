"""Time a training step under each callback against the same step without, between mask updates.

    python benchmarks/callback_step.py [--pairs 12]

A convolutional classifier of 2.7 million weights takes Adam steps over batches of 64 images of
32x32x3, as `fit` takes them: what a callback does before and after a batch is in the time. For each
callback two copies of the model, one with it, take turns of a few steps each, in an order that
alternates; the ratio is the median over the pairs. Target: at most 1.02.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import tf_tickets as tt

BATCH_SIZE = 64
STEPS_PER_TURN = 3
NEVER = 10**9


def build_model() -> keras.Model:
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


def callbacks_of(model) -> dict:
    """Return each callback by name, none of which has anything to update while it is timed."""
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.8)
    once = tt.ConstantSparsity(0.8, begin_step=1, frequency=NEVER)
    return {
        "HoldMasks": tt.callbacks.HoldMasks(masks),
        "PruneLowMagnitude": tt.callbacks.PruneLowMagnitude(once),
        "RewindPoint": tt.callbacks.RewindPoint(step=0),
        "EarlyBird": tt.callbacks.EarlyBird(channel_sparsity=0.5),
        "PruningReport": tt.callbacks.PruningReport(),
    }


def take_turn(model, callbacks, batch) -> float:
    """Take a few steps; return the seconds of one."""
    begun = time.perf_counter()
    for number in range(STEPS_PER_TURN):
        callbacks.on_train_batch_begin(number)
        logs = model.train_on_batch(*batch, return_dict=True)
        callbacks.on_train_batch_end(number, logs)
    return (time.perf_counter() - begun) / STEPS_PER_TURN


def ratio(name, batch, num_pairs) -> float:
    """Return the median time of a step under a callback over that of a step without."""
    plain, watched = build_model(), build_model()
    chosen = callbacks_of(watched)[name]
    sides = [
        (model, keras.callbacks.CallbackList(added, model=model))
        for model, added in ((plain, []), (watched, [chosen]))
    ]
    for model, callbacks in sides:
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        take_turn(model, callbacks, batch)  # traces
    times = {id(model): [] for model, _ in sides}
    for _ in range(num_pairs):
        for model, callbacks in sides:
            times[id(model)].append(take_turn(model, callbacks, batch))
        sides.reverse()
    for _, callbacks in sides:
        callbacks.on_train_end()
    return float(np.median(np.array(times[id(watched)]) / np.array(times[id(plain)])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12, help="turns of each model")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (BATCH_SIZE, 32, 32, 3)).astype("float32")
    batch = (tf.constant(images), tf.constant(random.integers(0, 10, BATCH_SIZE)))
    print("a step under the callback / a plain step (target <= 1.02)")
    for name in callbacks_of(build_model()):
        print(f"  {name:20} {ratio(name, batch, args.pairs):.3f}")


if __name__ == "__main__":
    main()
