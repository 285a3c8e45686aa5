"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets import keras_internals
from tf_tickets.keras_internals import calls_of, copy_layer, copy_network, graph_of


def test_calls_come_after_what_they_need_and_shared_layers_for_each_call():
    inputs = keras.Input((2,))
    shared = keras.layers.Dense(2, name="shared")
    first = shared(inputs)
    second = shared(keras.layers.ReLU(name="relu")(first))
    model = keras.Model(inputs, keras.layers.Add(name="add")([first, second]))
    calls = calls_of(graph_of(model))
    assert [call.operation.name for call in calls] == ["shared", "relu", "shared", "add"]
    known = {id(inputs)}
    for call in calls:
        assert all(id(tensor) in known for tensor in call.inputs)
        known |= {id(tensor) for tensor in call.outputs}
    assert {id(tensor) for tensor in model.outputs} <= known


def test_only_what_is_functional_or_built_and_sequential_has_a_graph():
    layers = [keras.layers.Dense(3, name="dense")]
    unbuilt, built = keras.Sequential(layers), keras.Sequential([keras.Input((2,)), *layers])
    assert graph_of(unbuilt) is None
    assert [call.operation.name for call in calls_of(graph_of(built))] == ["dense"]

    class Subclassed(keras.Model):
        pass

    assert graph_of(Subclassed()) is None


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
    assert copy.get_layer("dense") is not model.get_layer("dense")


@pytest.mark.parametrize(
    "use",
    [
        tt.prunable,
        tt.report,
        lambda model: tt.hold(model, tt.Masks({})).__enter__(),
        lambda model: tt.channel_masks(model, 0.5),
    ],
    ids=["prunable", "report", "hold", "channel_masks"],
)
def test_what_is_no_model_is_refused(use):
    with pytest.raises(tt.SettingError, match=r"Received: a str\. Load it first, by keras"):
        use("net.keras")
    with pytest.raises(tt.SettingError, match=r"must be a Keras model\. Received: a dict\.$"):
        use({})


def small_model(**options):
    """Return a compiled model of two layers, and a batch for it."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="first"), keras.layers.Dense(2, name="last")]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model, (np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))


# The graph


def test_a_call_knows_its_arguments_by_name():
    inputs = keras.Input((5, 8))
    attention = keras.layers.MultiHeadAttention(2, 4)
    model = keras.Model(inputs, attention(inputs, value=inputs, attention_mask=None))
    (call,) = calls_of(graph_of(model))
    assert call.arguments["query"] is inputs and call.arguments["value"] is inputs
    assert "key" not in call.arguments and call.arguments["attention_mask"] is None


@pytest.mark.parametrize(
    ("combine", "kind"),
    [
        (lambda x, y: x + y, "Add"),
        (lambda x, y: x - y, "Subtract"),
        (lambda x, y: x * y, "Multiply"),
        (keras.ops.maximum, "Maximum"),
        (keras.ops.minimum, "Minimum"),
        (lambda x, y: keras.ops.concatenate([x, y]), "Concatenate"),
    ],
)
def test_operators_have_the_kinds_by_which_channels_are_followed(combine, kind):
    first, second = keras.Input((2,)), keras.Input((2,))
    model = keras.Model([first, second], combine(first, second))
    assert [keras_internals.kind_of(call.operation) for call in calls_of(model)] == [kind]


# Layers


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


# Training


def test_a_step_that_is_traced_again_sees_what_was_set_since():
    model, batch = small_model()
    model.fit(*batch, verbose=0)
    kernel = model.get_layer("first").kernel
    kernel.constraint = lambda weights: keras.ops.zeros_like(weights)
    model.fit(*batch, verbose=0)
    assert np.any(kernel.numpy())
    keras_internals.retrace(model)
    model.fit(*batch, verbose=0)
    assert not np.any(kernel.numpy())


def test_a_model_without_a_step_is_not_given_one():
    model, _ = small_model()
    keras_internals.retrace(model)
    assert model.train_function is None
    keras_internals.retrace(keras.Sequential([keras.Input((1,))]))  # nor compiled


def test_the_step_of_fit_can_be_taken_alone_again_and_again():
    model, batch = small_model(metrics=["mae"])
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat(2))
    for _ in range(2):
        logs = keras_internals.train_step_of(model)(batches)
    assert set(logs) == {"loss", "mae"}
    assert int(model.optimizer.iterations) == 2


def test_what_compile_was_given_are_the_very_objects():
    def loss(y, outputs):
        return keras.ops.mean(y - outputs)

    metric, optimizer = keras.metrics.MeanSquaredError(), keras.optimizers.SGD()
    model, _ = small_model(optimizer=optimizer, loss=loss, metrics=[metric])
    arguments = keras_internals.compile_arguments(model)
    assert arguments["loss"] is loss and arguments["optimizer"] is optimizer
    assert arguments["metrics"][0] is metric


# Optimizers


def variables():
    """Return two variables of the same shape, and one of another."""
    return [keras.Variable(np.ones(shape)) for shape in ((2, 3), (2, 3), (4,))]


def built(optimizer, trained):
    optimizer.build(trained)
    return optimizer


def scaled(optimizer):
    return keras.optimizers.LossScaleOptimizer(optimizer)


def test_the_innermost_optimizer_is_within_a_loss_scale():
    inner = keras.optimizers.SGD()
    assert keras_internals.innermost(inner) is inner
    assert keras_internals.innermost(scaled(inner)) is inner


@pytest.mark.parametrize("around", [lambda inner: inner, scaled], ids=["plain", "loss scale"])
def test_what_an_optimizer_was_built_for_is_known_in_its_order(around):
    trained, optimizer = variables(), around(keras.optimizers.SGD())
    assert keras_internals.trained_variables(optimizer) == []
    found = keras_internals.trained_variables(built(optimizer, trained))
    assert [id(variable) for variable in found] == [id(variable) for variable in trained]


@pytest.mark.parametrize("around", [lambda inner: inner, scaled], ids=["plain", "loss scale"])
@pytest.mark.parametrize(
    ("optimizer", "num_slots"),
    [
        (lambda: keras.optimizers.SGD(), 0),
        (lambda: keras.optimizers.SGD(momentum=0.9), 1),
        (lambda: keras.optimizers.Adam(), 2),
        (lambda: keras.optimizers.Adam(amsgrad=True), 3),
        (lambda: keras.optimizers.Adam(use_ema=True), 3),
        (lambda: keras.optimizers.Adam(gradient_accumulation_steps=2), 3),
    ],
    ids=["sgd", "momentum", "adam", "amsgrad", "averages", "accumulation"],
)
def test_each_variable_has_its_own_slots(optimizer, num_slots, around):
    trained = variables()
    optimizer = built(around(optimizer()), trained)
    slots = keras_internals.slots_of(optimizer)
    assert list(slots) == [id(variable) for variable in trained]
    assert [len(slots[id(variable)]) for variable in trained] == [num_slots] * 3
    assert all(slot.shape == v.shape for v in trained for slot in slots[id(v)])
    found = {id(slot) for each in slots.values() for slot in each}
    assert len(found) == 3 * num_slots
    assert found <= {id(variable) for variable in optimizer.variables}


def test_slots_of_another_shape_are_left_out():
    (variable,) = trained = [keras.Variable(np.ones((200, 300)))]
    optimizer = built(keras.optimizers.Adafactor(), trained)
    factors = keras_internals.slots_of(optimizer)[id(variable)]
    assert all(slot.shape == (200, 300) for slot in factors)
    # Its counters are as many as the variables, and of the shape of a number.
    pair = [keras.Variable(1.0), keras.Variable(2.0)]
    assert not any(keras_internals.slots_of(built(keras.optimizers.SGD(), pair)).values())


def test_slots_of_a_variable_change_with_it_alone():
    trained = variables()
    optimizer = built(keras.optimizers.SGD(momentum=0.5), trained)
    optimizer.apply([tf.ones((2, 3)), tf.zeros((2, 3)), tf.zeros((4,))])
    slots = keras_internals.slots_of(optimizer)
    changed = [bool(np.any(slots[id(variable)][0].numpy())) for variable in trained]
    assert changed == [True, False, False]


def test_averages_are_those_of_the_variable_by_use_ema():
    trained = variables()
    averaging = keras.optimizers.SGD(use_ema=True)
    assert keras_internals.moving_averages(averaging, trained[1]) == []  # not built yet
    averaging.build(trained)
    (average,) = keras_internals.moving_averages(averaging, trained[1])
    averaging.apply([tf.zeros((2, 3)), tf.ones((2, 3)), tf.zeros((4,))])
    assert average.shape == (2, 3) and np.all(average.numpy() != 1)
    assert keras_internals.moving_averages(averaging, keras.Variable(1.0)) == []
    plain = built(keras.optimizers.SGD(), trained)
    assert keras_internals.moving_averages(plain, trained[1]) == []


def test_a_schedule_of_the_learning_rate_is_the_very_function():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert keras_internals.schedule_of(keras.optimizers.SGD(schedule)) is schedule

    def rate():
        return 0.1

    assert keras_internals.schedule_of(keras.optimizers.SGD(rate)) is rate
    assert keras_internals.schedule_of(keras.optimizers.SGD(0.1)) is None


class Unlisted(keras.optimizers.SGD):
    """An optimizer whose config does not bring it back."""

    def __init__(self, rates):
        super().__init__(rates[0], momentum=0.5)
        self.rates = rates


@pytest.mark.parametrize("around", [lambda inner: inner, scaled], ids=["plain", "loss scale"])
def test_a_copy_that_is_not_built_learns_as_the_optimizer_would(around):
    optimizer = around(Unlisted([0.1, 0.2]))
    copied = keras_internals.unbuilt_copy(optimizer)
    first, second = [keras.Variable([1.0, 2.0])], [keras.Variable([1.0, 2.0])]
    keras_internals.build_for(optimizer, first)
    keras_internals.build_for(copied, second)
    assert keras_internals.innermost(copied).rates == [0.1, 0.2]
    assert not {id(v) for v in copied.variables} & {id(v) for v in optimizer.variables}
    gradient = [tf.constant([0.5, -1.0])]
    optimizer.apply(gradient)
    assert int(optimizer.iterations) == 1 and int(copied.iterations) == 0
    assert np.all(second[0].numpy() == [1.0, 2.0])
    copied.apply(gradient)
    assert np.all(second[0].numpy() == first[0].numpy())


def test_an_optimizer_is_built_under_the_strategy_that_it_was_made_under():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer = keras.optimizers.SGD(momentum=0.5)
        variable = keras.Variable([1.0])
    keras_internals.build_for(optimizer, [variable])
    for each in optimizer.variables:
        assert isinstance(each.value, tf.distribute.DistributedValues)
