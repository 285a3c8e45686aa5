"""Time a training step whose masks are held against the same step without masks.

    python benchmarks/masked_step.py [--pairs 200]

A convolutional classifier of 2.8 million weights takes Adam steps over batches of 64 images of
32x32x3. Two copies, one held at 80 % sparsity by `tt.hold`, take one step each in turns. The ratio
is the median over the pairs, with its 95 % interval. Target: at most 1.01.
"""

import argparse

import steps

import tf_tickets as tt


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=200, help="steps of each model")
    args = parser.parse_args()
    batch = steps.random_batch()
    plain, masked = steps.build_model(), steps.build_model()
    kernels = tt.prunable(masked)
    with tt.hold(masked, tt.global_masks(tt.magnitude_scores(kernels), 0.8)) as held:
        ratios = steps.ratios_of_steps(
            lambda: masked.train_on_batch(*batch), lambda: plain.train_on_batch(*batch), args.pairs
        )
        pruned = [kernel.numpy()[~held.masks[name]] for name, kernel in kernels.items()]
        assert not any(values.any() for values in pruned), "a pruned weight is not zero"
    print(f"masked / unmasked step: {steps.described(ratios)} (target <= 1.01)")


if __name__ == "__main__":
    main()
