"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras
import numpy as np

from tf_tickets import keras_internals


class Nested(keras.layers.Layer):
    """A layer with a weight of its own, and one of a layer within."""

    def __init__(self):
        super().__init__()
        self.inner = keras.layers.Dense(3, name="inner", kernel_constraint="non_neg")

    def build(self, shape):
        self.scale = self.add_weight(shape=(3,), name="scale")
        self.inner.build(shape)

    def call(self, x):
        return self.scale * self.inner(x)


def test_layers_at_any_depth_come_after_what_holds_them():
    nested, dense = Nested(), keras.layers.Dense(1)
    inside = keras.Sequential([keras.Input((2,)), nested])
    model = keras.Sequential([keras.Input((2,)), inside, dense])
    layers = [
        layer
        for layer in keras_internals.layers_of(model)
        if not isinstance(layer, keras.layers.InputLayer)
    ]
    assert {id(layer) for layer in layers} >= {id(x) for x in (inside, nested, nested.inner, dense)}
    assert layers[0] is model
    assert layers.index(inside) < layers.index(nested) < layers.index(nested.inner)


def test_the_parts_of_a_layer_are_those_right_within_it():
    class Noisy(Nested):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(0)

        def build(self, shape):
            super().build(shape)
            self.fixed = self.add_weight(shape=(3,), trainable=False)

    noisy = Noisy()
    noisy(np.ones((1, 2)))
    parts = [noisy.scale, noisy.fixed, noisy.seeds, noisy.inner]
    assert [id(part) for part in keras_internals.parts_of(noisy)] == [id(part) for part in parts]
    attributes = dict(keras_internals.attributes_of(noisy))
    for name in ("scale", "fixed", "seeds", "inner"):
        assert attributes[name] is getattr(noisy, name)
    # No list that Keras keeps has them too.
    lists = [value for value in attributes.values() if isinstance(value, list | tuple)]
    held = {id(value) for each in lists for value in each}
    assert not held & {id(part) for part in parts}


def test_the_layer_that_has_a_variable_as_its_attribute_holds_it():
    nested = Nested()
    model = keras.Sequential([keras.Input((2,)), nested])
    holders = keras_internals.holders_of(model)
    assert holders == {
        id(nested.scale): [nested],
        id(nested.inner.kernel): [nested.inner],
        id(nested.inner.bias): [nested.inner],
    }


def test_constraints_are_found_with_the_attribute_that_sets_them_again():
    nested = Nested()
    model = keras.Sequential([keras.Input((2,)), nested])
    found = list(keras_internals.constraints_of(model))
    assert found == [(nested.inner, "kernel_constraint", nested.inner.kernel_constraint)]


def test_the_shapes_that_a_layer_was_built_for_go_by_its_arguments():
    dense, attention = keras.layers.Dense(3), keras.layers.MultiHeadAttention(1, 2)
    assert keras_internals.built_shapes(dense) == {}
    dense(np.ones((2, 5)))
    assert keras_internals.built_shapes(dense) == {"input_shape": (2, 5)}
    attention(np.ones((2, 5, 4)), np.ones((2, 6, 3)))
    shapes = {"query_shape": (2, 5, 4), "value_shape": (2, 6, 3)}
    assert keras_internals.built_shapes(attention) == shapes


def test_a_gate_of_attention_is_seen():
    assert not keras_internals.has_gate(keras.layers.MultiHeadAttention(1, 2))
    assert not keras_internals.has_gate(keras.layers.Dense(1))
    assert keras_internals.has_gate(keras.layers.MultiHeadAttention(1, 2, use_gate=True))
