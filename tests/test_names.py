"""Names of variables: unique, told by hand, and the same after loading and in another process."""

import copy
import json
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.names import NamedVariables, named, names_of, under_names, variable_names

L = keras.layers


def register(cls):
    return keras.saving.register_keras_serializable("test_names")(cls)


def unnamed_network():
    """Two branches whose layers are made in another order than they are called in."""
    inputs = keras.Input((4,))
    late, early = L.Dense(3), L.Dense(3)
    x = L.Add()([early(inputs), late(inputs)])
    return keras.Model(inputs, L.Dense(2)(L.BatchNormalization()(x)))


def named_network(name="net"):
    inputs = keras.Input((4,))
    x = L.Dense(3, name="first")(inputs)
    return keras.Model(
        inputs, L.Dense(2, name="second")(L.BatchNormalization(name="bn")(x)), name=name
    )


def unnamed_sequential():
    return keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dropout(0.5), L.Dense(2)])


def nested_sequential():
    blocks = [keras.Sequential([L.Dense(4, activation="relu"), L.Dense(4)]) for _ in range(2)]
    return keras.Sequential([keras.Input((4,)), *blocks, L.Dense(2)])


def shared_layers():
    inputs = keras.Input((4,))
    shared, block = L.Dense(4), keras.Sequential([L.Dense(4)])
    x = shared(block(shared(inputs)))
    return keras.Model(inputs, L.Dense(2)(block(x)))


@register
class Attributes(keras.Model):
    """Layers as attributes, and in lists, tuples and dicts."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._stem = L.Dense(4, name="whatever")
        self.blocks = [L.Dense(4), L.Dense(4), L.Dense(4, name="mine")]
        self.nested = {"a/b": (L.Dense(4), [L.Dense(4)]), "c": L.Dense(4), 3: L.Dense(4)}
        self.again = self.blocks[1]
        self.unused = ["text", {"more": None}, L.ReLU()]
        self.head = L.Dense(2)

    def call(self, x):
        first, (second,) = self.nested["a/b"]
        for layer in (self._stem, *self.blocks, first, second, self.nested["c"], self.nested[3]):
            x = layer(x)
        return self.head(self.again(x))


@register
class OwnWeights(keras.Model):
    """Variables of its own, with names and without."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._gain = self.add_weight(shape=(4,), initializer="ones")
        self.named = self.add_weight(shape=(4,), name="shift")
        self.other = self.add_weight(shape=(4,), name="shift")
        self.listed = [self.add_weight(shape=(4,)) for _ in range(2)]
        self.keyed = {"left": self.add_weight(shape=(4,))}
        self.add_weight(shape=(4,), trainable=False)
        self.dense = L.Dense(2)

    def call(self, x):
        return self.dense(x * self._gain + self.named + self.other + sum(self.listed))


@register
class Extended(keras.Model):
    """A Functional model with a layer of its own besides."""

    def __init__(self, **kwargs):
        inputs = keras.Input((4,))
        body = L.Dense(3, name="extra")
        super().__init__(inputs, L.Dense(2)(body(inputs)), **kwargs)
        self.body = body
        self.extra = L.Dense(2)
        self.extra.build((None, 4))

    def get_config(self):
        return {"name": self.name}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@register
class Averaged(keras.Model):
    """A network and its moving average, whose variables have the same paths."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.network = named_network()
        self.average = keras.models.clone_model(self.network)
        self.built = True

    def call(self, x):
        return self.network(x)


@register
class TwoBackbones(keras.Model):
    """Two networks whose layers have the same names."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.towers = [named_network("tower_a"), named_network("tower_b")]
        self.head = L.Dense(1)

    def call(self, x):
        return self.head(self.towers[0](x) + self.towers[1](x))


def called(model):
    model(np.zeros((1, 4), "float32"))
    return model


def sequences():
    cells = [L.LSTMCell(2), L.GRUCell(2)]
    return keras.Sequential(
        [
            keras.Input((5, 4)),
            L.TimeDistributed(L.Dense(3)),
            L.Bidirectional(L.GRU(2, return_sequences=True)),
            L.RNN(cells, return_sequences=True),
            L.LSTM(3, return_sequences=True),
            L.RNN(L.SimpleRNNCell(2)),
        ]
    )


def attention():
    inputs = keras.Input((5, 4))
    x = L.MultiHeadAttention(2, 3, dropout=0.1)(inputs, inputs)
    return keras.Model(inputs, L.LayerNormalization()(L.Add()([x, inputs])))


def quantised():
    model = unnamed_sequential()
    model.layers[0].quantize("int8")
    return model


def low_rank():
    model = unnamed_sequential()
    model.layers[0].enable_lora(2)
    return model


KINDS = {
    "unnamed network": unnamed_network,
    "named network": named_network,
    "sequential": unnamed_sequential,
    "nested sequential": nested_sequential,
    "shared layers": shared_layers,
    "attributes": lambda: called(Attributes()),
    "own weights": lambda: called(OwnWeights()),
    "extended": Extended,
    "averaged": Averaged,
    "two backbones": lambda: called(TwoBackbones()),
    "sequences": sequences,
    "attention": attention,
    "quantised": quantised,
    "low rank": low_rank,
}
each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_every_variable_has_a_name_of_its_own_in_the_models_order(kind):
    model = KINDS[kind]()
    names = variable_names(model)
    assert list(map(id, names.values())) == list(map(id, model.variables))
    assert names_of(model) == {id(variable): name for name, variable in names.items()}
    assert all(name == name.strip("/") and "//" not in name for name in names)


@each_kind
def test_names_last_over_saving_and_loading(kind, tmp_path):
    model = KINDS[kind]()
    for number, variable in enumerate(model.variables):
        if variable.dtype == "float32":
            variable.assign(np.full(variable.shape, number))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    before, after = variable_names(model), variable_names(loaded)
    assert list(before) == list(after)
    if kind != "low rank":  # a file holds the product of the two low ranks, in their kernel
        weights = set(map(id, model.weights))  # a file holds no states of random generators
        for name in [name for name, variable in before.items() if id(variable) in weights]:
            np.testing.assert_array_equal(before[name].numpy(), after[name].numpy(), name)


@each_kind
def test_names_do_not_depend_on_what_was_made_before(kind):
    first, second = KINDS[kind](), KINDS[kind]()
    assert list(variable_names(first)) == list(variable_names(second))


def layers_of(*places, weights=("kernel", "bias")):
    return [f"{place}/{weight}" for place in places for weight in weights]


NORM = ("gamma", "beta", "moving_mean", "moving_variance")
RECURRENT = ("kernel", "recurrent_kernel", "bias")
NAMES = {
    "unnamed network": [
        *layers_of("dense", "dense_1"),
        *layers_of("batch_normalization", weights=NORM),
        *layers_of("dense_2"),
    ],
    "named network": [*layers_of("first"), *layers_of("bn", weights=NORM), *layers_of("second")],
    "sequential": [
        *layers_of("dense"),
        "dropout/seed_generator/seed_generator_state",
        *layers_of("dense_1"),
    ],
    "nested sequential": layers_of(
        *("sequential/dense", "sequential/dense_1", "sequential_1/dense", "sequential_1/dense_1"),
        "dense",
    ),
    "shared layers": layers_of("dense", "sequential/dense", "dense_1"),
    "attributes": layers_of(
        *("stem", "blocks/dense", "blocks/dense_1", "blocks/mine"),
        *("nested/a_b/dense", "nested/a_b/1/dense", "nested/c", "nested/3", "head"),
    ),
    "own weights": [
        *("gain", "shift", "shift_1", "listed/variable", "listed/variable_1", "keyed/left"),
        *("variable", "dense/kernel", "dense/bias"),
    ],
    "extended": layers_of("extra", "dense", "extra_1"),
    "averaged": [
        f"{part}/{name}"
        for part in ("network", "average")
        for name in [*layers_of("first"), *layers_of("bn", weights=NORM), *layers_of("second")]
    ],
    "sequences": [
        *layers_of("time_distributed/layer"),
        *layers_of("bidirectional/forward_layer/cell", weights=RECURRENT),
        *layers_of("bidirectional/backward_layer/cell", weights=RECURRENT),
        *layers_of("rnn/cell/cells/lstm_cell", "rnn/cell/cells/gru_cell", weights=RECURRENT),
        *layers_of("lstm/cell", "rnn_1/cell", weights=RECURRENT),
    ],
    "quantised": [
        *("dense/bias", "dense/kernel", "dense/kernel_scale"),
        "dropout/seed_generator/seed_generator_state",
        *layers_of("dense_1"),
    ],
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_told_by_hand(kind):
    found = list(variable_names(KINDS[kind]()))
    if kind == "sequences":  # each cell has a seed generator besides
        found = [name for name in found if "seed_generator" not in name]
    assert found == NAMES[kind]


def test_names_of_a_network_of_named_layers_are_its_paths():
    model = named_network()
    assert list(variable_names(model)) == [variable.path for variable in model.variables]


def test_the_parts_of_attention_go_by_their_attributes():
    kernels = tt.prunable(attention())
    places = ("query_dense", "key_dense", "value_dense", "output_dense")
    assert kernels.names == [f"multi_head_attention/{place}/kernel" for place in places]


def test_a_layer_of_the_users_own_name_is_told_from_those_that_keras_names():
    stack = [L.Dense(4, name="dense_7"), L.Dense(4, name="conv2d"), L.Dense(4, name="dense")]
    model = keras.Sequential([keras.Input((4,)), *stack])
    places = [name.split("/")[0] for name in tt.prunable(model).names]
    assert places == ["dense", "conv2d", "dense_1"], "a made-up name and one like it are numbered"


def test_a_model_that_is_not_built_has_names_for_what_it_has():
    model = keras.Sequential([L.Dense(3), L.Dense(2)])
    assert variable_names(model) == {}
    model.build((None, 4))
    assert list(variable_names(model)) == layers_of("dense", "dense_1")


def test_variables_that_a_layer_tells_by_itself_have_names_too():
    class Hidden(L.Layer):
        def __init__(self):
            super().__init__()
            network = named_network()
            self.holder = lambda: network

        @property
        def variables(self):
            return self.holder().variables

        def call(self, x):
            return x

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Hidden()(inputs))
    names = variable_names(model)
    assert list(map(id, names.values())) == list(map(id, model.variables)) and len(names) == 8


IN_ANOTHER_PROCESS = """
    import json, sys
    import keras, numpy as np
    import tf_tickets as tt
    from tests.test_names import KINDS
    from tf_tickets.names import variable_names

    for kind in reversed(KINDS):  # so that Keras numbers all layers otherwise
        KINDS[kind]()
    folder = sys.argv[1]
    names = json.load(open(f"{folder}/names.json"))
    for number, kind in enumerate(KINDS):
        model = KINDS[kind]()
        assert list(variable_names(model)) == names[kind], kind
        ticket = tt.Ticket.load(f"{folder}/{number}.safetensors")
        ticket.apply(model)
        expected = np.load(f"{folder}/{number}.npz")
        for place, variable in enumerate(model.variables):
            np.testing.assert_array_equal(variable.numpy(), expected[str(place)], kind)
        if ticket.masks:
            with tt.hold(model, ticket.masks) as held:
                assert held.masks == ticket.masks, kind
    print("all tickets apply")
"""


@pytest.mark.slow
def test_tickets_apply_in_a_process_in_which_other_layers_were_made_first(tmp_path):
    """Of an average, of two equal backbones, of a nest of layers without a name, and all others."""
    keras.utils.set_random_seed(3)
    names = {}
    for number, kind in enumerate(KINDS):
        model = KINDS[kind]()
        names[kind] = list(variable_names(model))
        masks = tt.Masks({})
        if kind not in ("quantised", "low rank"):
            random = np.random.default_rng(number)
            scores = {name: random.random(v.shape) for name, v in named(tt.prunable(model)).items()}
            masks = tt.global_masks(scores, 0.5)
        ticket = tt.Ticket.of_model(model, masks, {"kind": kind})
        ticket.save(tmp_path / f"{number}.safetensors")
        ticket.apply(model)
        values = {str(place): v.numpy() for place, v in enumerate(model.variables)}
        np.savez(tmp_path / f"{number}.npz", **values)
    (tmp_path / "names.json").write_text(json.dumps(names))
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IN_ANOTHER_PROCESS), str(tmp_path)],
        capture_output=True,
        text=True,
    )
    assert "all tickets apply" in process.stdout, process.stderr[-3000:]


def test_the_optimizers_state_goes_by_names_too():
    """Keras names it by a layer's path, which may be numbered otherwise after a resume."""
    first, second = unnamed_sequential(), unnamed_sequential()
    for model in (first, second):
        model.compile(keras.optimizers.Adam(0.1), "mse")
        model.optimizer.build(model.trainable_variables)
    for variable in first.optimizer.variables[2:]:
        variable.assign(np.full(variable.shape, 0.5))
    snapshot = tt.take_snapshot(first, optimizer=True)
    assert list(snapshot) == list(tt.take_snapshot(second, optimizer=True))
    tt.restore_snapshot(second, snapshot)
    for variable in second.optimizer.variables[2:]:
        np.testing.assert_array_equal(variable.numpy(), np.full(variable.shape, 0.5))


def test_a_mask_finds_its_own_of_two_variables_of_one_path():
    model = Averaged()
    kernels = tt.prunable(model, model.average)
    assert kernels.names == ["average/first/kernel", "average/second/kernel"]
    assert kernels[0].path == model.network.get_layer("first").kernel.path
    before = [variable.numpy() for variable in model.network.variables]
    with tt.hold(model, tt.global_masks(tt.magnitude_scores(kernels), 0.5)):
        assert [np.mean(kernel.numpy() == 0) > 0.2 for kernel in kernels] == [True, True]
    for variable, value in zip(model.network.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    with pytest.raises(SettingError, match="Two variables have the path first/kernel"):
        tt.magnitude_scores([model.network.layers[1].kernel, model.average.layers[1].kernel])


def test_a_path_of_several_variables_is_not_taken_for_the_name_of_one():
    model = named_network()
    model.copy = keras.models.clone_model(model)
    kernels = tt.prunable(model, model.copy)
    assert kernels.names == ["copy/first/kernel", "copy/second/kernel"]
    masks = tt.global_masks(tt.magnitude_scores(list(kernels)), 0.5)
    with pytest.raises(SettingError, match="first/kernel is the path of several variables"):
        tt.hold(model, masks).__enter__()


def test_prunable_is_a_list_that_knows_names():
    model = named_network()
    kernels = tt.prunable(model)
    assert isinstance(kernels, list) and kernels == tt.prunable(model)
    assert kernels.names == ["first/kernel", "second/kernel"]
    assert kernels[1] is model.get_layer("second").kernel
    first, second = kernels[:1], kernels[1:]
    assert (first.names, second.names) == (["first/kernel"], ["second/kernel"])
    assert (second + first).names == ["second/kernel", "first/kernel"]
    assert isinstance(second + first, NamedVariables)
    joined = first + [model.get_layer("bn").gamma]
    assert joined.names == ["first/kernel", "bn/gamma"], "what has no name goes by its path"
    assert dict(kernels.items()) == named(kernels)
    assert copy.copy(kernels).names == kernels.names
    kernels.reverse()
    assert kernels.names == list(named(kernels)) == ["second/kernel", "first/kernel"]
    kernels.pop()
    assert kernels.names == ["second/kernel"]


def test_tensorflow_takes_it_for_a_list():
    model = named_network()
    kernels = tt.prunable(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(np.ones((1, 4), "float32")))
    gradients = tape.gradient(loss, kernels)
    assert [gradient.shape for gradient in gradients] == [kernel.shape for kernel in kernels]
    keras.optimizers.SGD(0.1).apply(gradients, kernels)
    doubled = tf.nest.map_structure(lambda kernel: 2 * kernel.value, kernels)
    np.testing.assert_array_equal(doubled[1], 2 * kernels[1].numpy())


def test_keys_that_are_paths_are_turned_into_names():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3), L.Dense(2)], name="net")
    by_path = {variable.path: number for number, variable in enumerate(model.variables)}
    by_name = {name: number for number, name in enumerate(variable_names(model))}
    assert by_path.keys().isdisjoint(by_name)
    assert under_names(model, by_path) == under_names(model, by_name) == by_name
    assert under_names(model, {**by_path, "random_state/0": 8}) == {**by_name, "random_state/0": 8}
    assert under_names(model, {"elsewhere/kernel": 1}) == {"elsewhere/kernel": 1}
    (path, *_), (name, *_) = by_path, by_name
    with pytest.raises(SettingError, match=f"Two of the keys are of the variable {name}"):
        under_names(model, {path: 1, name: 2})


def numbered_from_one():
    """A network whose second layer is called as Keras called the first."""
    L.Dense(1)
    x = inputs = keras.Input((4,))
    for _ in range(3):
        x = L.Dense(4, use_bias=False)(x)
    return keras.Model(inputs, x)


def test_a_path_that_is_another_variables_name_is_still_a_path():
    keras.utils.clear_session()
    model = numbered_from_one()
    kernels = tt.prunable(model)
    assert kernels.names == ["dense/kernel", "dense_1/kernel", "dense_2/kernel"]
    paths = [kernel.path for kernel in kernels]
    assert paths == ["dense_1/kernel", "dense_2/kernel", "dense_3/kernel"]
    by_path = {path: number for number, path in enumerate(paths)}
    assert under_names(model, by_path) == dict(zip(kernels.names, range(3), strict=True))
    by_name = dict(zip(kernels.names, range(3), strict=True))
    assert under_names(model, by_name) == by_name
    # A list of one's own has lost the names: what follows from it is known to go by paths.
    first = [kernel for kernel in kernels if kernel.path == "dense_1/kernel"]
    masks = tt.global_masks(tt.magnitude_scores(first), 0.5)
    with tt.hold(model, masks) as held:
        assert list(held.masks) == ["dense/kernel"]
        assert [np.mean(kernel.numpy() == 0) for kernel in kernels] == [0.5, 0, 0]
