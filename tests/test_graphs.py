import keras

from tf_tickets.graphs import calls_of, graph_of


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
        assert all(id(tensor) in known for tensor in call.input_tensors)
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
