"""Which channels live together, drawn by hand for graphs of a few layers."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_tickets.channels.graph import ChannelGraph


def graph_of(outputs, inputs):
    return ChannelGraph(keras.Model(inputs, outputs, name="network"))


def norm(name):
    return layers.BatchNormalization(name=name)


def removable(graph):
    """Return the scales that let each removable channel go, as sorted lists of (layer, index)."""
    found = [
        sorted((path.split("/")[-2], index) for path, index in scales)
        for scales in graph.by_scales.keys.values()
        if scales
    ]
    return sorted(found)


def each_alone(name, count):
    return [[(name, index)] for index in range(count)]


@pytest.fixture
def inputs():
    return keras.Input((4, 4, 3), name="pixels")


def test_a_normalised_convolution_may_lose_channels_and_the_output_none(inputs):
    x = layers.ReLU()(norm("bn")(layers.Conv2D(5, 3, name="a")(inputs)))
    graph = graph_of(layers.Conv2D(2, 1, name="b")(x), inputs)
    assert removable(graph) == each_alone("bn", 5)
    assert set(graph.by_scales.reasons.values()) == {
        "it is an input of the network",
        "it is an output of the network",
    }


def test_what_is_read_before_its_scale_stays(inputs):
    x = layers.Conv2D(5, 3, padding="same", name="a")(inputs)
    y = layers.Conv2D(5, 3, padding="same", name="b")(x)
    z = layers.Concatenate()([norm("bn")(x), y])
    graph = graph_of(layers.Conv2D(2, 1, name="c")(z), inputs)
    assert removable(graph) == []
    assert (
        "no normalisation scales it right before b, which reads it"
        in graph.by_scales.reasons.values()
    )


def test_an_activation_that_lifts_zero_stops_it(inputs):
    x = layers.Activation("sigmoid")(norm("bn")(layers.Conv2D(5, 3)(inputs)))
    assert removable(graph_of(layers.Conv2D(2, 1)(x), inputs)) == []


def test_added_channels_go_together(inputs):
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(2, 1)(x))
    graph = graph_of(layers.Conv2D(1, 1)(layers.Add()([x, y])), inputs)
    assert removable(graph) == [[("one", 0), ("two", 0)], [("one", 1), ("two", 1)]]


def test_operators_do_as_the_layers_do(inputs):
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(2, 1)(x))
    z = norm("three")(layers.Conv2D(1, 1)(inputs))
    joined = keras.ops.concatenate([x + y, z], axis=-1)
    graph = graph_of(layers.Conv2D(1, 1)(joined), inputs)
    assert removable(graph) == [[("one", 0), ("two", 0)], [("one", 1), ("two", 1)], [("three", 0)]]


BORDERS = ((0, 0), (1, 1), (1, 2), (0, 0))
KEEP_ZERO = (
    *(ops.relu, ops.silu, ops.gelu, ops.tanh, ops.leaky_relu, ops.hard_silu, ops.relu6, ops.elu),
    *(ops.abs, ops.square, ops.sign, ops.sqrt, ops.sin, ops.negative, ops.stop_gradient),
    *(lambda x: 2.0 * x, lambda x: x / 3.0, lambda x: x**2, lambda x: x - 0.0),
    *(lambda x: ops.maximum(x, -1.0), lambda x: ops.clip(x, -1.0, 1.0)),
    *(lambda x: ops.cast(x, "float32"), lambda x: x * layers.Conv2D(1, 1)(x)),
    lambda x: x * np.ones((1, 4, 4, 1), "float32"),
    lambda x: x + np.zeros((1, 4, 4, 1), "float32"),
    *(lambda x: ops.pad(x, BORDERS, "reflect"), lambda x: ops.pad(x, BORDERS)),
)
LIFT_ZERO = (
    *(ops.sigmoid, ops.softplus, ops.exp, ops.cos, ops.reciprocal, ops.hard_sigmoid),
    *(lambda x: x + 1.0, lambda x: 1.0 - x, lambda x: ops.maximum(x, 0.1), lambda x: 2.0 / x),
    *(lambda x: x**0, lambda x: x / x, lambda x: x + layers.Conv2D(1, 1)(x)),
    *(lambda x: x + np.ones((1, 4, 4, 1), "float32"), lambda x: ops.clip(x, 1.0, 2.0)),
    lambda x: ops.pad(x, BORDERS, constant_values=1.0),
)
UNKNOWN = (
    *(ops.softmax, lambda x: ops.flip(x, axis=-1), lambda x: ops.cumsum(x, axis=-1)),
    *(lambda x: ops.mean(x, axis=-1, keepdims=True), lambda x: x[..., ::-1]),
    *(lambda x: ops.where(x > 0, x, 0.0), lambda x: ops.pad(x, [[0, 0]] * 3 + [[0, 1]])),
    lambda x: ops.pad(x, 1),
)


@pytest.mark.parametrize("function", KEEP_ZERO)
def test_functions_of_each_value_that_keep_zero_go_on(inputs, function):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(function(x)), inputs)
    assert removable(graph) == each_alone("bn", 2)
    assert not graph.kept_whole and graph.by_kernels.keys.keys() == graph.by_scales.keys.keys()


@pytest.mark.parametrize("function", LIFT_ZERO)
def test_functions_that_lift_zero_stop_it_and_say_so(inputs, function):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(function(x)), inputs)
    assert removable(graph) == [] and not graph.by_kernels.keys and not graph.kept_whole
    reasons = " ".join(graph.by_scales.reasons.values())
    assert "something else than zero of zeros" in reasons or "divides by it" in reasons


@pytest.mark.parametrize("function", UNKNOWN)
def test_functions_that_mix_channels_keep_their_surroundings(inputs, function):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(function(x)), inputs)
    assert removable(graph) == [] and graph.kept_whole


def test_a_mean_over_positions_goes_on(inputs):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    for axes in ((1, 2), [2, -3], 1):
        graph = graph_of(layers.Dense(1)(ops.mean(x, axis=axes)), inputs)
        assert removable(graph) == each_alone("bn", 2)


def test_a_gate_of_operations_is_a_product(inputs):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    share = ops.mean(x, axis=(1, 2), keepdims=True)
    share = layers.ReLU(6.0)(layers.Conv2D(2, 1)(share) + 3.0) * (1.0 / 6.0)
    graph = graph_of(layers.Conv2D(1, 1)(x * share), inputs)
    assert removable(graph) == each_alone("bn", 2)


def test_modulation_by_other_features_is_named(inputs):
    codes = keras.Input((3,))
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    scale, shift = (layers.Reshape((1, 1, 2))(layers.Dense(2)(codes)) for _ in range(2))
    x = x * scale + shift
    graph = graph_of(layers.Conv2D(1, 1)(x), [inputs, codes])
    assert removable(graph) == []
    assert any("as AdaIN and FiLM" in reason for reason in graph.by_scales.reasons.values())
    # By their filters all three go together.
    assert [len({name for name, _ in keys}) for keys in graph.by_kernels.keys.values() if keys] == [
        *(2, 2)
    ]


CONSTANT = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")


@pytest.mark.parametrize(
    "combine",
    [
        lambda x: layers.Add(name="with")([x, CONSTANT]),
        lambda x: layers.Multiply(name="with")([x, CONSTANT]),
        lambda x: layers.Maximum(name="with")([x, CONSTANT]),
        *(lambda x: x + CONSTANT, lambda x: ops.multiply(CONSTANT, x), lambda x: x / CONSTANT),
        lambda x: ops.minimum(x, CONSTANT),
        lambda x: layers.Concatenate(axis=1, name="with")([x, CONSTANT]),
    ],
)
def test_a_constant_as_wide_as_the_features_keeps_them(inputs, combine):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(combine(x)), inputs)
    assert removable(graph) == []
    assert any("constant as wide as it" in reason for reason in graph.by_scales.reasons.values())


@pytest.mark.parametrize("first", [False, True])
def test_a_constant_beside_the_features_lets_them_go(inputs, first):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    some = [CONSTANT, x] if first else [x, CONSTANT]
    graph = graph_of(layers.Conv2D(1, 1)(ops.concatenate(some, axis=-1)), inputs)
    assert removable(graph) == each_alone("bn", 2)
    last = graph.layers[-1]
    own = set(graph.scales["bn/gamma"].tolist())
    assert [int(c) in own for c in last.channels["in"]] == [not first] * 2 + [first] * 2


def test_a_layer_called_on_two_widths_ties_nothing(inputs):
    flatten = layers.Flatten()
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(3, 1)(inputs))
    graph = graph_of(layers.Dense(1)(layers.Concatenate()([flatten(x), flatten(y)])), inputs)
    assert removable(graph) == each_alone("one", 2) + each_alone("two", 3)


def test_a_reshape_to_a_number_of_channels_ties_its_calls(inputs):
    reshape = layers.Reshape((-1, 2))
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Dense(1)(layers.Concatenate()([reshape(x), reshape(y)])), inputs)
    assert removable(graph) == [[("one", 0), ("two", 0)], [("one", 1), ("two", 1)]]


def test_a_nested_model_of_any_width_is_called_on_two(inputs):
    anything = keras.Sequential([keras.Input((None, None, None)), layers.ReLU()])
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(3, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(layers.Concatenate()([anything(x), anything(y)])), inputs)
    assert removable(graph) == each_alone("one", 2) + each_alone("two", 3)


def test_weights_that_a_kind_does_not_have_keep_a_layer_whole(inputs):
    dense = layers.Dense(3, name="tuned")
    x = dense(norm("bn")(layers.Conv2D(2, 1)(inputs)))
    dense.enable_lora(1)
    graph = graph_of(layers.Dense(1)(x), inputs)
    assert removable(graph) == []
    assert "weights of LoRA" in graph.kept_whole["tuned"]


def test_a_sum_with_what_is_never_zero_stays(inputs):
    x = layers.Conv2D(2, 1)(inputs)
    y = norm("two")(layers.Conv2D(2, 1)(x))
    assert removable(graph_of(layers.Conv2D(1, 1)(layers.Add()([x, y])), inputs)) == []


def test_concatenated_channels_go_alone(inputs):
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(3, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(layers.Concatenate()([x, y])), inputs)
    assert removable(graph) == each_alone("one", 2) + each_alone("two", 3)


def test_a_product_goes_where_one_factor_is_masked(inputs):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    share = layers.Dense(2, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    graph = graph_of(layers.Conv2D(1, 1)(layers.Multiply()([x, share])), inputs)
    assert removable(graph) == each_alone("bn", 2)


def test_a_factor_that_is_spread_over_the_channels_stays_whole(inputs):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    attention = norm("spread")(layers.Conv2D(1, 1)(x))
    graph = graph_of(layers.Conv2D(1, 1)(layers.Multiply(name="times")([x, attention])), inputs)
    assert removable(graph) == each_alone("bn", 2)
    assert "times spreads it over all channels" in graph.by_scales.reasons.values()


def test_flattening_spreads_a_channel_over_positions(inputs):
    x = norm("bn")(layers.Conv2D(2, 3)(inputs))
    graph = graph_of(layers.Dense(1)(layers.Flatten()(x)), inputs)
    assert removable(graph) == each_alone("bn", 2)
    (dense,) = [each for each in graph.layers if isinstance(each.layer, layers.Dense)]
    assert len(dense.channels["in"]) == 8 and len(set(dense.channels["in"])) == 2


def test_reshaping_joins_the_units_that_become_one_channel():
    codes = keras.Input((4,))
    x = layers.Reshape((2, 2, 3))(layers.Dense(12, name="dense")(codes))
    graph = graph_of(layers.Conv2D(1, 1)(norm("bn")(x)), codes)
    assert removable(graph) == each_alone("bn", 3)
    (dense,) = [each for each in graph.layers if each.layer.name == "dense"]
    first, second, third = dense.channels["out"][:3]
    assert list(dense.channels["out"]) == [first, second, third] * 4


def test_units_normalised_before_a_reshape_go_with_all_of_their_channel():
    codes = keras.Input((4,))
    x = layers.Reshape((1, 2, 1))(norm("bn")(layers.Dense(2)(codes)))
    graph = graph_of(layers.Conv2D(1, 1)(x), codes)
    assert removable(graph) == [[("bn", 0), ("bn", 1)]]


def test_a_depthwise_convolution_hands_channels_on(inputs):
    x = layers.ReLU()(norm("before")(layers.Conv2D(2, 1)(inputs)))
    x = norm("after")(layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(x))
    graph = graph_of(layers.Conv2D(1, 1)(x), inputs)
    # What is read is zero where the last scale is; both children of a channel go with it.
    assert removable(graph) == [[("after", 0), ("after", 1)], [("after", 2), ("after", 3)]]


def test_a_shared_layer_ties_what_it_reads_at_each_call(inputs):
    shared = layers.Conv2D(1, 1)
    x = norm("one")(layers.Conv2D(2, 1)(inputs))
    y = norm("two")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Add()([shared(x), shared(y)]), inputs)
    assert removable(graph) == [[("one", 0), ("two", 0)], [("one", 1), ("two", 1)]]


def test_channels_flow_through_a_nested_model(inputs):
    inner_inputs = keras.Input((4, 4, 2))
    inner = keras.Model(inner_inputs, layers.ReLU()(norm("inner")(inner_inputs)))
    graph = graph_of(layers.Conv2D(1, 1)(inner(layers.Conv2D(2, 1)(inputs))), inputs)
    assert removable(graph) == each_alone("inner", 2)


def test_groups_of_a_group_normalisation_go_whole(inputs):
    x = layers.GroupNormalization(2, name="gn")(layers.Conv2D(4, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(x), inputs)
    assert removable(graph) == [[("gn", 0), ("gn", 1)], [("gn", 2), ("gn", 3)]]


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (layers.LayerNormalization(), "is of a kind that cannot be slimmed"),
        (layers.Conv2D(2, 1, groups=2), "convolves in groups"),
        (layers.Softmax(), "is of a kind that cannot be slimmed"),
        (layers.Activation("softmax"), "has an activation, softmax, that may mix channels"),
        (layers.BatchNormalization(axis=1), "normalises along axis 1"),
        (layers.Rescaling([1.0, 2.0]), "rescales each channel by itself"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_layer_that_cannot_be_looked_into_keeps_its_surroundings(inputs, layer, reason):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    graph = graph_of(layers.Conv2D(1, 1)(layer(x)), inputs)
    assert removable(graph) == []
    assert graph.kept_whole == {layer.name: reason}


def test_units_that_a_softmax_mixes_stay_and_their_inputs_may_go(inputs):
    x = norm("bn")(layers.Conv2D(2, 1)(inputs))
    x = norm("after")(layers.Dense(3, activation="softmax", name="mixed")(x))
    graph = graph_of(layers.Conv2D(1, 1)(x), inputs)
    assert removable(graph) == each_alone("bn", 2)
    assert "the activation of mixed, softmax, may mix them" in graph.by_scales.reasons.values()


def by_place(x):
    return x * np.arange(1, x.shape[-1] + 1, dtype="float32")


def for_this_width(x):
    return x * np.ones(6, "float32")


def by_the_largest(x):
    return x / keras.ops.max(x)


MIXING = ("softmax", "log_softmax", "sparsemax", "glu", by_place, for_this_width, by_the_largest)


@pytest.mark.parametrize("activation", MIXING)
def test_activations_that_are_not_of_each_value_keep_what_is_around_them(inputs, activation):
    x = norm("bn")(layers.Conv2D(6, 1)(inputs))
    x = layers.Activation(activation, name="mixing")(x)
    graph = graph_of(layers.Conv2D(1, 1)(x), inputs)
    assert removable(graph) == []
    assert getattr(activation, "__name__", activation) in graph.kept_whole["mixing"]


ELEMENTWISE = set(vars(keras.activations)) - {
    *("softmax", "log_softmax", "sparsemax", "glu", "serialize", "deserialize", "get"),
    "threshold",  # which has no defaults
}


@pytest.mark.parametrize("name", sorted(name for name in ELEMENTWISE if not name.startswith("_")))
def test_every_other_activation_of_keras_is_seen_to_be_of_each_value(inputs, name):
    x = norm("bn")(layers.Conv2D(2, 1, activation=name)(inputs))
    assert removable(graph_of(layers.Conv2D(1, 1)(x), inputs)) == each_alone("bn", 2)
