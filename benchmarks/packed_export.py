"""Compare the packed SavedModel of a pruned network with its dense one: bytes, and time to answer.

    python benchmarks/packed_export.py [--sparsity 0.9] [--turns 12]

The initial weights of each of the papers' networks are pruned by magnitude. The network is exported
in both forms and loaded again. The two answer the same batches in turns, in alternating order; the
ratio of times is the median over the turns, for one image and for 64. The targets for sparsity 0.9
are at most 0.16 of the bytes and at most 1.05 times the time.
"""

import argparse
import pathlib
import tempfile
import time

import keras
import numpy as np
import tensorflow as tf

import tf_tickets as tt

SHAPES = {
    "linear-ae": (28, 28, 1),
    "conv-ae": (32, 32, 3),
    "vae": (32, 32, 3),
    "resnet-vae": (32, 32, 3),
}
ANSWERS_PER_TURN = 5


def build_model(name: str, sparsity: float) -> keras.Model:
    """Return one of the papers' networks with a fraction of its kernels at zero."""
    keras.utils.set_random_seed(0)
    model = tt.models.build(name, SHAPES[name])
    with tt.hold(model, tt.global_masks(tt.magnitude_scores(tt.prunable(model)), sparsity)):
        return model


def num_bytes(folder: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def seconds_to_answer(serve, images) -> float:
    begun = time.perf_counter()
    for _ in range(ANSWERS_PER_TURN):
        serve(inputs=images)
    return (time.perf_counter() - begun) / ANSWERS_PER_TURN


def ratio_of_times(packed, dense, images, turns: int) -> float:
    """Return the median of packed over dense time."""
    pair = [packed, dense]
    times = {id(serve): [] for serve in pair}
    for serve in pair:
        seconds_to_answer(serve, images)  # warms up
    for _ in range(turns):
        for serve in pair:
            times[id(serve)].append(seconds_to_answer(serve, images))
        pair.reverse()
    return float(np.median(np.divide(times[id(packed)], times[id(dense)])))


def compare(name: str, sparsity: float, turns: int) -> str:
    """Return one network's line of the report."""
    model = build_model(name, sparsity)
    with tempfile.TemporaryDirectory() as place:
        paths = [
            tt.export_saved_model(model, pathlib.Path(place) / form, weights=form)
            for form in ("packed", "dense")
        ]
        sizes = [num_bytes(path) for path in paths]
        loaded = [tf.saved_model.load(path) for path in paths]
        packed, dense = (module.signatures["serving_default"] for module in loaded)
        draw = np.random.default_rng(0).uniform
        batches = [tf.constant(draw(-1, 1, (n, *SHAPES[name])), tf.float32) for n in (1, 64)]
        difference = max(
            float(tf.reduce_max(tf.abs(packed(inputs=x)["outputs"] - dense(inputs=x)["outputs"])))
            for x in batches
        )
        ratios = [ratio_of_times(packed, dense, x, turns) for x in batches]
    return (
        f"{name:10} {sizes[0]:>10,} of {sizes[1]:>10,} bytes: {sizes[0] / sizes[1]:.3f}; "
        f"time {ratios[0]:.3f} for 1 image, {ratios[1]:.3f} for 64; "
        f"largest difference {difference:.1e}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--turns", type=int, default=12)
    args = parser.parse_args()
    for name in SHAPES:
        print(compare(name, args.sparsity, args.turns), flush=True)


if __name__ == "__main__":
    main()
