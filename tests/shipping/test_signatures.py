"""What a signature takes and returns, of models beyond a picture in and numbers out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import SettingError, export_saved_model

layers = keras.layers


def drawn(*shape, seed=7):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def serve(path):
    return tf.saved_model.load(str(path)).signatures["serving_default"]


def check(model, path, given, weights="packed", calls=1):
    """Export a model of one tensor, and compare what the signature answers with the model."""
    answer = serve(export_saved_model(model, path, weights))
    for _ in range(calls):
        expected = model(tf.constant(given), training=False)
        answered = answer(inputs=tf.constant(given))["outputs"]
        np.testing.assert_allclose(answered, expected, atol=1e-6)
    return answer


def texts():
    vectorize = layers.TextVectorization(max_tokens=9, output_sequence_length=4)
    vectorize.adapt(["a good film", "a bad film"])
    return layers.Embedding(9, 40, embeddings_initializer="zeros"), vectorize, (), "string"


def words(tmp_path):
    (tmp_path / "words.txt").write_text("film\ngood\n")
    lookup = layers.StringLookup(vocabulary=str(tmp_path / "words.txt"))
    return layers.Embedding(3, 40), lookup, (2,), "string"


def numbers():
    lookup = layers.IntegerLookup(vocabulary=[3, 5], output_mode="multi_hot")
    return layers.Dense(40), lookup, (2,), "int64"


@pytest.mark.parametrize("weights", ["packed", "dense"])
@pytest.mark.parametrize("kind", ["texts", "words", "numbers"])
def test_tables_of_lookup_layers_are_in_the_files(kind, weights, tmp_path):
    makers = {"texts": texts, "words": lambda: words(tmp_path), "numbers": numbers}
    table, lookup, shape, dtype = makers[kind]()
    inputs = keras.Input(shape, dtype=dtype)
    model = keras.Model(inputs, layers.Dense(3)(table(lookup(inputs))))
    given = {
        "texts": np.array(["a good film", "never seen"]),
        "words": np.array([["film", "other"], ["good", "good"]]),
        "numbers": np.array([[3, 9], [5, 5]]),
    }[kind]
    check(model, tmp_path / "out", given, weights)


def test_a_table_that_no_layer_holds_is_one_line(tmp_path):
    pairs = tf.lookup.KeyValueTensorInitializer(["a"], [1])
    table = tf.lookup.StaticHashTable(pairs, 0)
    words = keras.Input((2,), dtype="string")
    found = layers.Lambda(table.lookup, output_shape=(2,))(words)
    with pytest.raises(SettingError, match=r"reads a table, .* none of its layers holds. Make it"):
        export_saved_model(keras.Model(words, found), tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "name"), [("image", "image"), ("my-key", "my_key"), ("class", "_class"), ("2x", "_2x")]
)
def test_a_dict_of_one_keeps_its_key(key, name, tmp_path):
    inputs = keras.Input((3,), name=key)
    model = keras.Model({key: inputs}, {key: layers.Dense(2)(inputs)})
    answer = serve(export_saved_model(model, tmp_path / "out"))
    names = ["input" + name, "output" + name] if name.startswith("_") else [name, name]
    assert list(answer.structured_input_signature[1]) == names[:1]
    given = drawn(2, 3)
    answered = answer(**{names[0]: given})
    np.testing.assert_allclose(answered[names[1]], model({key: given})[key], atol=1e-6)


def test_nested_structures_are_named_by_all_keys_on_the_way(tmp_path):
    left, right = keras.Input((3,)), keras.Input((3,))
    model = keras.Model({"l": {"x": left}, "r": {"x": right}}, {"o": [left + right, left - right]})
    answer = serve(export_saved_model(model, tmp_path / "out"))
    first, second = drawn(2, 3), drawn(2, 3, seed=8)
    answered = answer(l_x=first, r_x=second)
    np.testing.assert_allclose(answered["o_0"], first + second, atol=1e-6)
    np.testing.assert_allclose(answered["o_1"], first - second, atol=1e-6)


def test_a_sequential_model_of_a_dict_keeps_its_keys(tmp_path):
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    model = keras.Sequential([keras.Model({"left": left, "right": right}, left - right)])
    model.add(layers.Dense(2))
    given = {"left": tf.constant(drawn(2, 3)), "right": tf.constant(drawn(2, 3, seed=8))}
    expected = model(given)
    answered = serve(export_saved_model(model, tmp_path / "out"))(**given)["outputs"]
    np.testing.assert_allclose(answered, expected, atol=1e-6)


@pytest.mark.parametrize("weights", ["packed", "dense"])
def test_states_of_a_stateful_layer_go_on_from_call_to_call(weights, tmp_path):
    steps = keras.Input(batch_shape=(2, 5, 3))
    model = keras.Model(steps, layers.Dense(2)(layers.GRU(4, stateful=True)(steps)))
    answer = check(model, tmp_path / "out", drawn(2, 5, 3), weights, calls=3)
    assert answer.structured_input_signature[1]["inputs"].shape == (2, 5, 3)


def test_masks_and_unknown_lengths(tmp_path):
    tokens = keras.Input((None,), dtype="int32")
    embedded = layers.Embedding(9, 5, mask_zero=True)(tokens)
    model = keras.Model(tokens, layers.Bidirectional(layers.LSTM(4))(embedded))
    answer = serve(export_saved_model(model, tmp_path / "out"))
    for given in (np.array([[1, 2, 0]], "int32"), np.array([[1, 0, 0, 0], [4, 5, 6, 7]], "int32")):
        np.testing.assert_allclose(answer(inputs=given)["outputs"], model(given), atol=1e-6)


class Words(keras.Model):
    def __init__(self):
        super().__init__()
        self.lookup = layers.StringLookup(vocabulary=["a", "b"])
        self.table = layers.Embedding(3, 4)

    def call(self, words):
        return self.table(self.lookup(words)), None, 2.0


def test_a_subclassed_model_is_told_what_it_takes_and_leaves_out_none(tmp_path):
    model, given = Words(), tf.constant([["a", "z"]])
    expected, *_ = model(given)
    spec = tf.TensorSpec([None, None], tf.string)
    answered = serve(export_saved_model(model, tmp_path / "out", inputs=spec))(inputs=given)
    np.testing.assert_allclose(answered["output_0"], expected, atol=1e-6)
    assert set(answered) == {"output_0", "output_2"} and answered["output_2"] == 2.0


class Doubled(layers.Layer):
    def call(self, inputs):
        return keras.ops.reshape(inputs, (2 * inputs.shape[0], -1))


def test_a_model_of_one_batch_size_keeps_it(tmp_path):
    inputs = keras.Input(batch_shape=(2, 4))
    check(keras.Model(inputs, Doubled()(inputs)), tmp_path / "out", drawn(2, 4))


class Counter(keras.Model):
    def build(self, input_shape):
        self.count = self.add_weight(name="count", shape=(), initializer="zeros", trainable=False)
        self.dense = layers.Dense(9, kernel_initializer="zeros")
        self.dense.build(input_shape)

    def call(self, inputs):
        return self.dense(inputs) + self.count.assign(self.count + 1.0)


def test_what_changes_at_inference_is_not_packed_but_the_rest_is(tmp_path):
    model = Counter()
    model(np.zeros((2, 3000), np.float32))
    path = export_saved_model(model, tmp_path / "out")
    answer, before = serve(path), float(model.count.numpy())
    for calls in (1, 2):
        answered = answer(inputs=np.zeros((1, 3000), np.float32))["outputs"]
        assert answered[0, 0] == before + calls
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    assert size < 4 * 3000 * 9 / 2


class Ragged(keras.Model):
    def call(self, inputs):
        return tf.RaggedTensor.from_tensor(inputs)


class Hidden(keras.Model):
    def call(self, inputs):
        COUNT.assign(COUNT + 1.0)
        return inputs + COUNT.value


COUNT = keras.Variable(0.0)


class Fussy(keras.Model):
    def call(self, inputs):
        if inputs.shape[-1] is None or inputs.dtype != "int32":
            raise ValueError("I want\nint32")
        return inputs


def test_what_no_signature_can_do_is_one_line(tmp_path):
    path = tmp_path / "out"
    ragged_input = keras.Input((None,), dtype="int32", ragged=True)
    model = keras.Model(ragged_input, layers.Embedding(3, 2)(ragged_input))
    with pytest.raises(SettingError, match=r"takes the ragged input .* padded and masked"):
        export_saved_model(model, path)
    for kind, said in ((Ragged, "returns a RaggedTensor"), (Hidden, "no attribute of a layer")):
        model = kind()
        model(drawn(2, 3))
        with pytest.raises(SettingError, match=said):
            export_saved_model(model, path)
    model = Fussy(name="fussy")
    model(np.zeros((2, 3), np.int32))
    said = r"fussy cannot be called on inputs of float32 \(None, 3\).*give `inputs`.*I want int32"
    with pytest.raises(SettingError, match=said):
        export_saved_model(model, path)
    assert not path.exists()
    export_saved_model(model, path, inputs=tf.TensorSpec([None, 3], tf.int32))
