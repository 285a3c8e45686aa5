"""Time a training step whose masks are held against the same step without masks.

    python benchmarks/masked_step.py [--pairs 12]

A convolutional classifier of 2.7 million weights takes Adam steps over batches of 64 images of
32x32x3. Two copies, one held at 80 % sparsity by `tt.hold`, take turns of a few steps each, in an
order that alternates; the ratio is the median over the pairs. Target: at most 1.01.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import tf_tickets as tt

BATCH_SIZE = 64
STEPS_PER_TURN = 3


def build_model() -> keras.Model:
    layers = [keras.Input((32, 32, 3))]
    for number, channels in enumerate((64, 128, 256, 512)):
        layers.append(
            keras.layers.Conv2D(
                channels, 4, strides=2, padding="same", activation="relu", name=f"conv_{number}"
            )
        )
    layers += [keras.layers.Flatten(), keras.layers.Dense(10, name="dense")]
    model = keras.Sequential(layers, name="net")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=False)
    return model


def seconds_per_step(model, batch) -> float:
    begun = time.perf_counter()
    for _ in range(STEPS_PER_TURN):
        model.train_on_batch(*batch)
    return (time.perf_counter() - begun) / STEPS_PER_TURN


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12, help="turns of each model")
    args = parser.parse_args()
    random = np.random.default_rng(0)
    images = random.uniform(-1, 1, (BATCH_SIZE, 32, 32, 3)).astype("float32")
    batch = (tf.constant(images), tf.constant(random.integers(0, 10, BATCH_SIZE)))
    dense, masked = build_model(), build_model()
    kernels = tt.prunable(masked)
    with tt.hold(masked, tt.global_masks(tt.magnitude_scores(kernels), 0.8)) as held:
        models = [dense, masked]
        for model in models:
            seconds_per_step(model, batch)  # traces
        times = {id(model): [] for model in models}
        for _ in range(args.pairs):
            for model in models:
                times[id(model)].append(seconds_per_step(model, batch))
            models.reverse()
        pruned = [kernel.numpy()[~held.masks[kernel.path]] for kernel in kernels]
        assert not any(values.any() for values in pruned), "a pruned weight is not zero"
    unmasked, with_masks = np.array(times[id(dense)]), np.array(times[id(masked)])
    print(
        f"masked / unmasked step, {masked.count_params():,} weights: "
        f"{np.median(with_masks / unmasked):.3f} (target <= 1.01); "
        f"{1e3 * np.median(with_masks):.1f} ms against {1e3 * np.median(unmasked):.1f} ms"
    )


if __name__ == "__main__":
    main()
