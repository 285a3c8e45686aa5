"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras

from tf_tickets.keras_internals import copy_layer, copy_network


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
