"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras
import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets.keras_internals import copy_layer, copy_network, copy_with_state


def test_a_copied_layer_has_the_functions_themselves_and_activations_of_its_own():
    def double(x):
        return 2 * x

    dense = copy_layer(keras.layers.Dense(3, double, kernel_constraint=double), units=2)
    assert (dense.units, dense.activation, dense.kernel_constraint) == (2, double, double)
    layer = keras.layers.Lambda(double, (3,), name="twice", dtype="float64")
    copy = copy_layer(layer, dtype="float32")
    assert (copy.function, copy.name, copy.compute_dtype) == (double, "twice", "float32")
    assert copy.compute_output_shape((None, 5)) == (None, 3)
    activated = keras.layers.Dense(3, keras.layers.PReLU())
    copy = copy_layer(activated)
    assert isinstance(copy.activation, keras.layers.PReLU)
    assert copy.activation is not activated.activation


def test_a_copied_network_is_not_compiled_and_the_network_itself_still_is():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="dense")])
    model.compile("sgd", lambda y, outputs: outputs)
    copy = copy_network(model, copy_layer)
    assert model.compiled and not copy.compiled


def test_a_network_with_operations_between_its_layers_is_copied():
    inputs = keras.Input((4, 4, 1))
    x = keras.ops.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    x = keras.layers.Conv2D(2, 3)(keras.ops.relu(x) + 1.0)
    model = keras.Model(inputs, x)
    copy = copy_with_state(model)
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 1)).astype("float32")
    np.testing.assert_array_equal(copy(images), model(images))
    copy.trainable_variables[0].assign(keras.ops.ones((3, 3, 1, 2)))
    assert not np.array_equal(copy(images), model(images)), "they share no weights"


def squash(x):
    return x / (1 + keras.ops.abs(x))


class Halving(keras.layers.Layer):
    """Takes no name, and says nothing of itself."""

    def __init__(self, units):
        super().__init__()
        self.units = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)

    def call(self, x):
        return 0.5 * keras.ops.matmul(x, self.kernel)


class Described(Halving):
    """As those are written who add to Keras's own config."""

    def get_config(self):
        return {**super().get_config(), "units": self.units}


class Scaled(keras.regularizers.Regularizer):
    """Registered nowhere."""

    def __call__(self, x):
        return 0.1 * keras.ops.sum(x**2)

    def get_config(self):
        return {}


layers = keras.layers
DESCRIBED_BADLY = {
    "time distributed": lambda: layers.TimeDistributed(layers.Dense(3, squash)),
    "a lambda, wrapped": lambda: layers.TimeDistributed(layers.Dense(3, lambda x: x**2)),
    "a Lambda layer, wrapped": lambda: layers.TimeDistributed(layers.Lambda(lambda x: x**2)),
    "wrapped twice": lambda: layers.TimeDistributed(
        layers.SpectralNormalization(layers.Dense(3, lambda x: x**2))
    ),
    "spectral": lambda: layers.SpectralNormalization(layers.Dense(3, squash)),
    "bidirectional": lambda: layers.Bidirectional(layers.LSTM(3, activation=squash)),
    "bidirectional of two": lambda: layers.Bidirectional(
        layers.GRU(3, activation=squash, return_sequences=True),
        backward_layer=layers.GRU(
            2, activation=lambda x: x, return_sequences=True, go_backwards=True
        ),
    ),
    "cells": lambda: layers.RNN(
        [layers.LSTMCell(3, activation=squash), layers.GRUCell(2, activation=lambda x: x)]
    ),
    "wrapped network": lambda: layers.TimeDistributed(
        keras.Sequential([keras.Input((4,)), layers.Dense(2, lambda x: x**2)])
    ),
    "wrapped class": lambda: layers.TimeDistributed(Described(3)),
    "attention": lambda: layers.MultiHeadAttention(1, 2, kernel_regularizer=Scaled()),
    "takes no name": lambda: Halving(3),
    "takes no name, but says one": lambda: Described(3),
    "layer as activation": lambda: layers.TimeDistributed(layers.Dense(3, layers.PReLU())),
}


@pytest.mark.parametrize("name", DESCRIBED_BADLY)
def test_layers_that_configs_do_not_describe_are_copied(name):
    with keras.saving.custom_object_scope({"squash": squash}):  # Bidirectional copies by itself
        layer = DESCRIBED_BADLY[name]()
    inputs = keras.Input((5, 4))
    outputs = layer(inputs, inputs) if name == "attention" else layer(inputs)
    model = keras.Model(inputs, outputs)
    copied = copy_with_state(model)
    assert type(copied.layers[-1]) is type(layer) and copied.layers[-1] is not layer
    assert copied.layers[-1].name == layer.name
    assert not {id(v) for v in copied.variables} & {id(v) for v in model.variables}
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    for expected, received in zip(
        keras.tree.flatten(model(x)), keras.tree.flatten(copied(x)), strict=True
    ):
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(sum(copied.losses), sum(model.losses), rtol=1e-5)


def test_a_layer_that_cannot_be_copied_is_named():
    class Holding(keras.layers.Layer):
        def __init__(self, table, **options):
            super().__init__(**options)
            self.table = table

        def call(self, x):
            return x + self.table

    for layer in (
        Holding(np.ones(3), name="holding"),
        layers.TimeDistributed(Holding(np.ones(3), name="holding")),
    ):
        with pytest.raises(tt.SettingError) as refused:
            copy_layer(layer)
        message = str(refused.value)
        assert message.startswith("The layer holding (Holding) cannot be copied: ")
        assert "get_config()" in message and "\n" not in message and len(message) < 400


@pytest.mark.parametrize("mode", ["int8", "int4", "lora"])
def test_quantised_layers_are_copied_as_they_are(mode):
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(6, name="first"), layers.Dense(2, name="last")]
    )
    if mode == "lora":
        model.get_layer("first").enable_lora(2)
    else:
        model.get_layer("first").quantize(mode)
    copied = copy_with_state(model)
    x = np.random.default_rng(0).normal(size=(2, 8)).astype("float32")
    np.testing.assert_allclose(copied(x), model(x), rtol=1e-6)
    trained = [[v.path for v in each.trainable_variables] for each in (model, copied)]
    assert trained[0] == trained[1]


def test_a_copy_is_of_the_dtype_policy_of_its_time():
    keras.config.set_dtype_policy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3)])
    keras.config.set_dtype_policy("float32")
    copied = copy_with_state(model)
    assert copied.dtype_policy == model.dtype_policy
    assert copied.layers[0].compute_dtype == "bfloat16"
