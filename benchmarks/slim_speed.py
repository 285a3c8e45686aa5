"""Time slim models against the whole one, and compare seconds saved with FLOPs saved.

    python benchmarks/slim_speed.py [--model dcgan-table2 vae] [--sparsities 0.3 0.5 0.7]

The channels with the smallest scales are removed. The scales are drawn at random, because those of
an untrained model are all equal. Whole and slim models take turns of a few training steps, and of a
few batches of inference by the network that makes images, on batches of 64 images of 32x32x3. The
report shows the seconds and the FLOPs that are saved, as fractions, and the ratio of the two; and
how many times faster the slim model is, with how many times fewer FLOPs. Seconds are medians over
the turns of the ratio of slim to whole. Target: a ratio of at least 0.7, for training and for
inference.
"""

import argparse
import time

import keras
import numpy as np
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.keras_internals import train_step_of

BATCH_SIZE = 64
CALLS_PER_TURN = 4


def whole_model(name: str, width: int) -> keras.Model:
    """Return a compiled model whose scales differ, so that they can be ranked."""
    model = tt.models.build(name, (32, 32, 3), width=width)
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if variable.name == "gamma":
            variable.assign(random.uniform(0.1, 1.0, variable.shape))
    model.compile(*["adam"] * tt.models.MODELS[name].family.num_optimizers)
    return model


def training(model):
    """Return a function that takes one training step."""
    images = tf.random.stateless_uniform((BATCH_SIZE, 32, 32, 3), (0, 0), -1, 1)
    iterator = iter(tf.data.Dataset.from_tensors(images).repeat())
    step = train_step_of(model)
    return lambda: step(iterator)


def inference(model):
    """Return a function that makes a batch of images."""
    network = image_maker(model)
    codes = tf.random.stateless_normal((BATCH_SIZE, network.input_shape[-1]), (0, 0))
    answer = tf.function(lambda: network(codes, training=False), jit_compile=False)
    return lambda: answer().numpy()


def image_maker(model):
    return model.components[model.decoding_component]


def flops_of(model) -> tuple[int, int]:
    """Return the FLOPs of a training step, and of a batch of inference."""
    forward = tt.count_flops(image_maker(model), BATCH_SIZE).forward
    return tt.training_flops(model, 1, BATCH_SIZE), forward


def seconds(call) -> float:
    begun = time.perf_counter()
    for _ in range(CALLS_PER_TURN):
        call()
    return time.perf_counter() - begun


def compare(name: str, width: int, sparsities: list[float], turns: int) -> list[str]:
    """Return a line for each channel sparsity."""
    whole = whole_model(name, width)
    models = {s: tt.slim(whole, tt.channel_masks(whole, s), round_to=8) for s in sparsities}
    models = {0.0: whole, **models}
    calls = {s: (training(model), inference(model)) for s, model in models.items()}
    for pair in calls.values():
        for call in pair:
            seconds(call)  # traces, and warms up
    seen = {s: ([], []) for s in models}
    for turn in range(turns):
        for s in sorted(models, reverse=bool(turn % 2)):
            for call, times in zip(calls[s], seen[s], strict=True):
                times.append(seconds(call))
    flops = {s: flops_of(model) for s, model in models.items()}
    lines = []
    for s in sparsities:
        parts = []
        for i, what in enumerate(("training", "inference")):
            flops_left = flops[s][i] / flops[0.0][i]
            seconds_left = float(np.median(np.divide(seen[s][i], seen[0.0][i])))
            ratio = (1 - seconds_left) / (1 - flops_left)
            parts.append(
                f"{what} saves {1 - seconds_left:.0%} of the seconds and {1 - flops_left:.0%} of "
                f"the FLOPs: {ratio:.2f} ({1 / seconds_left:.1f}x of {1 / flops_left:.1f}x)"
            )
        lines.append(f"{name}, {s:.0%} of channels removed: {'; '.join(parts)}; target 0.7")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["dcgan-table2", "vae"])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--sparsities", type=float, nargs="+", default=[0.3, 0.5, 0.7])
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--precision", default="float32")
    args = parser.parse_args()
    keras.config.set_dtype_policy(args.precision)
    for name in args.model:
        print("\n".join(compare(name, args.width, args.sparsities, args.turns)), flush=True)


if __name__ == "__main__":
    main()
