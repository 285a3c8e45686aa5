"""Time one global mask update against TF-MOT's own and PyTorch's.

    python benchmarks/mask_update.py [--weights 6300000] [--pairs 9]

One update prunes the seven kernels of a DCGAN from dense to 80 % sparse. Ours is
`GlobalPruning.conditional_mask_update`: it computes magnitudes, one exact threshold for all layers
and the masks, and sets the pruned weights to zero. TF-MOT's is `Pruning.conditional_mask_update` on
plain `tf.Variable`s of the same values, in a `tf.function`: it computes a threshold for each layer,
and masks. PyTorch's is `torch.nn.utils.prune.global_unstructured`, if torch is installed. They take
turns; each ratio is the median over the turns. Target: ours at least 8 times faster than either.

    python benchmarks/mask_update.py --weights 100000000

With more than 2 * 10^7 weights only ours is timed. It prunes a fifth of the remaining weights,
three times, and prints the peak memory of the process. Target: under 3 GB at 10^8 weights.
"""

import argparse
import resource
import time
from importlib.util import find_spec

import keras
import numpy as np
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.interop import Pruning, sparsity
from tf_tickets.pruning.hold import HeldMasks

SPARSITY = 0.8
MOST_WEIGHTS_FOR_ALL = 20_000_000
# The channels between the layers of a DCGAN's generator and discriminator, in units of a width.
CHANNELS = (2, 8, 4, 2, 1, 2, 4, 8)


def build_model(num_weights: int) -> keras.Model:
    """Return a stack of 4x4 convolutions with about that many weights."""
    width = round((num_weights / 1600) ** 0.5)
    model = keras.Sequential([keras.Input((None, None, CHANNELS[0] * width))])
    for number, channels in enumerate(CHANNELS[1:]):
        initializer = keras.initializers.RandomNormal(0.0, 0.02, seed=number)
        model.add(
            keras.layers.Conv2D(channels * width, 4, use_bias=False, kernel_initializer=initializer)
        )
    return model


def constant_sparsity():
    return sparsity.ConstantSparsity(SPARSITY, begin_step=0, frequency=1)


class OurUpdate:
    name = "tf_tickets"

    def __init__(self, model):
        self.kernels = tt.prunable(model)
        self.held = HeldMasks(model, tt.Masks.all_kept(self.kernels))
        self.run = tt.GlobalPruning(
            lambda: 0, self.held, constant_sparsity()
        ).conditional_mask_update

    def prepare(self, weights):
        """Make the model dense again; at the first turn it already is."""
        if self.held.masks.sparsity:
            for kernel, value in zip(self.kernels, weights, strict=True):
                kernel.assign(value)
            self.held.assign(tt.Masks.all_kept(self.kernels))


class TFMOTUpdate:
    name = "TF-MOT"

    def __init__(self, weights):
        triples = [
            (tf.Variable(w), tf.Variable(tf.ones(w.shape)), tf.Variable(0.0)) for w in weights
        ]
        pruning = Pruning(lambda: 0, triples, constant_sparsity(), (1, 1), "AVG")
        self.run = tf.function(pruning.conditional_mask_update)

    def prepare(self, weights):
        """Do nothing: the weights were not changed, and the masks are computed anew."""


class TorchUpdate:
    name = "PyTorch"

    def run(self):
        from torch.nn.utils import prune

        prune.global_unstructured(
            [(module, "weight") for module in self.modules],
            pruning_method=prune.L1Unstructured,
            amount=SPARSITY,
        )

    def prepare(self, weights):
        import torch

        self.modules = []
        for value in weights:
            module = torch.nn.Module()
            module.weight = torch.nn.Parameter(torch.from_numpy(value.copy()))
            self.modules.append(module)


def seconds_of(update, weights) -> float:
    update.prepare(weights)
    begun = time.perf_counter()
    update.run()
    return time.perf_counter() - begun


def compare(updates, weights, pairs):
    """Return each update's seconds at every turn except the first, which compiles."""
    turns = [[seconds_of(update, weights) for update in updates] for _ in range(pairs + 1)]
    return np.array(turns[1:]).T


def time_alone(model):
    """Print how long three of our rounds take, and the process's peak memory."""
    held = HeldMasks(model, tt.Masks.all_kept(tt.prunable(model)))
    seconds = []
    for number in (1, 2, 3):
        pruner = tt.GlobalPruning(lambda number=number: number, held, tt.IterativeSparsity(0.2, 3))
        begun = time.perf_counter()
        pruner.conditional_mask_update()
        seconds.append(time.perf_counter() - begun)
    masks = held.masks
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"tf_tickets, {masks.size:,} weights, rounds to sparsity {masks.sparsity:.6f}: "
        f"{', '.join(f'{value:.2f}' for value in seconds)} s; "
        f"peak memory {peak:.2f} GB (target < 3)"
    )


def time_all(model, pairs):
    """Print how much faster ours is than each of the others, timed in turns."""
    ours = OurUpdate(model)
    weights = [kernel.numpy().copy() for kernel in ours.kernels]
    others = [TFMOTUpdate(weights)]
    if find_spec("torch"):
        others.append(TorchUpdate())
    times = compare([ours, *others], weights, pairs)
    for other, theirs in zip(others, times[1:], strict=True):
        print(
            f"{other.name} / tf_tickets, {ours.held.masks.size:,} weights: "
            f"{np.median(theirs / times[0]):.1f} times faster (target >= 8); "
            f"{np.median(theirs):.3f} s against {np.median(times[0]):.3f} s"
        )
    if not find_spec("torch"):
        print("PyTorch is not installed, so it was not compared: pip install torch")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=int, default=6_300_000)
    parser.add_argument("--pairs", type=int, default=9, help="turns that are measured")
    args = parser.parse_args()
    model = build_model(args.weights)
    if args.weights > MOST_WEIGHTS_FOR_ALL:
        time_alone(model)
    else:
        time_all(model, args.pairs)


if __name__ == "__main__":
    main()
