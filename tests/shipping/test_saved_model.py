import os
import pathlib
import resource
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError
from tf_tickets.shipping import packed_weights
from tf_tickets.shipping.saved_model import export_saved_model

layers = keras.layers


def prune(model, sparsity, seed=0):
    """Set a share of every kernel to zero, and no bias."""
    random = np.random.default_rng(seed)
    for weight in model.trainable_weights:
        if len(weight.shape) > 1:
            weight.assign(weight.numpy() * (random.random(weight.shape) >= sparsity))
        else:
            weight.assign(random.normal(size=weight.shape))
    return model


def conv_autoencoder():
    """3.1 M weights; batch normalisation, strides and transposed convolutions."""
    images = x = keras.Input((32, 32, 3))
    for filters in (64, 128, 256):
        x = layers.Conv2D(filters, 4, 2, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dense(4096)(layers.Dense(192)(layers.Flatten()(x)))
    x = layers.Reshape((4, 4, 256))(x)
    for filters in (128, 64):
        x = layers.Conv2DTranspose(filters, 4, 2, "same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(images, layers.Conv2DTranspose(3, 4, 2, "same", activation="tanh")(x))


class Autoencoder(keras.Model):
    """A subclassed model over Functional parts, as those of this package are."""

    def __init__(self, widths=(12, 5), size=64):
        super().__init__()
        images = x = keras.Input((size,), name="images")
        for width in widths:
            x = layers.Dense(width, activation="relu")(x)
        codes = y = keras.Input((widths[-1],), name="codes")
        for width in (*widths[-2::-1], size):
            y = layers.Dense(width)(y)
        self.components = {
            "encoder": keras.Model(images, x),
            "decoder": keras.Model(codes, y),
        }

    def call(self, images):
        return self.components["decoder"](self.components["encoder"](images))


class Sampler(keras.Model):
    """Adds noise from a seed of its own, as the sampling layer of a VAE does."""

    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(40)
        self.seed_generator = keras.random.SeedGenerator(3)

    def call(self, inputs):
        mean = self.dense(inputs)
        noise = keras.random.normal(keras.ops.shape(mean), seed=self.seed_generator)
        return {"mean": mean, "sample": mean + noise}


def built(model, *shape):
    model(np.zeros((2, *shape), np.float32))
    return model


def size_on_disk(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def serve(folder, signature="serving_default"):
    # What was loaded is dropped here, as many do: a signature must keep its weights alive.
    return tf.saved_model.load(str(folder)).signatures[signature]


def batch(*shape, seed=7):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def test_packed_convolutional_model_is_small_and_answers_as_the_keras_model(tmp_path):
    keras.utils.set_random_seed(0)
    model = prune(conv_autoencoder(), 0.9)
    packed = export_saved_model(model, tmp_path / "packed")
    dense = export_saved_model(model, tmp_path / "dense", weights="dense")
    assert packed == tmp_path / "packed"
    assert size_on_disk(dense) > 4 * model.count_params()
    assert size_on_disk(packed) < 0.125 * size_on_disk(dense)
    for size in (1, 3):
        images = batch(size, 32, 32, 3)
        expected = model(images, training=False)
        for folder in (packed, dense):
            np.testing.assert_allclose(serve(folder)(inputs=images)["outputs"], expected, atol=1e-6)


def test_small_packed_autoencoder_with_its_components_stays_under_0_16(tmp_path):
    # 200 k weights (R1), where three signatures weigh as much as a third of the packed weights.
    model = prune(built(Autoencoder(widths=(116, 64, 12, 3), size=784), 784), 0.9)
    packed = export_saved_model(model, tmp_path / "packed")
    dense = export_saved_model(model, tmp_path / "dense", weights="dense")
    assert size_on_disk(packed) < 0.16 * size_on_disk(dense)


FRESH_PROCESS = """
    import sys
    sys.modules["tf_tickets"] = sys.modules["keras"] = None
    import numpy as np
    import tensorflow as tf

    data = np.load("data.npz")
    answer = tf.saved_model.load("exported").signatures["serving_default"]
    np.testing.assert_allclose(answer(inputs=data["x"])["outputs"], data["y"], atol=1e-6)

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], "exported")
        signature = meta.signature_def["serving_default"]
        feed = {signature.inputs["inputs"].name: data["x"]}
        for _ in range(2):
            y = session.run(signature.outputs["outputs"].name, feed)
            np.testing.assert_allclose(y, data["y"], atol=1e-6)
    print("answers agree")
"""


def test_a_fresh_process_without_our_code_serves_it_eagerly_and_in_a_session(tmp_path):
    model = prune(built(Autoencoder(), 64), 0.8)
    export_saved_model(model, tmp_path / "exported")
    images = batch(4, 64)
    np.savez(tmp_path / "data.npz", x=images, y=model(images, training=False))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FRESH_PROCESS)],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "answers agree\n", done.stderr


def test_a_flipped_byte_in_the_packed_weights_is_found_at_load(tmp_path):
    model = prune(built(Autoencoder(widths=(200, 100), size=784), 784), 0.5)
    graph = export_saved_model(model, tmp_path / "out") / "saved_model.pb"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1  # nine tenths of the file are packed weights
    graph.write_bytes(content)
    with pytest.raises(tf.errors.DataLossError):
        tf.saved_model.load(str(graph.parent))
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session, session.graph.as_default(), pytest.raises(tf.errors.DataLossError):
        tf.compat.v1.saved_model.load(session, ["serve"], str(graph.parent))


@pytest.mark.parametrize("weights", ["packed", "dense"])
def test_components_have_signatures_of_their_own(tmp_path, weights):
    model = prune(Autoencoder(), 0.7)  # never called: takes what its first component takes
    loaded = tf.saved_model.load(str(export_saved_model(model, tmp_path / "out", weights)))
    assert set(loaded.signatures) == {"serving_default", "encoder", "decoder"}
    images = batch(5, 64)
    codes = loaded.signatures["encoder"](inputs=images)["outputs"]
    assert codes.shape == (5, 5)
    np.testing.assert_allclose(
        loaded.signatures["decoder"](inputs=codes)["outputs"], model(images), atol=1e-6
    )


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("width", [1, 7, 16])
def test_any_sparsity_and_sizes_that_fill_no_byte_or_row(tmp_path, sparsity, width):
    model = keras.Sequential(
        [keras.Input((9, 5, 3)), layers.Conv2D(width, (3, 2)), layers.BatchNormalization()]
    )
    model.add(layers.Dense(11))
    prune(model, sparsity)
    images = batch(2, 9, 5, 3)
    answer = serve(export_saved_model(model, tmp_path / "out"))
    np.testing.assert_allclose(answer(inputs=images)["outputs"], model(images), atol=1e-6)


def test_a_vector_and_a_scalar_of_zeros_are_restored(tmp_path):
    class Scale(layers.Layer):
        def build(self, input_shape):
            self.vector = self.add_weight(shape=(input_shape[-1],), initializer="zeros")
            self.scalar = self.add_weight(shape=(), initializer="zeros")

        def call(self, inputs):
            return inputs * (self.vector + 1.0) + self.scalar + 2.0

    model = keras.Sequential([keras.Input((2001,)), Scale()])
    inputs = batch(2, 2001)
    answer = serve(export_saved_model(model, tmp_path / "out"))
    np.testing.assert_allclose(answer(inputs=inputs)["outputs"], inputs + 2.0, atol=1e-6)


@pytest.mark.parametrize("gap", [1, 254, 255, 256, 510, 511, 5000])
def test_packed_values_come_back_from_any_gap(gap):
    flat = np.zeros(12000, np.float32)
    flat[[gap - 1, 2 * gap - 1]] = 1.5, -2.5
    gaps, *value_bytes = packed_weights.pack(flat)
    restored = np.zeros_like(flat)
    values = np.ascontiguousarray(np.transpose(value_bytes)).view("<f4").ravel()
    restored[np.cumsum(gaps.astype(np.int64)) - 1] = values
    np.testing.assert_array_equal(restored, flat)
    assert gaps.size == 2 * -(-gap // 255)


def test_a_weight_is_packed_only_where_that_saves_bytes():
    model = keras.Sequential([keras.Input((100,)), layers.Dense(100), layers.Dense(100)])
    first, bias, second, _ = model.weights
    first.assign(np.full((100, 100), 0.5))  # full: 50 kB of values and gaps against 40 kB + 2 kB
    second.assign(np.eye(100))
    bias.assign(np.ones(100))  # 500 B against 400 B and a variable of its own
    packed = packed_weights.worth_packing(model)
    assert not any(weight is first for weight in packed)
    assert any(weight is second for weight in packed)
    assert any(weight is bias for weight in packed)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_half_precision_computes_as_the_model_does(tmp_path, policy):
    model = keras.Sequential([keras.Input((4, 4, 8)), layers.Conv2D(16, 3, dtype=policy)])
    model.add(layers.Dense(3, dtype=policy))
    prune(model, 0.9)
    inputs = batch(2, 4, 4, 8)
    expected = model(inputs, training=False)
    outputs = serve(export_saved_model(model, tmp_path / "out"))(inputs=inputs)["outputs"]
    assert outputs.dtype == tf.as_dtype(expected.dtype)
    np.testing.assert_array_equal(outputs.numpy(), expected.numpy())


@pytest.mark.parametrize("weights", ["packed", "dense"])
def test_random_seeds_advance_from_call_to_call_as_in_the_model(tmp_path, weights):
    model = prune(built(Sampler(), 30), 0.9)
    inputs = batch(2, 30)
    answer = serve(export_saved_model(model, tmp_path / "out", weights))
    draws = [answer(inputs=inputs) for _ in range(2)]
    for draw in draws:
        expected = model(inputs, training=False)
        np.testing.assert_allclose(draw["mean"], expected["mean"], atol=1e-6)
        np.testing.assert_allclose(draw["sample"], expected["sample"], atol=1e-6)
    assert np.abs(draws[0]["sample"] - draws[1]["sample"]).max() > 0.1


def test_tensors_of_a_dict_go_by_their_keys_and_those_of_a_list_by_numbers(tmp_path):
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right", dtype="int32")
    total = layers.Add()([left, layers.Lambda(lambda x: keras.ops.cast(x, "float32"))(right)])
    model = keras.Model({"left": left, "right": right}, [total, layers.Dense(2)(total)])
    answer = serve(export_saved_model(model, tmp_path / "out"))
    inputs = {"left": batch(4, 3), "right": np.full((4, 3), 2, np.int32)}
    outputs = answer(**{name: tf.constant(value) for name, value in inputs.items()})
    np.testing.assert_allclose(outputs["output_0"], inputs["left"] + 2, atol=1e-6)
    assert outputs["output_1"].shape == (4, 2)


def test_loads_are_independent_of_each_other_and_of_a_later_export(tmp_path):
    first_model = prune(built(Autoencoder(), 64), 0.8, seed=1)
    second_model = prune(built(Autoencoder(), 64), 0.8, seed=2)
    images = batch(2, 64)
    expected = first_model(images).numpy()
    path = export_saved_model(first_model, tmp_path / "out")
    first, again = serve(path), serve(path)
    export_saved_model(second_model, path)
    second = serve(path)
    np.testing.assert_allclose(second(inputs=images)["outputs"], second_model(images), atol=1e-6)
    del again, second
    np.testing.assert_allclose(first(inputs=images)["outputs"], expected, atol=1e-6)


def test_the_model_itself_is_left_as_it_was(tmp_path):
    model = prune(built(Sampler(), 30), 0.5)
    before = [variable.numpy() for variable in model.variables]
    export_saved_model(model, tmp_path / "out")
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)


def test_only_whole_exports_of_readable_mode_are_left_behind(tmp_path):
    model = prune(built(Autoencoder(), 64), 0.8)
    path = export_saved_model(model, tmp_path / "new" / "out")
    export_saved_model(model, path)
    assert os.listdir(path.parent) == ["out"]
    assert path.stat().st_mode == path.parent.stat().st_mode


def test_a_full_disk_is_one_line_and_the_old_export_stays(tmp_path):
    model = prune(built(Autoencoder(), 64), 0.8)
    path = export_saved_model(model, tmp_path / "out")
    images = batch(2, 64)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
    try:
        with pytest.raises(FileError, match="Cannot write the SavedModel to") as caught:
            export_saved_model(model, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["out"]
    np.testing.assert_allclose(serve(path)(inputs=images)["outputs"], model(images), atol=1e-6)


def test_what_is_no_saved_model_is_not_replaced(tmp_path):
    model = built(Autoencoder(), 64)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").write_text("years")
    with pytest.raises(FileError, match="is no SavedModel"):
        export_saved_model(model, tmp_path / "work")
    with pytest.raises(FileError, match="Cannot write the SavedModel"):
        export_saved_model(model, tmp_path / "work" / "thesis.tex" / "out")
    assert (tmp_path / "work" / "thesis.tex").read_text() == "years"


def test_a_relative_path_is_returned_as_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert export_saved_model(built(Autoencoder(), 64), "out") == pathlib.Path("out")
    assert (tmp_path / "out" / "saved_model.pb").exists()


class TwoArguments(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def build(self, first_shape, second_shape):
        self.dense.build(first_shape)

    def call(self, first, second):
        return self.dense(first) + second


def test_settings_that_cannot_work_are_named(tmp_path):
    path = tmp_path / "out"
    for unbuilt in (Sampler(), keras.Sequential([layers.Dense(3)])):
        with pytest.raises(SettingError, match=r"is not built.*Call it on a batch"):
            export_saved_model(unbuilt, path)
    with pytest.raises(SettingError, match=r'"packed" or "dense".*sparse'):
        export_saved_model(built(Autoencoder(), 64), path, weights="sparse")
    two = TwoArguments()
    two(np.zeros((1, 2)), np.zeros((1, 2)))
    with pytest.raises(SettingError, match="several arguments: first_shape, second_shape"):
        export_saved_model(two, path)
    assert not path.exists()
