import keras
import pytest

import tf_tickets as tt
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
