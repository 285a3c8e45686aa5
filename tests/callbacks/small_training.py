"""The small network and its training that the tests of the callbacks share."""

import keras
import numpy as np

import tf_tickets as tt

INPUTS = np.random.default_rng(0).normal(size=(32, 8)).astype("float32")
TARGETS = INPUTS[:, :1]
STEPS_PER_EPOCH = 4
POOL = 8 * 32 + 32  # weights of the network's two kernels


def dense_net(optimizer=None, **compile_options):
    """Return a network whose weights are the same each time."""
    keras.utils.set_random_seed(1)
    layers = [keras.layers.Dense(32, "relu", name="first"), keras.layers.Dense(1, name="last")]
    model = keras.Sequential([keras.Input((8,)), *layers], name="net")
    model.compile(
        optimizer or keras.optimizers.Adam(0.01), "mse", **{"jit_compile": False, **compile_options}
    )
    return model


def fit(model, *callbacks, epochs=2):
    """Train for four steps an epoch, over the same batches each time."""
    options = {"batch_size": len(INPUTS) // STEPS_PER_EPOCH, "shuffle": False, "verbose": 0}
    return model.fit(INPUTS, TARGETS, epochs=epochs, callbacks=list(callbacks), **options)


def num_zeros(model):
    return sum(np.count_nonzero(kernel.numpy() == 0) for kernel in tt.prunable(model))


class Interrupt(keras.callbacks.Callback):
    """Breaks a training off at the end of an epoch."""

    def __init__(self, epoch=0):
        super().__init__()
        self.epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise KeyboardInterrupt
