"""Train a dense DCGAN here and in PyTorch, side by side, and compare images per second.

    pip install torch
    python benchmarks/gan_throughput.py [--precision float32] [--width 64] [--turns 6]

Both train the same network (the model `dcgan`, 6.5 million parameters at width 64) on the same
random batches of 64 images of 32x32x3, with Adam and the non-saturating loss. PyTorch's step does
the same work: it runs the generator once, and computes no weight gradients of the discriminator for
the generator's update. PyTorch runs in two memory formats, and the faster one counts. The three
take turns of a few steps each; the ratio is the median over the turns. Target: at least 1.05 in
float32 and mixed_bfloat16.
"""

import argparse
import contextlib
import time

import keras
import numpy as np
import tensorflow as tf
import torch
from torch import nn

import tf_tickets as tt
from tf_tickets.keras_internals import train_step_of

BATCH_SIZE = 64
LATENT_DIM = 100
STEPS_PER_TURN = 4


def ours(precision: str, width: int):
    """Return a function that takes one training step of tf_tickets' DCGAN."""
    keras.config.set_dtype_policy(precision)
    model = tt.models.build("dcgan", (32, 32, 3), width=width)
    model.compile()
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH_SIZE, 32, 32, 3))
    batches = tf.data.Dataset.from_tensors(tf.constant(images, tf.float32)).repeat()
    iterator = iter(batches)
    step = train_step_of(model)

    def train():
        step(iterator)

    return train, model.count_params()


def generator(width: int) -> nn.Module:
    """Return the same generator in PyTorch."""
    parts, channels = [], LATENT_DIM
    for number, filters in enumerate((8 * width, 4 * width, 2 * width, width)):
        stride, padding = (2, 1) if number else (1, 0)
        parts.append(nn.ConvTranspose2d(channels, filters, 4, stride, padding))
        parts += [nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
        channels = filters
    return nn.Sequential(*parts, nn.Conv2d(width, 3, 3, 1, 1), nn.Tanh())


def discriminator(width: int) -> nn.Module:
    """Return the same discriminator in PyTorch."""
    parts, channels = [], 3
    for factor in (1, 2, 4):
        filters = factor * width
        parts += [nn.Conv2d(channels, filters, 3, 1, 1), nn.LeakyReLU(0.2, inplace=True)]
        parts += [nn.Conv2d(filters, filters, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        channels = filters
    parts += [nn.Conv2d(channels, 8 * width, 3, 1, 1), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*parts, nn.Conv2d(8 * width, 1, 4))


def theirs(precision: str, width: int, memory_format):
    """Return a function that takes one training step of the same DCGAN in PyTorch."""
    torch.manual_seed(0)
    networks = generator(width), discriminator(width)
    makes, judges = (network.to(memory_format=memory_format) for network in networks)
    optimizers = [
        torch.optim.Adam(network.parameters(), 2e-4, betas=(0.5, 0.999)) for network in networks
    ]
    images = torch.rand(BATCH_SIZE, 3, 32, 32).mul(2).sub(1).to(memory_format=memory_format)
    softplus = nn.functional.softplus

    def cast():
        if precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast("cpu", torch.bfloat16)

    def train():
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        with cast():
            fakes = makes(torch.randn(BATCH_SIZE, LATENT_DIM, 1, 1))
            real, fake = judges(images), judges(fakes.detach())
        (softplus(-real.float()).mean() + softplus(fake.float()).mean()).backward()
        optimizers[1].step()
        judges.requires_grad_(False)
        with cast():
            fake = judges(fakes)
        softplus(-fake.float()).mean().backward()
        judges.requires_grad_(True)
        optimizers[0].step()

    return train, sum(p.numel() for network in networks for p in network.parameters())


def images_per_second(train) -> float:
    begun = time.perf_counter()
    for _ in range(STEPS_PER_TURN):
        train()
    return STEPS_PER_TURN * BATCH_SIZE / (time.perf_counter() - begun)


def compare(precision: str, width: int, turns: int) -> str:
    """Return the report's lines for one precision."""
    contestants = {
        "tf_tickets": ours(precision, width),
        "PyTorch": theirs(precision, width, torch.contiguous_format),
        "PyTorch channels_last": theirs(precision, width, torch.channels_last),
    }
    for train, _ in contestants.values():
        images_per_second(train)  # traces, and warms up
    seen = {name: [] for name in contestants}
    for turn in range(turns):
        for name in sorted(contestants, reverse=bool(turn % 2)):
            seen[name].append(images_per_second(contestants[name][0]))
    best = max(list(contestants)[1:], key=lambda name: np.median(seen[name]))
    ratio = np.median(np.divide(seen["tf_tickets"], seen[best]))
    speeds = ", ".join(f"{name} {np.median(values):.0f}" for name, values in seen.items())
    return f"{precision}: {ratio:.3f} times PyTorch (target >= 1.05); images/s: {speeds}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--turns", type=int, default=6)
    args = parser.parse_args()
    for precision in args.precision:
        print(compare(precision, args.width, args.turns), flush=True)


if __name__ == "__main__":
    main()
