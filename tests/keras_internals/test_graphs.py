"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import inspect
import warnings

import keras
import numpy as np
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


MODEL_NAMES = ("model", "network", "source")


def is_error(use):
    return isinstance(use, type) and issubclass(use, Exception)


def doors():
    """Return the public functions and classes that are first of all given a model."""
    found = {name: getattr(tt, name) for name in tt.__all__}
    found = {
        name: use for name, use in found.items() if inspect.isroutine(use) or name[0].isupper()
    }
    found = {name: use for name, use in found.items() if not is_error(use)}
    firsts = {name: next(iter(inspect.signature(found[name]).parameters), "") for name in found}
    doors = [name for name, first in firsts.items() if first in MODEL_NAMES]
    return [name for name in doors if name != "Report"]  # has a model's name


def enter(name, model):
    """Call a public function on what may be no model; what else it takes is never looked at."""
    use = getattr(tt, name)
    taken = list(inspect.signature(use).parameters.values())[1:]
    needed = [each for each in taken if each.default is inspect.Parameter.empty]
    numbers = {"round_to": 1, "num_steps": 1, "batch_size": 1, "weight_sparsity": 0.5}
    given = {each.name: numbers.get(each.name, model) for each in needed}
    entered = use(model, **given)
    if name == "hold":
        entered.__enter__()
    if name == "SynapticFlow":
        entered([])


def test_the_doors_are_found():
    assert {"slim", "hold", "report", "count_flops", "take_snapshot"} <= set(doors())


@pytest.mark.parametrize("name", doors())
def test_what_is_no_model_is_refused(name):
    with pytest.raises(tt.SettingError, match=r"Received: a str\. Load it first, by keras"):
        enter(name, "net.keras")
    with pytest.raises(tt.SettingError, match=r"must be a Keras model\. Received: a dict\.$"):
        enter(name, {})
    # As a model of the package tf_keras says where it is from.
    legacy = type("Sequential", (), {"__module__": "tf_keras.src.engine.sequential"})()
    with pytest.raises(tt.SettingError, match="a Sequential of tf_keras, which is Keras 2"):
        enter(name, legacy)


@pytest.mark.slow
def test_a_model_of_tf_keras_comes_over_as_the_message_says(tmp_path):
    tf_keras = pytest.importorskip("tf_keras")
    model = tf_keras.Sequential([tf_keras.Input((4,)), tf_keras.layers.Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(tt.SettingError, match="compile=False") as refused:
        tt.report(model)
    assert 'model.save("model.h5")' in str(refused.value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tf_keras calls its format old
        model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5", compile=False)
    x = np.ones((2, 4), "float32")
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
    assert tt.prunable(loaded)


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
