import keras
import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets import SettingError, masks_of_zeros, prunable
from tf_tickets.names import variable_names
from tf_tickets.pruning.prunable import why_not_prunable

L = keras.layers


@pytest.fixture
def model():
    """An encoder and a decoder with every kind of variable that must not be pruned."""
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(4, 3, name="conv"),
            L.BatchNormalization(name="bn"),
            L.SeparableConv2D(4, 3, name="separable"),
            L.Flatten(),
            L.LayerNormalization(name="ln"),
        ],
        name="encoder",
    )
    decoder = keras.Sequential(
        [keras.Input(encoder.output_shape[1:]), L.Dense(5, name="dense"), L.PReLU(name="prelu")],
        name="decoder",
    )
    images = keras.Input((8, 8, 3))
    whole = keras.Model(images, decoder(encoder(images)))
    whole.components = {"encoder": encoder, "decoder": decoder}
    return whole


def names(variables):
    """Return the last two parts of each name, that of the layer and the variable's own."""
    return ["/".join(name.split("/")[-2:]) for name in variables.names]


def test_kernels_only_and_in_the_models_order(model):
    assert names(prunable(model)) == [
        "conv/kernel",
        "separable/depthwise_kernel",
        "separable/pointwise_kernel",
        "dense/kernel",
    ]


def test_a_frozen_kernel_is_not_pruned(model):
    model.components["decoder"].trainable = False
    assert "dense/kernel" not in names(prunable(model))


def test_scope_is_a_component_a_layer_or_a_predicate(model):
    decoder = model.components["decoder"]
    assert names(prunable(model, "decoder")) == ["dense/kernel"]
    assert names(prunable(model, decoder)) == ["dense/kernel"]
    assert names(prunable(model, decoder.get_layer("dense"))) == ["dense/kernel"]
    assert names(prunable(model, lambda kernel: len(kernel.shape) == 2)) == ["dense/kernel"]


def test_predicates_in_a_list_narrow_what_the_rest_of_it_names(model):
    def is_small(kernel):
        return kernel.shape[0] < 5

    def is_pointwise(kernel):
        return kernel.shape[0] == 1

    small = ["conv/kernel", "separable/depthwise_kernel", "separable/pointwise_kernel"]
    assert names(prunable(model, [is_small])) == names(prunable(model, ["encoder"])) == small
    assert names(prunable(model, ["encoder", is_small, is_pointwise])) == small[-1:]
    with pytest.raises(SettingError, match="no kernel to prune"):
        prunable(model, ["decoder", is_small])


def test_an_unknown_component_is_told_which_there_are(model):
    with pytest.raises(SettingError, match=r"\(encoder, decoder\).*Received: 'critic'\.$"):
        prunable(model, "critic")
    for scope in (3, L.Dense, ["encoder", "critic"], [3]):
        with pytest.raises(SettingError, match=r"`scope` must be .* a list of these"):
            prunable(model, scope)
    with pytest.raises(SettingError, match=r"name of a component \(none here\)"):
        prunable(model.components["encoder"], "encoder")


def test_the_name_of_a_layer_is_answered_with_the_layer(model):
    encoder = model.components["encoder"]
    with pytest.raises(SettingError, match=r"Did you mean model\.get_layer\('conv'\)\?$"):
        prunable(encoder, "conv")
    assert names(prunable(encoder, encoder.get_layer("conv"))) == ["conv/kernel"]


def test_scope_is_a_list_of_layers_models_and_components(model):
    conv, relu = model.components["encoder"].get_layer("conv"), L.ReLU()
    for scope in ([model.components["decoder"], conv], ["decoder", conv], (conv, conv, "decoder")):
        assert names(prunable(model, scope)) == ["conv/kernel", "dense/kernel"]
    relu(np.zeros((1, 3)))
    assert names(prunable(model, [relu, conv])) == ["conv/kernel"]
    with pytest.raises(SettingError, match="no kernel to prune"):
        prunable(model, [])
    with pytest.raises(SettingError, match=r"late has no variables yet.*call it"):
        prunable(model, [conv, L.Dense(3, name="late")])


def test_a_layer_of_another_model_is_not_in_this_one(model):
    other = keras.Sequential([keras.Input((4,)), L.Dense(4)])
    with pytest.raises(SettingError, match="no kernel to prune"):
        prunable(model, other.layers[0])


def test_a_scope_without_kernels_is_an_error(model):
    with pytest.raises(SettingError, match="no kernel to prune"):
        prunable(model, model.components["encoder"].get_layer("bn"))
    with pytest.raises(SettingError, match="no kernel to prune"):
        prunable(model, lambda kernel: False)


def test_a_shared_layer_is_counted_once():
    shared = L.Dense(4, name="shared")
    inputs = keras.Input((4,))
    model = keras.Model(inputs, shared(shared(inputs)))
    assert names(prunable(model)) == ["shared/kernel"]


def test_kernels_that_share_a_path_have_names_of_their_own():
    class Twins(keras.Model):
        def __init__(self):
            super().__init__(name="twins")
            self.first = L.Dense(3, name="twin")
            self.second = L.Dense(3, name="twin")

        def call(self, inputs):
            return self.second(self.first(inputs))

    model = Twins()
    model(np.zeros((1, 3), "float32"))
    kernels = prunable(model)
    assert kernels[0].path == kernels[1].path
    assert kernels.names == ["first/kernel", "second/kernel"]
    assert prunable(model, model.second).names == ["second/kernel"]


def test_masks_of_zeros_keep_what_is_not_zero(model):
    dense = prunable(model, "decoder")[0]
    drawn = np.indices(dense.shape).sum(axis=0) % 2 == 0
    dense.assign(np.where(drawn, -0.25, 0))
    masks = masks_of_zeros(model)
    assert list(masks) == prunable(model).names
    np.testing.assert_array_equal(masks["decoder/dense/kernel"], drawn)
    assert list(masks_of_zeros(model, "decoder")) == ["decoder/dense/kernel"]


def test_each_variable_is_prunable_or_there_is_a_reason(model):
    model.components["decoder"].trainable = False
    reasons = {name: why_not_prunable(v) for name, v in variable_names(model).items()}
    of = {"/".join(name.split("/")[-2:]): reason for name, reason in reasons.items()}
    assert {name for name, reason in reasons.items() if not reason} == set(prunable(model).names)
    assert "frozen" in of["dense/kernel"]
    assert "bias" in of["conv/bias"] and "bias" in of["dense/bias"]
    assert "normalisation" in of["bn/gamma"] and "normalisation" in of["ln/beta"]
    assert "state" in of["bn/moving_mean"]


def test_an_embedding_and_a_weight_of_another_name_have_their_reasons():
    inputs = keras.Input((3,), dtype="int32")
    model = keras.Model(inputs, L.PReLU(name="prelu")(L.Embedding(9, 4, name="table")(inputs)))
    table, slopes = (why_not_prunable(variable) for variable in model.variables)
    assert "embedding" in table and "not called a kernel" in slopes


@pytest.mark.parametrize("mode", ["int8", "int4"])
def test_quantised_kernels_are_told_of(mode):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="dense")], name="net")
    kernel = tt.prunable(model)[0]
    kernel.assign(np.eye(4, 3))
    model.get_layer("dense").quantize(mode)
    with pytest.raises(tt.SettingError, match=r"none of the 1 .* kernels are quantised: prune it"):
        tt.prunable(model)
    if mode == "int8":  # int4 packs two weights into each number
        assert np.count_nonzero(model.get_layer("dense").kernel.numpy()) == 3
    rows = {row.path: row for row in tt.report(model, measure=False).weights}
    assert rows["dense/kernel"].skipped.startswith("quantised: prune it before")


def test_weights_of_lora_are_no_kernels_and_the_kernel_beside_them_is_frozen():
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(2)])
    model.layers[0].enable_lora(1)
    assert [tuple(kernel.shape) for kernel in tt.prunable(model)] == [(3, 2)]


def test_the_average_of_a_weight_follows_it_and_is_not_pruned_by_itself():
    class Averaged(keras.Model):
        def __init__(self):
            super().__init__(name="averaged")
            self.net = keras.Sequential([keras.Input((3,)), L.Dense(4, name="dense")])
            self.average = keras.models.clone_model(self.net)

        @property
        def averages(self):
            return list(zip(self.net.weights, self.average.weights, strict=True))

    model = Averaged()
    assert prunable(model).names == ["net/dense/kernel"]
    with pytest.raises(
        SettingError, match=r"no kernel to prune.*\. Moving averages follow the masks"
    ):
        prunable(model, model.average)
