import gzip
import json
import re
import types

import keras
import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets import Masks, SettingError, report
from tf_tickets.names import variable_names
from tf_tickets.pruning.kernel_matrices import kernel_matrices
from tf_tickets.pruning.patterns import block_masks, m_by_n_masks

L = keras.layers
RANDOM = np.random.default_rng(0)


def classifier(**compile_options):
    keras.utils.set_random_seed(0)
    images = x = keras.Input((16, 16, 3))
    x = L.Conv2D(8, 3, strides=2, use_bias=False, name="conv")(x)
    x = L.ReLU()(L.BatchNormalization(name="norm")(x))
    x = L.Dense(128, "relu", name="wide")(L.Flatten()(x))
    model = keras.Model(images, L.Dense(4, name="out")(x), name="classifier")
    if compile_options:
        model.compile(**compile_options)
        model.train_on_batch(np.zeros((2, 16, 16, 3)), np.zeros((2, 4)))
    return model


def pruned(model, sparsity=0.9):
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), sparsity)
    with tt.hold(model, masks):
        return model


def two_branches():
    x = images = keras.Input((8, 8, 3))
    branches = [L.BatchNormalization()(L.Conv2D(8, 3, use_bias=False)(x)) for _ in range(2)]
    x = L.GlobalAveragePooling2D()(L.ReLU()(L.Add()(branches)))
    return keras.Model(images, L.Dense(4)(x), name="branches")


@keras.saving.register_keras_serializable("test")
class TwoOptimizers(keras.Model):
    """Written as a GAN often is."""

    def __init__(self, **options):
        super().__init__(**options)
        self.dense = L.Dense(300)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, inputs):
        return self.dense(inputs)

    def compile(self, first, second):
        super().compile()
        self.first_optimizer, self.second_optimizer = first, second
        for each in (first, second):
            each.build(self.trainable_variables)

    def get_compile_config(self):
        return None


class TwoArguments(keras.Model):
    def __init__(self):
        super().__init__(name="two")
        self.dense = L.Dense(64)

    def build(self, first_shape, second_shape):
        self.dense.build(first_shape)

    def call(self, first, second):
        return self.dense(first) + second


class GivenALayer(TwoArguments):
    def __init__(self, dense):
        super().__init__()
        self.dense = dense


class Silent(TwoArguments):
    def get_config(self):
        raise NotImplementedError


@pytest.fixture(scope="module")
def measured():
    """A pruned and compiled model, what its variables were before its report, and the report."""
    model = pruned(classifier(optimizer="adam", loss="mse"))
    before = [value.numpy() for value in (*model.variables, *model.optimizer.variables)]
    channels = tt.channel_masks(model, 0.5)
    made = report(model, channel_masks=channels)
    return types.SimpleNamespace(model=model, before=before, channels=channels, made=made)


def said(made, word):
    return [sentence for sentence in (*made.speed, *made.advice) if word in sentence]


def followed(made, word, names):
    """Return the slim model that is made as the one sentence with a word says."""
    (sentence,) = said(made, word)
    (call,) = re.findall(r"slim_model = (.+?\))(?:, then|\. Train)", sentence)
    return eval(call, {"tt": tt, **names})


def test_rows_are_drawn_by_hand():
    model = classifier()
    kernel = model.get_layer("wide").kernel
    kernel.assign(np.where(np.indices(kernel.shape)[0] % 4 == 3, 0.5, 0.0))
    model.get_layer("out").trainable = False
    made = report(model, measure=False)
    rows = {row.path: row for row in made.weights}
    assert list(rows) == list(variable_names(model))
    wide = rows["wide/kernel"]
    assert (wide.kind, wide.shape, wide.size) == ("Dense", (392, 128), 50_176)
    assert (wide.num_kept, wide.sparsity) == (12_544, 0.75)
    assert [row.path for row in made.prunable] == ["conv/kernel", "wide/kernel"]
    assert made.sparsity == pytest.approx(37_632 / (50_176 + 216))
    assert "frozen" in rows["out/kernel"].skipped and "state" in rows["norm/moving_mean"].skipped
    assert made.weight_bytes == 4 * model.count_params()
    text = str(made)
    (line,) = [line.split() for line in text.splitlines() if line.startswith("wide/kernel")]
    assert line == ["wide/kernel", "Dense", "392x128", "12,544", "75.00", "%", "2:4"]
    assert "2 variables       16  of a normalisation" in text


@pytest.mark.slow
def test_the_calls_that_are_named_write_files_of_the_sizes_that_are_told(measured, tmp_path):
    names = {"model": measured.model, "channel_masks": measured.channels}
    slim_model = followed(measured.made, "To ship it fast", names)
    forms = {form.name: form for form in measured.made.forms}
    assert len(forms) == 8
    for name, form in forms.items():
        path = tmp_path / name / "model.keras"
        path.parent.mkdir()
        eval(form.made_by, {"tt": tt, **names, "slim_model": slim_model, "path": path})
        files = [file.read_bytes() for file in sorted(path.parent.rglob("*")) if file.is_file()]
        assert form.size_bytes == pytest.approx(sum(map(len, files)), rel=0.01), name
        # The maps in a SavedModel are written in any order, which changes what gzip makes of them.
        assert form.gzip_bytes == pytest.approx(len(gzip.compress(b"".join(files), 6)), rel=0.02)
    for small, dense in (("SavedModel, packed", "SavedModel, dense"), ("TFLite, sparse", ".keras")):
        assert forms[small].size_bytes < 0.4 * forms[dense].size_bytes


def test_what_is_much_smaller_is_told_with_its_size(measured):
    sizes = {form.name: form.size_bytes / 1e3 for form in measured.made.forms}
    (sentence,) = said(measured.made, "To ship it small")
    assert f"tt.export_saved_model(model, path) ({sizes['SavedModel, packed']:.3g} kB)" in sentence
    assert f"tt.export_tflite(model, path) ({sizes['TFLite, sparse']:.3g} kB)" in sentence
    dense = keras.Sequential([keras.Input((64,)), L.Dense(64)], name="dense")
    assert said(report(pruned(dense, 0.05)), "None of these files is much smaller")


def test_flops_are_those_that_count_flops_gives():
    model = pruned(classifier())
    masks = tt.masks_of_zeros(model)
    made = report(model, channel_masks=tt.channel_masks(model, 0.5), measure=False)
    count = tt.count_flops(model, density={path: mask.mean() for path, mask in masks.items()})
    small = tt.slim(model, tt.channel_masks(model, 0.5))
    assert made.flops == {
        "dense": count.forward,
        "sparse_ideal": count.sparse_ideal,
        "slim": tt.count_flops(small).forward,
    }
    assert count.forward / made.flops["slim"] > 1.5
    times = f"{count.forward / made.flops['slim']:.1f}"
    assert said(made, f"takes {times} times fewer FLOPs")


def test_channels_that_are_zero_make_a_slim_model_by_themselves():
    model = classifier()
    channels = tt.channel_masks(model, 0.5)
    assert "slim" not in report(model, measure=False).flops
    with tt.hold(model, tt.weight_masks(model, channels)):
        made = report(model, measure=False)
    small = tt.slim(model, channels)
    assert made.flops["slim"] == tt.count_flops(small).forward < 0.6 * made.flops["dense"]
    advised = followed(made, "To ship it fast", {"model": model})
    assert advised.count_params() == small.count_params()


def test_scales_that_begin_at_zero_were_not_pruned():
    x = images = keras.Input((8, 8, 3))
    for name, scale in (("first", "zeros"), ("second", "ones")):
        x = L.Conv2D(8, 3, use_bias=False)(x)
        x = L.ReLU()(L.BatchNormalization(gamma_initializer=scale, name=name)(x))
    model = keras.Model(images, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    made = report(model, measure=False)
    assert "slim" not in made.flops and made.speed == ("No: nothing is pruned.",)
    assert said(made, "To make it faster") and not said(made, "slim model does")
    model.get_layer("second").gamma.assign(np.arange(8) > 3)
    second = tt.slim(model, Masks({"second/gamma": np.arange(8) > 3}))
    assert report(model, measure=False).flops["slim"] == tt.count_flops(second).forward


@pytest.mark.parametrize(
    ("build", "channels", "options"),
    [(classifier, 8, "0.5"), (two_branches, 8, "0.5, whole_groups=True")],
)
def test_advice_on_channels_can_be_followed(build, channels, options):
    model = build()
    made = report(model, measure=False)
    (sentence,) = said(made, f"remove some of the {channels} channels that may go")
    assert f"tt.channel_masks(model, {options}))" in sentence
    small = followed(made, "To make it faster", {"model": model})
    assert small.count_params() < 0.6 * model.count_params()
    images = np.zeros((2, *model.input_shape[1:]))
    model.compile("sgd", "mse")
    (callback,) = re.findall(r"tt\.callbacks\.EarlyBird\(.*?\)", sentence)
    model.fit(images, np.zeros((2, 4)), callbacks=[eval(callback, {"tt": tt})], verbose=0)


def test_a_model_without_channels_that_may_go_says_why():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3)])
    assert said(report(model, measure=False), "no batch or group normalisation")


def test_a_channel_of_scale_zero_that_shifts_stays():
    model = classifier()
    model.get_layer("norm").gamma.assign(np.arange(8) > 3)
    model.get_layer("norm").beta.assign(np.arange(8) == 0)
    five, four = (Masks({"norm/gamma": (np.arange(8) > 3) | (np.arange(8) == i)}) for i in (0, 7))
    counts = [tt.count_flops(tt.slim(model, masks)).forward for masks in (five, four)]
    assert report(model, measure=False).flops["slim"] == counts[0] != counts[1]


def test_masks_that_were_not_applied_are_told():
    model = classifier()
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.9)
    made = report(model, masks, measure=False)
    removed = masks.size - masks.num_kept
    assert made.sparsity == pytest.approx(0.9, abs=1e-4)
    assert said(made, f"{removed:,} weights that the masks remove are not zero")
    with tt.hold(model, masks):
        assert not said(report(model, masks, measure=False), "are not zero")


def test_a_ticket_may_be_given():
    model = pruned(classifier())
    masks = tt.masks_of_zeros(model)
    ticket = tt.Ticket(masks, tt.take_snapshot(model), {})
    assert report(model, ticket, measure=False) == report(model, masks, measure=False)


@pytest.mark.parametrize(
    ("drawn", "pattern", "word"),
    [
        (lambda i, j: i % 4 < 2, "2:4", "compute capability"),
        (lambda i, j: i % 2 == j % 2, "2:4", "compute capability"),
        (lambda i, j: i // 4 % 5 == j % 5, "(4, 1)", "blocks of four inputs"),
        (lambda i, j: j // 4 % 5 == 0, "(4, 1)", "blocks of four inputs"),
        (lambda i, j: (i + i // 8) % 4 == 3, "2:4", "compute capability"),
        (lambda i, j: (i + j) % 8 < 5, "", ""),
    ],
)
def test_patterns_of_zeros_are_seen(drawn, pattern, word):
    model = keras.Sequential([keras.Input((40,)), L.Dense(40, name="dense")], name="net")
    kernel = model.get_layer("dense").kernel
    kernel.assign(np.where(drawn(*np.indices(kernel.shape)), 0.5, 0.0))
    made = report(model, measure=False)
    assert made.prunable[0].pattern == pattern
    for each in ("compute capability", "blocks of four inputs"):
        assert bool(said(made, each)) == (each == word)


def test_patterns_of_convolutions_lie_along_their_inputs():
    model = keras.Sequential([keras.Input((8, 8, 8)), L.Conv2D(6, 3, name="conv")])
    kernel = model.get_layer("conv").kernel
    *_, inputs, _ = np.indices(kernel.shape)
    kernel.assign(np.where(inputs % 4 < 2, 0.5, 0.0))
    made = report(model, measure=False)
    assert made.prunable[0].pattern == "2:4" and said(made, "compute capability")


@pytest.mark.parametrize("option", [{"block_size": (4, 1)}, {"m_by_n": (2, 4)}])
def test_patterns_that_the_callback_prunes_by_are_those_that_are_seen(option):
    model = classifier(optimizer="sgd", loss="mse")
    pruning = tt.callbacks.PruneLowMagnitude(tt.ConstantSparsity(0.5, begin_step=1), **option)
    inputs, targets = np.zeros((8, 16, 16, 3)), np.zeros((8, 4))
    assert said(report(model, measure=False), "need a pattern")
    model.fit(inputs, targets, callbacks=[pruning], verbose=0)
    made = report(model, measure=False)
    patterns = {row.path: row.pattern for row in made.prunable}
    assert patterns["wide/kernel"] == ("(4, 1)" if "block_size" in option else "2:4")
    assert not said(made, "need a pattern")


def test_pointwise_convolutions_of_many_zeros_name_xnnpack():
    model = keras.Sequential([keras.Input((8, 8, 16)), L.Conv2D(32, 1, name="point")])
    assert not said(report(pruned(model, 0.6), measure=False), "XNNPACK")
    assert said(report(pruned(model, 0.7), measure=False), "XNNPACK")


def test_the_optimizers_state_is_told_apart(measured):
    model, made = measured.model, measured.made
    trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    assert made.optimizer_bytes == pytest.approx(2 * 4 * trained, rel=0.001)
    assert said(made, "of optimizer state")
    assert not said(report(classifier(), measure=False), "of optimizer state")


def test_the_state_of_all_optimizers_is_counted_once(tmp_path):
    model = TwoOptimizers(name="two")
    model(np.zeros((1, 100)))
    adam, sgd = keras.optimizers.Adam(), keras.optimizers.SGD()
    scaled = keras.optimizers.LossScaleOptimizer(sgd)
    model.compile(adam, scaled)
    model.spare = [adam, sgd]
    made = report(model, measure=False)
    assert any(each is sgd.iterations for each in scaled.variables), "the wrapper has both's"
    variables = [*adam.variables, *scaled.variables, *model.optimizer.variables]
    state = sum(variable.numpy().nbytes for variable in variables)
    assert made.optimizer_bytes == state > 2 * 4 * 300 * 101
    (sentence,) = said(made, "of optimizer state")
    path = tmp_path / "model.keras"
    model.save(path)
    before = path.stat().st_size
    eval(re.search(r"keras\.models\.load.+\)", sentence)[0], {"keras": keras, "path": path})
    assert before - path.stat().st_size > state


def test_a_kernel_that_is_all_but_cut_is_named():
    model = pruned(classifier(), 0.99)
    assert not said(report(model, measure=False), "next to nothing"), "others keep as little"
    wide = model.get_layer("wide").kernel
    wide.assign(np.eye(*wide.shape) * (np.arange(128) == 5))
    (sentence,) = said(report(model, measure=False), "next to nothing")
    assert "wide/kernel with 1 of 50,176 weights" in sentence


def test_nothing_pruned_and_nothing_to_prune():
    made = report(classifier(), measure=False)
    assert made.speed == ("No: nothing is pruned.",) and said(made, "To prune: ")
    bare = keras.Sequential([keras.Input((4,)), L.BatchNormalization()], name="bare")
    made = report(bare, measure=False)
    assert made.prunable == () and said(made, "nothing to prune")
    assert "may be pruned  layer" not in str(made)


def test_what_cannot_be_made_or_counted_is_in_the_report():
    model = TwoArguments()
    model(np.zeros((1, 2)), np.zeros((1, 64)))
    made = report(model)
    forms = {form.name: form for form in made.forms}
    assert forms[".keras"].size_bytes > 0 and not forms[".keras"].reason
    for name in set(forms) - {".keras"}:
        assert forms[name].size_bytes is None and "several arguments" in forms[name].reason
    assert str(made).count("several") == 1, "one reason is told once"
    given = GivenALayer(L.Dense(64))
    given(np.zeros((1, 2)), np.zeros((1, 64)))
    given.compile("adam")
    made = report(given)
    reason = next(form.reason for form in made.forms if form.name == ".keras")
    assert "by passing non-serializable argument values" in reason and "\n" not in reason
    assert "implement `get_config()`" in reason and len(reason) <= 240
    assert made.optimizer_bytes and not said(made, "A .keras file holds")
    silent = Silent()
    silent(np.zeros((1, 2)), np.zeros((1, 64)))
    assert "no .keras: NotImplementedError\n" in str(report(silent))
    sizes_unknown = keras.Sequential([keras.Input((None, None, 3)), L.Conv2D(4, 3)], name="any")
    made = report(sizes_unknown, measure=False)
    assert made.flops == {} and "FLOPs need sizes that are known" in str(made)
    words = keras.Input((5,), dtype="int32")
    read = L.LSTM(4, name="memory")(L.Embedding(9, 8, name="table")(words))
    made = report(keras.Model(words, read, name="reads"), measure=False)
    assert "reads/memory" in " ".join(made.uncounted)
    assert any(
        line.startswith("Not counted: reads/table, reads/memory") for line in str(made).splitlines()
    )


def test_patterns_of_attention_are_seen_along_its_inputs():
    x = inputs = keras.Input((6, 16))
    attention = L.MultiHeadAttention(2, 4, use_bias=False, name="attention")
    model = keras.Model(inputs, L.Dense(3, name="head")(attention(x, x)), name="attends")
    kernels = tt.prunable(model)
    matrices = kernel_matrices(model, kernels)
    for options, pattern in (({"m_by_n": (2, 4)}, "2:4"), ({"block_size": (4, 1)}, "(4, 1)")):
        draw = m_by_n_masks if "m_by_n" in options else block_masks
        scores, within = tt.magnitude_scores(kernels), tt.Masks.all_kept(kernels)
        masks = draw(scores, 0.5, within, [set(scores)], matrices=matrices, **options)
        made = report(model, masks, measure=False)
        assert {row.path: row.pattern for row in made.prunable} == dict.fromkeys(masks, pattern)


def test_a_slimmed_model_is_not_told_to_be_as_slow_as_it_was():
    model = classifier()
    small = tt.slim(model, tt.channel_masks(model, 0.5))
    made = report(small, measure=False)
    before, after = small.slim_report.params_before, small.slim_report.params_after
    assert said(made, f"It was slimmed from {before:,} to {after:,} trained parameters")
    assert not said(made, "No: nothing is pruned")


def test_it_is_json_and_fits_a_terminal(measured):
    content = json.loads(json.dumps(measured.made.as_dict()))
    assert content["model"] == "classifier"
    assert content["sparsity"] == measured.made.sparsity
    assert content["weights"][0]["path"] == "conv/kernel"
    assert len(content["forms"]) == 8
    assert max(map(len, str(measured.made).splitlines())) <= 100


def test_the_model_is_left_as_it_was(measured):
    after = (*measured.model.variables, *measured.model.optimizer.variables)
    for value, expected in zip(after, measured.before, strict=True):
        np.testing.assert_array_equal(value.numpy(), expected)


def test_masks_of_another_model_and_models_without_weights_are_refused():
    with pytest.raises(SettingError, match="no variable other/kernel"):
        report(classifier(), Masks({"other/kernel": np.ones(3, bool)}))
    with pytest.raises(SettingError, match="is not built"):
        report(keras.Sequential([L.Dense(3)]))


def test_a_gan_of_two_networks_is_reported_by_these():
    class GAN(keras.Model):
        def __init__(self):
            super().__init__(name="gan")
            self.generator = keras.Sequential([keras.Input((4,)), L.Dense(64, name="up")])
            self.discriminator = keras.Sequential([keras.Input((64,)), L.Dense(1, name="down")])

    told = report(pruned(GAN(), 0.5))
    names = [row.path for row in told.prunable]
    assert names == ["generator/up/kernel", "discriminator/down/kernel"]
    assert told.sparsity == pytest.approx(0.5)
    networks = {"generator": 2 * 4 * 64 + 64, "discriminator": 2 * 64 + 1}
    assert told.flops_by_network == networks and told.flops["dense"] == sum(networks.values())
    assert "Dense, by network: 576 generator, 129 discriminator." in " ".join(str(told).split())
    reasons = {form.name: form.reason for form in told.forms}
    assert "export these one by one" in reasons["SavedModel, packed"]
    assert report(classifier(), measure=False).flops_by_network == {}


def test_zeros_of_an_average_are_those_of_its_weight():
    class Averaged(keras.Model):
        def __init__(self):
            super().__init__(name="averaged")
            self.network = keras.Sequential([keras.Input((4,)), L.Dense(64, name="up")])
            self.ema_network = keras.models.clone_model(self.network)

        @property
        def averages(self):
            return list(zip(self.network.weights, self.ema_network.weights, strict=True))

    model = Averaged()
    told = report(pruned(model, 0.5), measure=False)
    alone = report(pruned(model.network, 0.5), measure=False)
    assert told.flops == {name: 2 * flops for name, flops in alone.flops.items()}
