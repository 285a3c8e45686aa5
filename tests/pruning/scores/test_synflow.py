"""SynFlow in closed forms, and by what has to be the same."""

import keras
import numpy as np
import pytest

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.errors import SettingError
from tf_tickets.pruning.scores.synflow import SynapticFlow, linear_twin

L = keras.layers
RANDOM = np.random.default_rng(0)


def chain(*values):
    """A chain of square kernels without activation, of ones times each value."""
    layers = [L.Dense(3, use_bias=False, name=f"l{i}") for i in range(len(values))]
    model = keras.Sequential([keras.Input((3,)), *layers], name="chain")
    for layer, value in zip(layers, values, strict=True):
        layer.kernel.assign(np.full((3, 3), value))
    return model


def test_synflow_of_a_chain_in_closed_form():
    model = chain(0.5, -2.0, 0.25)
    # Every path has the product 0.25 of magnitudes, and 9 of the 81 pass each weight.
    for score in tt.synflow_scores(model, tt.prunable(model)).values():
        assert score.dtype == np.float64
        np.testing.assert_allclose(score, 9 * 0.25, rtol=1e-14)


def test_synflow_multiplies_what_comes_in_by_what_goes_on():
    model = chain(1.0, 1.0)
    first, second = (np.abs(RANDOM.normal(size=(3, 3))) for _ in range(2))
    model.layers[0].kernel.assign(-first)
    model.layers[1].kernel.assign(second)
    first, second = (np.abs(layer.kernel.numpy().astype("float64")) for layer in model.layers)
    scores = tt.synflow_scores(model, tt.prunable(model))
    np.testing.assert_allclose(scores["l0/kernel"], first * second.sum(axis=1), rtol=1e-14)
    incoming = first.sum(axis=0)[:, None]
    np.testing.assert_allclose(scores["l1/kernel"], second * incoming, rtol=1e-14)


@pytest.mark.parametrize("name", slow_but(["dcgan-table2", "sngan", "resnet-vae"], "sngan"))
def test_synflow_gives_each_layer_in_a_row_the_same_sum(name):
    """Also through tanh, spectral norms and batch normalisation, and the weights stay."""
    keras.utils.set_random_seed(0)
    model = tt.models.build(name, (32, 32, 1), width=4)
    before = tt.take_snapshot(model)
    for network in model.components.values():
        scores = tt.synflow_scores(network, tt.prunable(network))
        sums = {path: score.sum() for path, score in scores.items() if "_block" not in path}
        assert len(sums) > 1
        np.testing.assert_allclose(list(sums.values()), next(iter(sums.values())), rtol=1e-9)
        assert min(score.min() for score in scores.values()) >= 0
    after = tt.take_snapshot(model)
    assert all(np.array_equal(before[path], after[path]) for path in before)


def test_synflow_of_a_deep_network_does_not_overflow():
    keras.utils.set_random_seed(0)
    kernels = [L.Dense(64, kernel_initializer="ones", name=f"l{i}") for i in range(40)]
    model = keras.Sequential([keras.Input((64,)), *kernels])  # R is 64^41, past float32
    scores = tt.synflow_scores(model, tt.prunable(model))
    assert all(np.isfinite(score).all() and score.min() > 0 for score in scores.values())


def prune_in_steps(model, sparsity, num_steps):
    kernels = tt.prunable(model)
    masks = tt.Masks.all_kept(kernels)
    flow = SynapticFlow(model)
    with tt.hold(model, masks) as held:
        for step in range(1, num_steps + 1):
            scores = flow(kernels)
            masks = tt.global_masks(scores, 1 - (1 - sparsity) ** (step / num_steps), masks)
            held.assign(masks)
    return masks


def test_synflow_does_not_collapse_a_layer_where_magnitude_does():
    keras.utils.set_random_seed(0)
    widths = [20, 20, 20, 20]
    model = keras.Sequential(
        [keras.Input((20,)), *(L.Dense(w, name=f"l{i}") for i, w in enumerate(widths))]
    )
    model.layers[1].kernel.assign(model.layers[1].kernel * 1e-3)
    by_magnitude = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.9)
    by_flow = prune_in_steps(model, 0.9, num_steps=30)
    fewest = [min(mask.sum() for mask in masks.values()) for masks in (by_magnitude, by_flow)]
    assert fewest[0] == 1, "the floor of global_masks, and nothing more"
    assert fewest[1] > 10


def test_activations_of_the_twin_are_linear_and_its_weights_are_float64():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = L.Conv2D(3, 3, activation="relu", name="conv")(inputs)
    x = L.Activation("tanh", name="tanh")(L.BatchNormalization(name="bn")(x))
    twin, _ = linear_twin(keras.Model(inputs, x))
    assert {variable.dtype for variable in twin.variables} == {"float64"}
    ones = np.ones((1, 4, 4, 1))
    assert float(keras.ops.max(keras.ops.abs(twin(1000 * ones)))) > 10


def scores_of(outputs, inputs):
    model = keras.Model(inputs, outputs)
    return tt.synflow_scores(model, tt.prunable(model))


def test_synflow_of_a_layer_that_an_earlier_model_named():
    """Its weights keep the paths that they were given there, and have names of their own here."""
    keras.utils.set_random_seed(0)
    shared, head, inputs = L.Dense(3, name="shared"), L.Dense(2, name="head"), keras.Input((4,))
    keras.Sequential([keras.Input((4,)), shared], name="earlier")
    scores = scores_of(head(shared(inputs)), inputs)
    first, second = (np.abs(layer.kernel.numpy().astype("float64")) for layer in (shared, head))
    np.testing.assert_allclose(scores["shared/kernel"], first * second.sum(1))
    np.testing.assert_allclose(scores["head/kernel"], first.sum(0)[:, None] * second)


def test_synflow_through_operators_is_that_through_layers():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    x = L.Dense(3, name="a")(inputs)
    y = L.Dense(3, name="b")(x)
    last = L.Dense(2, name="c")
    by_layers = scores_of(last(L.Multiply()([L.Add()([x, y]), inputs])), inputs)
    by_operators = scores_of(last((x + y) * inputs), inputs)
    assert list(by_layers) == list(by_operators) == ["a/kernel", "b/kernel", "c/kernel"]
    for path, score in by_layers.items():
        np.testing.assert_allclose(by_operators[path], score, rtol=1e-14)
        assert score.min() > 0


@pytest.mark.parametrize(
    "layer",
    [
        *(L.GroupNormalization(2, name="n"), L.LayerNormalization(name="n")),
        *(L.LayerNormalization(axis=[-1], center=False, name="n"), L.ReLU(max_value=6)),
        *(L.Softmax(), L.Activation("relu6"), L.Lambda(lambda x: 2 * x)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_what_divides_or_saturates_lets_all_of_the_flow_pass(layer):
    """Each layer in a row has the same sum of scores, and scaling one scales R."""
    keras.utils.set_random_seed(0)
    stack = [L.Dense(4, name="a"), layer, L.Dense(2, name="b")]
    model = keras.Sequential([keras.Input((3,)), *stack])
    first = tt.synflow_scores(model, tt.prunable(model))
    model.get_layer("a").kernel.assign(100 * model.get_layer("a").kernel)
    for before, after in zip(
        first.values(), tt.synflow_scores(model, tt.prunable(model)).values(), strict=True
    ):
        assert before.min() > 0
        np.testing.assert_allclose(before.sum(), next(iter(first.values())).sum(), rtol=1e-12)
        np.testing.assert_allclose(after, 100 * before, rtol=1e-6)


def test_synflow_of_a_nested_and_compiled_model_is_that_of_its_layers():
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu", name="a")], name="inner")
    inner.compile("sgd", lambda y, outputs: outputs)
    nested = keras.Sequential([keras.Input((3,)), inner, L.Dense(2, name="b")])
    flat = keras.Sequential([keras.Input((3,)), L.Dense(4, "relu"), L.Dense(2)])
    flat.set_weights(nested.get_weights())
    scores = [tt.synflow_scores(model, tt.prunable(model)) for model in (nested, flat)]
    for one, other in zip(*(each.values() for each in scores), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-14)


def test_synflow_needs_layers_that_can_be_copied():
    class Own(keras.Model):
        def __init__(self):
            super().__init__(name="own")
            self.dense = L.Dense(2, name="dense")

        def call(self, inputs):
            return self.dense(inputs)

    model = Own()
    model(np.zeros((1, 3), "float32"))
    with pytest.raises(SettingError, match=r"Functional or Sequential.*own, a Own"):
        tt.synflow_scores(model, tt.prunable(model))


def test_synflow_of_a_part_goes_by_the_names_of_the_whole():
    keras.utils.set_random_seed(0)
    part, inputs = chain(0.5, -2.0), keras.Input((3,))
    whole = keras.Model(inputs, L.Dense(2, name="head")(part(inputs)))
    scores = tt.synflow_scores(part, tt.prunable(whole, part))
    alone = tt.synflow_scores(part, tt.prunable(part))
    assert list(scores) == ["chain/l0/kernel", "chain/l1/kernel"]
    assert list(alone) == ["l0/kernel", "l1/kernel"]
    for one, other in zip(scores.values(), alone.values(), strict=True):
        np.testing.assert_array_equal(one, other)
