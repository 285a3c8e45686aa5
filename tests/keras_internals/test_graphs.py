"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras
import pytest

import tf_tickets as tt
from tf_tickets import keras_internals
from tf_tickets.keras_internals import calls_of, graph_of


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
