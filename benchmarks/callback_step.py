"""Time a training step with each callback against the same step without one.

    python benchmarks/callback_step.py [--pairs 60] [--models 5]

A convolutional classifier of 2.8 million weights takes Adam steps over batches of 64 images of
32x32x3, as `fit` takes them. The time includes what a callback does before and after a batch; no
mask is updated meanwhile. For each callback two copies of the model, one with it, take one step
each in turns. Then new copies do the same, because the place of a model in memory makes a
difference too. The ratio is the median over all pairs, with its 95 % interval. A callback that does
nothing shows how much the machine varies. `PruningReport` works only at the end of an epoch.
Target: at most 1.02.
"""

import argparse

import keras
import numpy as np
import steps

import tf_tickets as tt

NEVER = 10**9


def callbacks_of(model) -> dict:
    """Return each callback by name; none has anything to update while it is timed."""
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.8)
    once = tt.PolynomialDecay(0.8, 0.9, begin_step=1, end_step=1 + NEVER, frequency=NEVER)
    return {
        "none": keras.callbacks.Callback(),
        "HoldMasks": tt.callbacks.HoldMasks(masks),
        "PruneLowMagnitude": tt.callbacks.PruneLowMagnitude(once),
        "RewindPoint": tt.callbacks.RewindPoint(step=NEVER),
        "EarlyBird": tt.callbacks.EarlyBird(channel_sparsity=0.5, draw_every=NEVER),
        "PruningReport": tt.callbacks.PruningReport(),
    }


class Training:
    """A model that is trained step by step, as `fit` would train it with some callbacks."""

    def __init__(self, model, callbacks, batch):
        self.model = model
        self.callbacks = keras.callbacks.CallbackList(callbacks, model=model)
        self.batch = batch

    def __enter__(self):
        self.callbacks.on_train_begin()
        self.callbacks.on_epoch_begin(0)
        return self

    def step(self):
        self.callbacks.on_train_batch_begin(0)
        logs = self.model.train_on_batch(*self.batch, return_dict=True)
        self.callbacks.on_train_batch_end(0, logs)

    def __exit__(self, *_):
        self.callbacks.on_train_end()


def ratios(name, batch, num_pairs) -> np.ndarray:
    """Return step times of a model with a callback over those of another without one."""
    plain, watched = steps.build_model(), steps.build_model()
    chosen = callbacks_of(watched)[name]
    with Training(plain, [], batch) as without, Training(watched, [chosen], batch) as under:
        return steps.ratios_of_steps(under.step, without.step, num_pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=60, help="steps of each model")
    parser.add_argument("--models", type=int, default=5, help="of each kind, one after another")
    args = parser.parse_args()
    batch = steps.random_batch()
    print("a step with the callback / a plain step (target <= 1.02)")
    for name in callbacks_of(steps.build_model()):
        of_models = [ratios(name, batch, args.pairs) for _ in range(args.models)]
        print(f"  {name:20} {steps.described(np.concatenate(of_models))}", flush=True)


if __name__ == "__main__":
    main()
