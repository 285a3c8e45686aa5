"""Minimal models, one for each ability, go the whole way: search, slim, export and report."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets import protocols
from tf_tickets.optimizers import optimizers_of

NUM_STEPS = 4
INPUTS = np.random.default_rng(0).normal(size=(16, 8)).astype("float32")


def network(name, num_inputs, num_outputs):
    """Return a network with a hidden layer of six channels, which a normalisation scales."""
    layers = [
        keras.layers.Dense(6, use_bias=False, name=f"{name}_hidden"),
        keras.layers.BatchNormalization(name=f"{name}_norm"),
        keras.layers.ReLU(name=f"{name}_relu"),
        keras.layers.Dense(num_outputs, name=f"{name}_out"),
    ]
    return keras.Sequential([keras.Input((num_inputs,)), *layers], name=name)


def compiled(model):
    # Scales that differ, so that they can be ranked.
    for variable in model.trainable_variables:
        if variable.name == "gamma":
            variable.assign(np.linspace(0.5, 1.5, variable.shape[0]))
    model.compile(keras.optimizers.Adam(0.01), loss="mse", jit_compile=False)
    return model


class Parts(keras.Model):
    """HasComponents and Rebuilds: two networks one after the other."""

    def __init__(self, first=None, second=None):
        super().__init__(name="parts")
        self.first = first or network("first", 8, 4)
        self.second = second or network("second", 4, 8)
        self.built = True

    @property
    def components(self):
        return {"first": self.first, "second": self.second}

    def with_networks(self, **networks):
        return type(self)(**networks)

    def call(self, x, training=False):
        return self.second(self.first(x, training=training), training=training)


class WithAverages(Parts):
    """HasAverages: of one kernel, which the training step moves."""

    def __init__(self, first=None, second=None):
        super().__init__(first, second)
        kernel = self.first.layers[0].kernel
        average = self.add_weight(shape=kernel.shape, name="average", trainable=False)
        self.averages = [(kernel, average)]

    def train_step(self, data):
        logs = super().train_step(data)
        for kernel, average in self.averages:
            average.assign(0.5 * average + 0.5 * kernel)
        return logs


class WithOptimizers(Parts):
    """HasOptimizers: a second one, which also updates the second network."""

    def compile(self, optimizer, second="sgd", **options):
        super().compile(optimizer, **options)
        self.further = keras.optimizers.get(second)
        self.optimizer.build(self.trainable_variables)
        self.further.build(self.second.trainable_variables)

    @property
    def optimizers(self):
        return [self.optimizer, self.further]

    def train_step(self, data):
        logs = super().train_step(data)
        variables = self.second.trainable_variables
        self.further.apply([tf.ones(variable.shape) for variable in variables], variables)
        return logs

    def get_compile_config(self):
        optimizers = {"optimizer": self.optimizer, "second": self.further}
        return {name: keras.optimizers.serialize(each) for name, each in optimizers.items()}

    def compile_from_config(self, config):
        optimizers = {name: keras.optimizers.get(each) for name, each in config.items()}
        self.compile(**optimizers, loss="mse")


class WithInputGradient(Parts):
    """HasInputGradients: the first network learns from the gradient of the second one's input."""

    components_with_input_gradient = ("second",)


class WithSteps(Parts):
    """CountsSteps."""

    def step_flops(self):
        return 1000


MODELS = {
    "none": lambda: network("plain", 8, 8),
    "components": Parts,
    "averages": WithAverages,
    "optimizers": WithOptimizers,
    "input gradients": WithInputGradient,
    "steps": WithSteps,
}


def search(build, path):
    """Return the records of a search of one round."""

    def train(model, seed, start_step, stop_step):
        batches = tf.data.Dataset.from_tensors((INPUTS, INPUTS)).repeat(stop_step - start_step)
        model.fit(batches, verbose=0, shuffle=False)

    def evaluate(model):
        answers = keras.ops.convert_to_numpy(model(INPUTS, training=False))
        return {"loss": float(np.mean((answers - INPUTS) ** 2))}, {}

    schedule = tt.IterativeSparsity(0.5, 1)
    task = tt.search.Task(build, train, evaluate, NUM_STEPS)
    draw = tt.search.ByMagnitude(schedule)
    searched = tt.search.TicketSearch(task, draw, 1, rewind_step=1)
    with tt.RunFolder(path, {}) as folder:
        return searched.run([0], folder)


@pytest.mark.parametrize("name", slow_but(MODELS, "none", "components"))
def test_a_model_is_searched_slimmed_exported_and_reported(name, tmp_path):
    built = []

    def build(seed):
        keras.utils.set_random_seed(seed)
        built.append(compiled(MODELS[name]()))
        return built[-1]

    records = search(build, tmp_path / "run")
    assert [record["arm"] for record in records] == ["dense", "winning", "random"]
    assert [round(record["weight_sparsity"], 2) for record in records] == [0.0, 0.5, 0.5]
    model = built[0]  # as the last stage has trained it
    kernels = tt.prunable(model)
    zeros = sum(int(np.sum(kernel.numpy() == 0)) for kernel in kernels)
    assert zeros == records[-1]["prunable"] - records[-1]["kept"]

    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    assert type(slimmed) is type(model)
    assert slimmed.count_params() < model.count_params()
    assert int(slimmed.optimizer.iterations) == int(model.optimizer.iterations) > 0
    for optimizer, copy in zip(optimizers_of(model), optimizers_of(slimmed), strict=True):
        assert len(optimizer.variables) == len(copy.variables)
    slimmed.fit(INPUTS, INPUTS, verbose=0)

    tt.export_saved_model(slimmed, tmp_path / "export")
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    components = protocols.named_components(model)
    assert set(loaded.signatures) == {"serving_default", *components}
    answer = loaded.signatures["serving_default"](inputs=tf.constant(INPUTS))["outputs"]
    np.testing.assert_allclose(answer, slimmed(INPUTS, training=False), atol=1e-5)

    report = tt.report(model, measure=False)
    assert report.flops["sparse_ideal"] < report.flops["dense"]
    assert report.flops["dense"] == tt.count_flops(model).forward
    assert "slimmed" in "".join(tt.report(slimmed, measure=False).speed)


def test_averages_follow_masks_and_slimming():
    model = compiled(WithAverages())
    ((kernel, average),) = model.averages
    mask = np.ones(kernel.shape, bool)
    mask[:2] = False
    with tt.hold(model, tt.Masks({tt.prunable(model)[0].path: mask})):
        model.fit(INPUTS, INPUTS, epochs=2, verbose=0)
    assert not np.any(average.numpy()[:2]) and np.all(average.numpy()[2:])
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    ((narrow, copied),) = slimmed.averages
    assert copied.shape == narrow.shape and narrow.shape[1] < kernel.shape[1]
    # The narrower average is made of whole columns of the first.
    columns = average.numpy().T.tolist()
    assert all(column in columns for column in copied.numpy().T.tolist())


def test_flops_of_a_training_are_what_the_model_says():
    forward = 2 * (8 * 6 + 6 * 4 + 4 * 6 + 6 * 8) + 2 * 6 * 2 + 4 + 8
    parts = Parts()
    assert tt.count_flops(parts).forward == forward
    first_layers = 2 * (8 * 6 + 4 * 6)
    assert tt.training_flops(parts, 3, 5) == 3 * 5 * (3 * forward - first_layers)
    # Of the second network, the gradient of the input is taken too.
    more = tt.training_flops(WithInputGradient(), 3, 5) - tt.training_flops(parts, 3, 5)
    assert more == 3 * 5 * 2 * 4 * 6
    assert tt.training_flops(WithSteps(), 3, 5) == 3 * 5 * 1000


def test_components_that_cannot_be_put_together_again_are_refused():
    class Fixed(keras.Model):
        def __init__(self):
            super().__init__(name="fixed")
            self.part = network("part", 8, 4)
            self.components = {"part": self.part}
            self.built = True

    model = Fixed()
    with pytest.raises(tt.SettingError, match=r"fixed has `components`, but no method `with_net"):
        tt.slim(model, tt.channel_masks(model, 0.5))


def test_a_model_that_says_nothing_is_its_own_component():
    model = network("plain", 8, 8)
    assert protocols.components_of(model) == {"plain": model}
    assert protocols.named_components(model) == {}
    assert list(protocols.averages_of(model)) == []
    assert list(protocols.components_with_input_gradient(model)) == []
    assert list(protocols.channel_vectors_of(model.layers[0])) == []
    other = network("other", 8, 8)
    assert protocols.rebuilt(model, {"plain": other}) is other


class Normed(keras.layers.Dense):
    """HasChannelVectors, Settles and WithoutNormalization: kernel columns of a fixed norm."""

    channel_vectors = ("norms",)

    def build(self, shape):
        super().build(shape)
        self.norms = self.add_weight(shape=(self.units,), name="norms", trainable=False)
        self.settle()

    def settle(self):
        self.norms.assign(keras.ops.norm(self.kernel, axis=0))

    def call(self, x):
        return keras.ops.matmul(x, self.kernel / self.norms) + self.bias

    def without_normalization(self):
        return keras.layers.Dense.from_config(self.get_config())


def normed_model(name, layer=Normed):
    layers = [keras.layers.Dense(6, name="first"), keras.layers.BatchNormalization(name="norm")]
    layers += [layer(5, name="normed"), keras.layers.BatchNormalization(name="after")]
    layers += [keras.layers.Dense(8, name="last")]
    return compiled(keras.Sequential([keras.Input((8,)), *layers], name=name))


def test_a_layer_with_channel_vectors_is_slimmed_and_settled():
    model = normed_model("normed_model")
    slimmed = tt.slim(model, tt.channel_masks(model, 0.5))
    layer, whole = slimmed.get_layer("normed"), model.get_layer("normed")
    assert tuple(layer.kernel.shape) < tuple(whole.kernel.shape) and layer.norms.shape == (
        layer.units,
    )
    # Inputs went too, so the norms are not those that were cut out.
    np.testing.assert_allclose(layer.norms, np.linalg.norm(layer.kernel, axis=0), rtol=1e-6)


def test_synflow_looks_through_what_divides_by_a_norm():
    model, plain = normed_model("normed_model"), normed_model("plain_model", keras.layers.Dense)
    weights = [v.numpy() for v in model.weights if v.name != "norms"]
    plain.set_weights(weights)
    scores, expected = (tt.synflow_scores(each, tt.prunable(each)) for each in (model, plain))
    for ours, theirs in zip(scores.values(), expected.values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


P = protocols
EVERY_FAMILY = {P.HasComponents, P.Rebuilds, P.ScoringLosses}
ENCODER_DECODER = {*EVERY_FAMILY, P.Reconstructs, P.HasInputGradients}
SAMPLER = {P.Samples, P.Decodes}
ADVERSARIAL = {P.HasAverages, P.CountsSteps, P.Settles, P.Distills, P.ForInference}
FAMILIES = {
    "conv-ae": ENCODER_DECODER,
    "vae": {*ENCODER_DECODER, *SAMPLER},
    "dcgan": {*EVERY_FAMILY, *SAMPLER, *ADVERSARIAL, P.HasOptimizers},
}
OF_MODELS = set().union(*FAMILIES.values(), {P.Slimmed})


@pytest.mark.parametrize("name", FAMILIES)
def test_the_families_of_the_laboratory_are_able_to_do_what_they_say(name):
    model = tt.models.build(name, (16, 16, 1), width=2)
    model.compile()
    assert {
        protocol for protocol in OF_MODELS if protocols.has_ability(model, protocol)
    } == FAMILIES[name]


# --- what a user calls by the same names


class Namesakes(keras.Model):
    """A model whose own attributes are called as ours, and mean something else."""

    def __init__(self):
        super().__init__(name="namesakes")
        self.components = [keras.layers.Dense(4, name=f"component{n}") for n in range(2)]
        self.averages = {"loss": keras.metrics.Mean(name="average_loss")}
        self.optimizers = {"generator": "adam"}
        self.components_with_input_gradient = 3
        self.step_flops = 12
        self.scoring_losses = ["mse", "mae"]
        self.slim_report = "none"
        self.with_networks = True
        self.teacher = self.distill = self.sample = self.decode = self.reconstruct = None

    def settle(self, rate, steps):
        raise AssertionError("not ours to call")

    def inference_model(self, images):
        raise AssertionError("not ours to call")

    def call(self, x):
        return sum(component(x) for component in self.components)


def test_namesakes_are_not_taken_for_ours():
    model = Namesakes()
    abilities = [each for each in vars(P).values() if getattr(each, "_is_protocol", False)]
    abilities = [each for each in abilities if each is not P.Protocol]
    assert len(abilities) > 12
    assert [each for each in abilities if P.has_ability(model, each)] == []


def test_a_model_with_namesakes_is_pruned_reported_and_exported(tmp_path):
    model = Namesakes()
    model(INPUTS)
    model.compile("adam", "mse")
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.5)
    targets = np.zeros((16, 4), "float32")
    model.fit(INPUTS, targets, callbacks=[tt.callbacks.HoldMasks(masks)], verbose=0)
    assert tt.masks_of_zeros(model) == masks
    snapshot = tt.take_snapshot(model, optimizer=True)
    assert any(name.startswith("optimizer/") for name in snapshot)
    assert (
        tt.count_flops(model).forward == tt.training_flops(model, 1, 1) // 3 == 2 * (2 * 8 * 4 + 4)
    )
    assert "slimmed" not in "".join(tt.report(model, measure=False).speed)
    tt.export_saved_model(model, tmp_path / "export")
    loaded = tf.saved_model.load(str(tmp_path / "export"))
    assert set(loaded.signatures) == {"serving_default"}
    with pytest.raises(tt.SettingError, match=r"a component \(none here\).*get_layer"):
        tt.prunable(model, "component0")


@pytest.mark.parametrize(
    ("protocol", "attribute", "values"),
    [
        (P.HasComponents, "components", [{"a": 1}, {"a": keras.layers.Dense(1)}, ["a"]]),
        (P.HasOptimizers, "optimizers", [["adam"], "adam", {"a": keras.optimizers.SGD()}]),
        (P.HasAverages, "averages", [[1.0], [("a", "b")], [(keras.Variable(1.0),)], "ab"]),
        (P.HasChannelVectors, "channel_vectors", ["norms", [1], {"norms": 1}]),
        (P.ScoringLosses, "scoring_losses", [["mse"], [([], "mse")], {"a": 1}]),
    ],
)
def test_an_attribute_counts_only_if_it_is_of_the_kind(protocol, attribute, values):
    holder = type("Holder", (), {})()
    for value in values:
        setattr(holder, attribute, value)
        assert isinstance(holder, protocol) and not P.has_ability(holder, protocol)


def test_averages_of_other_shapes_are_not_averages_of_the_weights():
    holder = type("Holder", (), {})()
    holder.averages = [(keras.Variable(np.ones(3)), keras.Variable(1.0))]
    assert list(P.averages_of(holder)) == []
    holder.averages = [(keras.Variable(np.ones(3)), keras.Variable(np.zeros(3)))]
    assert P.averages_of(holder) == holder.averages
