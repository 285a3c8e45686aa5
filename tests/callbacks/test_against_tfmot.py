"""Our masks against those of TF-MOT itself, which prunes the same model in Keras 2."""

import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import tf_tickets as tt

STEPS_PER_EPOCH, EPOCHS = 4, 5
LAYERS = ("conv", "hidden", "logits")

KERAS_2 = """
    import sys
    import numpy as np
    import tf_keras
    import tensorflow_model_optimization as tfmot

    folder, pattern = sys.argv[1:]
    given = np.load(folder + "/given.npz")
    layers = tf_keras.layers
    model = tf_keras.Sequential([
        layers.Input((8, 8, 3)),
        layers.Conv2D(8, 3, strides=2, activation="relu", name="conv"),
        layers.Flatten(),
        layers.Dense(16, "relu", name="hidden"),
        layers.Dense(4, name="logits"),
    ])
    model.set_weights([given[f"weight_{i}"] for i in range(6)])
    decay = tfmot.sparsity.keras.PolynomialDecay
    schedule = decay(0.1, 0.8, begin_step=1, end_step=16, frequency=3)
    options = {"2:4": {"sparsity_m_by_n": (2, 4)}}.get(pattern, {})
    pruned = tfmot.sparsity.keras.prune_low_magnitude(model, schedule, **options)
    pruned.compile(tf_keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
    masks = {}

    class Note(tf_keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            for layer in pruned.layers:
                for variable in layer.weights:
                    if "mask" in variable.name:
                        masks[f"{layer.layer.name}_{epoch}"] = variable.numpy()

    pruned.fit(
        given["inputs"], given["targets"], batch_size=8, epochs=5, shuffle=False, verbose=0,
        callbacks=[tfmot.sparsity.keras.UpdatePruningStep(), Note()],
    )
    np.savez(folder + "/masks.npz", **masks)
"""


def network():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(8, 3, strides=2, activation="relu", name="conv"),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu", name="hidden"),
            keras.layers.Dense(4, name="logits"),
        ]
    )


class Note(keras.callbacks.Callback):
    def __init__(self, pruning):
        super().__init__()
        self.pruning = pruning
        self.masks = []

    def on_epoch_end(self, epoch, logs=None):
        self.masks.append(self.pruning.masks)


def masks_of_tfmot(folder, model, inputs, targets, pattern):
    weights = {f"weight_{i}": value for i, value in enumerate(model.get_weights())}
    np.savez(folder / "given.npz", inputs=inputs, targets=targets, **weights)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(KERAS_2), str(folder), pattern],
        check=True,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
    )
    return np.load(folder / "masks.npz")


@pytest.mark.parametrize("pattern", ["none", pytest.param("2:4", marks=pytest.mark.slow)])
def test_layer_by_layer_the_masks_are_those_of_tfmot(tmp_path, pattern):
    random = np.random.default_rng(0)
    inputs = random.normal(size=(8 * STEPS_PER_EPOCH, 8, 8, 3)).astype("float32")
    targets = random.normal(size=(8 * STEPS_PER_EPOCH, 4)).astype("float32")
    model = network()
    theirs = masks_of_tfmot(tmp_path, model, inputs, targets, pattern)

    # Small steps, as TF-MOT ranks a removed weight by what the last update has added to it: a large
    # update would bring it back. Ours stays removed.
    model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
    schedule = tt.PolynomialDecay(0.1, 0.8, begin_step=1, end_step=16, frequency=3)
    m_by_n = {"2:4": (2, 4)}.get(pattern)
    pruning = tt.callbacks.PruneLowMagnitude(schedule, pool="layer", m_by_n=m_by_n)
    ours = Note(pruning)
    model.fit(
        inputs,
        targets,
        batch_size=8,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[pruning, ours],
    )
    for epoch, masks in enumerate(ours.masks):
        for layer in LAYERS:
            mask = masks[f"{layer}/kernel"]
            np.testing.assert_array_equal(mask, theirs[f"{layer}_{epoch}"] != 0, f"{layer} {epoch}")
    final = 0.5 if pattern == "2:4" else 0.8
    assert ours.masks[-1].sparsity == pytest.approx(final, abs=0.05)
