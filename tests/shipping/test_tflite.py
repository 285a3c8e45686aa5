import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets import FileError, SettingError, export_tflite, hold, magnitude_scores, prunable
from tf_tickets.shipping.tflite import _reason

L = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


def convolutional():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            L.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv"),
            L.BatchNormalization(name="norm"),
            L.ReLU(),
            L.Dropout(0.5),
            L.Flatten(),
            L.Dense(64, "relu", name="wide"),
            L.Dense(8, name="out"),
        ],
        name="net",
    )


def prune(model, sparsity):
    with hold(model, tt.global_masks(magnitude_scores(prunable(model)), sparsity)):
        return model


def batch(*shape):
    return np.random.default_rng(7).normal(size=shape).astype("float32")


def answers(path, **inputs):
    return tf.lite.Interpreter(str(path)).get_signature_runner("serving_default")(**inputs)


@pytest.mark.parametrize("weights", ["sparse", "dense"])
def test_it_answers_as_the_keras_model_for_any_batch_size(weights, tmp_path):
    model = prune(convolutional(), 0.9)
    path = export_tflite(model, tmp_path / "new" / "model.tflite", weights)
    assert path == tmp_path / "new" / "model.tflite"
    for size in (1, 3):
        images = batch(size, 16, 16, 3)
        expected = model(images, training=False)
        np.testing.assert_allclose(answers(path, inputs=images)["outputs"], expected, atol=1e-6)


@pytest.mark.slow
def test_sparse_files_are_as_small_as_documented(tmp_path):
    sizes = {}
    for sparsity, weights in ((0.0, "sparse"), (0.9, "sparse"), (0.9, "dense")):
        model = prune(convolutional(), sparsity)
        path = export_tflite(model, tmp_path / "model.tflite", weights)
        sizes[sparsity, weights] = path.stat().st_size
    assert sizes[0.9, "dense"] > 4 * model.count_params()
    assert sizes[0.0, "sparse"] < 1.01 * sizes[0.9, "dense"]
    # A tenth of the weights, a byte for the place of each, and rows that are never empty.
    assert sizes[0.9, "sparse"] < 0.2 * sizes[0.9, "dense"]


@pytest.mark.slow
def test_blocks_along_the_inputs_of_a_kernel_take_less_than_along_its_outputs(tmp_path):
    sizes, inputs = [], batch(2, 64)
    drawn = np.repeat(np.random.default_rng(0).random((16, 128)) < 0.1, 4, axis=0)
    for kept in (drawn, drawn.reshape(16, 4, 32, 4).swapaxes(1, 3).reshape(64, 128)):
        model = keras.Sequential([keras.Input((64,)), L.Dense(128, name="dense")])
        model.get_layer("dense").kernel.assign(batch(64, 128) * kept)
        path = export_tflite(model, tmp_path / "model.tflite")
        np.testing.assert_allclose(
            answers(path, inputs=inputs)["outputs"], model(inputs), rtol=1e-4, atol=1e-5
        )
        sizes.append(path.stat().st_size)
    assert sizes[0] < 0.9 * sizes[1]


def test_a_slim_model_is_smaller_and_answers_as_itself(tmp_path):
    model = convolutional()
    model.get_layer("norm").gamma.assign(np.arange(1, 17) / 16)
    small = tt.slim(model, tt.channel_masks(model, 0.5))
    wide = export_tflite(model, tmp_path / "wide.tflite")
    narrow = export_tflite(small, tmp_path / "narrow.tflite")
    assert narrow.stat().st_size < 0.6 * wide.stat().st_size
    images = batch(2, 16, 16, 3)
    np.testing.assert_allclose(
        answers(narrow, inputs=images)["outputs"], small(images, training=False), atol=1e-6
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__(name="mine")
        self.dense = L.Dense(4)

    def call(self, inputs):
        return {"double": 2 * self.dense(inputs)}


def attention():
    left, right = keras.Input((6, 8), name="left"), keras.Input((6, 8), name="right")
    attended = L.MultiHeadAttention(2, 4)(left, right)
    return keras.Model({"left": left, "right": right}, L.LayerNormalization()(attended + left))


@pytest.mark.slow
def test_subclassed_models_and_attention_of_two_inputs(tmp_path):
    mine, inputs = Subclassed(), batch(3, 5)
    expected = mine(inputs)["double"]
    path = export_tflite(mine, tmp_path / "mine.tflite")
    np.testing.assert_allclose(answers(path, inputs=inputs)["double"], expected, atol=1e-6)
    model = prune(attention(), 0.5)
    pair = {"left": batch(3, 6, 8), "right": 2 * batch(3, 6, 8)}
    path = export_tflite(model, tmp_path / "attention.tflite")
    np.testing.assert_allclose(answers(path, **pair)["outputs"], model(pair), atol=1e-5)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_computed_in_float32(policy, tmp_path):
    images, before = batch(3, 16, 16, 3), keras.config.dtype_policy()
    exact = prune(convolutional(), 0.9)
    keras.config.set_dtype_policy(policy)
    try:
        model = convolutional()
    finally:
        keras.config.set_dtype_policy(before)
    model.set_weights(exact.get_weights())
    path = export_tflite(model, tmp_path / "model.tflite")
    given = answers(path, inputs=images)["outputs"]
    np.testing.assert_allclose(given, exact(images, training=False), atol=1e-6)
    assert model.get_layer("wide").compute_dtype == policy.removeprefix("mixed_")
    half = np.asarray(model(images, training=False), "float32")
    assert 0 < np.abs(half - given).max() < 0.1, "the model itself computes as before"


def test_an_unrolled_recurrent_layer(tmp_path):
    states = keras.Input((6, 8))
    model = keras.Model(states, L.LSTM(4, unroll=True)(states))
    path = export_tflite(model, tmp_path / "model.tflite")
    inputs = batch(2, 6, 8)
    np.testing.assert_allclose(answers(path, inputs=inputs)["outputs"], model(inputs), atol=1e-6)


def test_a_recurrent_layer_of_a_known_batch(tmp_path):
    states = keras.Input((6, 8))
    model, inputs = keras.Model(states, L.LSTM(4)(states)), batch(1, 6, 8)
    path = export_tflite(model, tmp_path / "model.tflite", inputs=tf.TensorSpec((1, 6, 8)))
    np.testing.assert_allclose(answers(path, inputs=inputs)["outputs"], model(inputs), atol=1e-6)


def upsampled_twice(kind):
    """Return codes, and what two layers make of them; one alone loses no sizes."""
    codes = keras.Input((16,))
    if kind == "1d":
        x = L.Conv1D(4, 1)(L.UpSampling1D(3)(L.Reshape((4, 4))(codes)))
        return codes, L.Conv1D(2, 3)(L.UpSampling1D(2)(x))
    if kind == "3d":
        x = L.Conv3D(4, 1)(L.UpSampling3D(2)(L.Reshape((2, 2, 1, 4))(codes)))
        return codes, L.Conv3D(2, 1)(L.UpSampling3D((1, 2, 3))(x))
    x = L.Conv2D(4, 1)(L.UpSampling2D((3, 2))(L.Reshape((2, 2, 4))(codes)))
    return codes, L.Conv2D(2, 3)(L.UpSampling2D()(x))


@pytest.mark.parametrize("kind", ["1d", "2d", "3d"])
def test_upsampling_gives_the_same_for_any_batch_size(kind, tmp_path):
    model = keras.Model(*upsampled_twice(kind))
    calls = [layer.call for layer in model.layers]
    path = export_tflite(model, tmp_path / "model.tflite")
    assert [layer.call for layer in model.layers] == calls
    for size in (1, 3):
        given = answers(path, inputs=batch(size, 16))["outputs"]
        np.testing.assert_allclose(given, model(batch(size, 16)), rtol=1e-6, atol=1e-6)


def test_upsampling_of_any_size_and_nothing_but_copies(tmp_path):
    images = keras.Input((None, None, 3))
    model = keras.Model(images, L.Cropping2D(1)(L.UpSampling2D((2, 3))(images)))
    path = export_tflite(model, tmp_path / "model.tflite")
    given = batch(2, 4, 5, 3)
    np.testing.assert_array_equal(answers(path, inputs=given)["outputs"], model(given))


def wgan_gp_generator():
    """The generator of keras.io's WGAN-GP, narrow."""
    x = noise = keras.Input((8,))
    x = L.LeakyReLU(0.2)(L.BatchNormalization()(L.Dense(4 * 4 * 8, use_bias=False)(x)))
    x = L.Reshape((4, 4, 8))(x)
    for filters, activation in ((8, L.LeakyReLU(0.2)), (8, L.LeakyReLU(0.2)), (1, None)):
        x = L.UpSampling2D((2, 2))(x)
        x = L.BatchNormalization()(L.Conv2D(filters, 3, padding="same", use_bias=False)(x))
        x = activation(x) if activation else L.Activation("tanh")(x)
    return keras.Model(noise, L.Cropping2D((2, 2))(x))


def test_a_wgan_gp_generator(tmp_path):
    model, noise = wgan_gp_generator(), batch(3, 8)
    path = export_tflite(prune(model, 0.5), tmp_path / "model.tflite")
    expected = model(noise, training=False)
    np.testing.assert_allclose(answers(path, inputs=noise)["outputs"], expected, atol=1e-5)


def repeating():
    """Two repetitions by a layer of one's own, of which the converter loses the sizes."""
    x = codes = keras.Input((16,))
    x = L.Reshape((2, 2, 4))(x)
    for _ in range(2):
        shape = (2 * x.shape[1], 2 * x.shape[2], 4)
        x = L.Lambda(
            lambda x: keras.ops.repeat(keras.ops.repeat(x, 2, axis=1), 2, axis=2),
            output_shape=shape,
        )(x)
        x = L.Conv2D(4, 1)(x)
    return keras.Model(codes, x, name="repeating")


def test_lost_sizes_are_the_reason_given_and_a_known_batch_the_way_out(tmp_path):
    model, path = repeating(), tmp_path / "model.tflite"
    with pytest.raises(SettingError) as caught:
        export_tflite(model, path)
    said = "too little of the sizes of what Conv2D is given. Give `inputs` with all sizes"
    assert said in str(caught.value) and "\n" not in str(caught.value)
    export_tflite(model, path, inputs=tf.TensorSpec((2, 16)))
    codes = batch(2, 16)
    np.testing.assert_allclose(answers(path, inputs=codes)["outputs"], model(codes), atol=1e-5)


def test_no_reason_shows_the_converters_own_language():
    said = (
        '<unknown>:0: error: loc(callsite(fused["Foo:", "a@b"] at "c"))): \'tf.Foo\' op wants '
        "static shapes\n<unknown>:0: note: see current operation"
    )
    assert _reason(ValueError(said)) == "its converter fails: Foo wants static shapes."
    for bare in ("", "loc(fused) broke\nmore", "plain words"):
        assert "loc(" not in _reason(ValueError(bare))
    assert _reason(ValueError("")) == "ValueError"


def test_a_conversion_says_nothing(tmp_path, capfd, recwarn):
    export_tflite(convolutional(), tmp_path / "model.tflite")
    written = capfd.readouterr()
    assert written.out == written.err == "" and not recwarn.list
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def with_singular_values():
    inputs = keras.Input((16,))
    squares = L.Reshape((4, 4))(inputs)
    values = L.Lambda(lambda x: tf.linalg.svd(x, compute_uv=False))(squares)
    return keras.Model(inputs, L.Dense(2)(values), name="singular")


def test_what_cannot_work_is_one_line_and_leaves_no_file(tmp_path):
    path = tmp_path / "model.tflite"
    with pytest.raises(SettingError, match=r"singular cannot .* no operation .* Svd\.$"):
        export_tflite(with_singular_values(), path)
    states = keras.Input((6, 8))
    with pytest.raises(SettingError, match=r"to TFLite: .*unroll=True, or .*TensorSpec"):
        export_tflite(keras.Model(states, L.LSTM(4)(states)), path)
    with pytest.raises(SettingError, match="is not built"):
        export_tflite(Subclassed(), path)
    with pytest.raises(SettingError, match=r'"sparse" or "dense".*packed'):
        export_tflite(convolutional(), path, weights="packed")
    assert not list(tmp_path.iterdir())
    path.mkdir()
    with pytest.raises(FileError, match="Cannot write"):
        export_tflite(convolutional(), path)
