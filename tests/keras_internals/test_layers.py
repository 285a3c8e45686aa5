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


def test_attention_has_its_parts_unless_a_gate_adds_to_them():
    x = np.ones((1, 5, 8), "float32")
    multi = keras.layers.MultiHeadAttention(2, 3, value_dim=4)
    grouped = keras.layers.GroupQueryAttention(3, 4, 2)
    for layer in (multi, grouped):
        layer(x, x)
    parts = keras_internals.attention_of(multi)
    assert (parts.num_heads, parts.key_dim, parts.value_dim, parts.axes) == (2, 3, 4, (1,))
    assert parts.query is multi.query_dense and parts.output is multi.output_dense
    parts = keras_internals.attention_of(grouped)
    assert (parts.num_heads, parts.key_dim, parts.value_dim, parts.axes) == (4, 3, 3, (1,))
    shapes = [tuple(each.kernel.shape) for each in (parts.query, parts.key, parts.value)]
    assert shapes == [(8, 4, 3), (8, 2, 3), (8, 2, 3)]
    assert tuple(parts.output.kernel.shape) == (4, 3, 8)
    assert keras_internals.attention_of(keras.layers.Dense(1)) is None
    for gated in (
        keras.layers.MultiHeadAttention(1, 2, use_gate=True),
        keras.layers.GroupQueryAttention(2, 2, 1, use_gate=True),
    ):
        assert keras_internals.attention_of(gated) is None


def test_constants_of_an_adapted_layer_follow_its_variables():
    adapted, given = (
        keras.layers.Normalization(),
        keras.layers.Normalization(mean=1.0, variance=4.0),
    )
    adapted.adapt(np.arange(6.0).reshape(3, 2))
    model = keras.Sequential([keras.Input((2,)), adapted, given])
    adapted.adapt_mean.assign([10.0, 20.0])
    adapted.adapt_variance.assign([1.0, 1.0])
    assert keras_internals.update_constants(model)
    np.testing.assert_allclose(model(np.array([[13.0, 23.0]])), [[1.0, 1.0]], atol=1e-5)
    assert not keras_internals.update_constants(keras.Sequential([keras.Input((2,)), given]))


def test_what_is_adapted_to_is_told_apart():
    def lookup(words):
        layer = keras.layers.StringLookup()
        layer.adapt(np.array(words))
        return layer

    first, second = (keras_internals.adapted_state(lookup(words)) for words in (["a"], ["b"]))
    assert first and second and first != second
    assert keras_internals.adapted_state(keras.layers.StringLookup(vocabulary=["a"])) == first
    bins = keras.layers.Discretization(bin_boundaries=[0.0, 1.0])
    assert b"1.0" in keras_internals.adapted_state(bins)
    assert not keras_internals.adapted_state(keras.layers.Dense(1))


def test_what_a_user_sets_on_a_model_is_told_from_what_keras_does():
    def build():
        return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])

    model = build()
    model.compile("sgd", "mse", metrics=["mae"])
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert keras_internals.own_attributes(model, build()) == []
    model.strength, model.tensor = 3, model.inputs[0]
    assert keras_internals.own_attributes(model, build()) == [("strength", 3)]


def test_why_a_layer_cannot_be_cut():
    layer = keras.layers.Dense(4)
    layer.build((None, 4))
    assert keras_internals.why_not_cut(layer) == ""
    layer.enable_lora(2)
    assert "enable_lora" in keras_internals.why_not_cut(layer)
    layer.quantize("int8")
    assert "int8" in keras_internals.why_not_cut(layer)


def test_what_is_nested_is_found_though_keys_have_no_order():
    first, second = keras.layers.Dense(1), keras.layers.Dense(1)
    held = [1, {first: (2, [3]), second: {"x": 4}}, "five"]
    assert list(keras_internals.flattened(held)) == [1, 2, 3, 4, "five"]
