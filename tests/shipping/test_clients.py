"""The table of docs/shipping.md: who reads which form of a pruned model, and who does not."""

import importlib.util
import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import export_saved_model, export_tflite

layers = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """Return the folder that a pruned model is shipped to in all forms, images, and its answers."""
    folder = tmp_path_factory.mktemp("shipped")
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 3))
    for filters in (16, 32):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(inputs, layers.Dense(8)(layers.Flatten()(x)))
    random = np.random.default_rng(0)
    for kernel in (weight for weight in model.trainable_weights if len(weight.shape) > 1):
        kernel.assign(kernel.numpy() * (random.random(kernel.shape) > 0.9))
    for form in ("packed", "dense"):
        export_saved_model(model, folder / form, form)
    export_tflite(model, folder / "model.tflite")
    images = random.normal(size=(4, 8, 8, 3)).astype("float32")
    np.save(folder / "images.npy", images)
    return folder, images, model(images, training=False).numpy()


def needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


both = pytest.mark.parametrize("form", ["packed", "dense"])


def run(*command, cwd, **environment):
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@both
def test_a_tfsm_layer(shipped, form):
    folder, images, expected = shipped
    layer = keras.layers.TFSMLayer(str(folder / form), call_endpoint="serving_default")
    np.testing.assert_allclose(layer(images)["outputs"], expected, atol=1e-5)
    inputs = keras.Input((8, 8, 3))
    within = keras.Model(inputs, layer(inputs)["outputs"])
    np.testing.assert_allclose(within.predict(images, verbose=0), expected, atol=1e-5)


MIRRORED = """
    import sys
    import numpy as np, tensorflow as tf
    form, two = sys.argv[1], [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], two)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    images = tf.constant(np.load("images.npy"))
    with strategy.scope():
        loaded = tf.saved_model.load(form)
    answer = loaded.signatures["serving_default"]
    answers = [answer(inputs=images)["outputs"]]
    replicas = strategy.run(tf.function(lambda: answer(inputs=images)["outputs"]))
    answers += strategy.experimental_local_results(replicas)
    np.save(f"{form}-mirrored.npy", np.stack(answers))
"""


@pytest.mark.slow
@both
def test_a_mirrored_strategy(shipped, form):
    folder, _, expected = shipped
    run(sys.executable, "-c", textwrap.dedent(MIRRORED), form, cwd=folder)
    answers = np.load(folder / f"{form}-mirrored.npy")
    assert len(answers) == 3
    for answer in answers:
        np.testing.assert_allclose(answer, expected, atol=1e-5)


@both
def test_a_session_as_tf_serving_keeps_one(shipped, form):
    folder, images, expected = shipped
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        meta = tf.compat.v1.saved_model.load(session, ["serve"], str(folder / form))
        signature = meta.signature_def["serving_default"]
        for _ in range(2):
            feed = {signature.inputs["inputs"].name: images}
            answer = session.run(signature.outputs["outputs"].name, feed)
            np.testing.assert_allclose(answer, expected, atol=1e-5)
        handles = [each for each in graph.get_operations() if each.type == "VarHandleOp"]
        filled = [tf.raw_ops.VarIsInitializedOp(resource=each.outputs[0]) for each in handles]
        assert handles and all(session.run(filled)), "unpacked at load, not for each answer"


@pytest.mark.slow
@both
def test_saved_model_cli(shipped, form):
    folder, _, expected = shipped
    inputs = ["--inputs", "inputs=images.npy", "--outdir", f"{form}-cli", "--overwrite"]
    signature = ["--tag_set", "serve", "--signature_def", "serving_default"]
    command = os.path.join(os.path.dirname(sys.executable), "saved_model_cli")
    run(command, "run", "--dir", form, *signature, *inputs, cwd=folder)
    answer = np.load(folder / f"{form}-cli" / "outputs.npy")
    np.testing.assert_allclose(answer, expected, atol=1e-5)


@pytest.mark.slow
@both
def test_tensorflows_own_converter_to_tflite(shipped, form, capfd):
    folder, images, expected = shipped
    content = tf.lite.TFLiteConverter.from_saved_model(str(folder / form)).convert()
    answer = tf.lite.Interpreter(model_content=content).get_signature_runner()
    np.testing.assert_allclose(answer(inputs=images)["outputs"], expected, atol=1e-5)


@needs("ai_edge_litert")
def test_litert(shipped):
    from ai_edge_litert.interpreter import Interpreter

    folder, images, expected = shipped
    answer = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    np.testing.assert_allclose(answer(inputs=images)["outputs"], expected, atol=1e-5)


@needs("tf2onnx")
@needs("onnxruntime")
@both
def test_onnx_runtime(shipped, form):
    import onnxruntime

    folder, images, expected = shipped
    onnx = f"{form}.onnx"
    paths = ["--saved-model", form, "--output", onnx, "--opset", "17"]
    run(sys.executable, "-m", "tf2onnx.convert", *paths, cwd=folder)
    session = onnxruntime.InferenceSession(folder / onnx, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: images})
    np.testing.assert_allclose(answer, expected, atol=1e-4)


@needs("openvino")
@pytest.mark.parametrize("form", ["dense", "model.tflite"])
def test_openvino(shipped, form):
    import openvino

    folder, images, expected = shipped
    compiled = openvino.compile_model(openvino.convert_model(folder / form), "CPU")
    (answer,) = compiled(images).values()
    np.testing.assert_allclose(answer, expected, atol=1e-3)


@needs("openvino")
def test_openvino_takes_the_packed_form_once_tensorflow_has_loaded_it(shipped):
    import openvino

    folder, images, expected = shipped
    with pytest.raises(Exception, match="Cannot find requested variable"):
        openvino.convert_model(folder / "packed")  # it runs no initializers
    loaded = tf.saved_model.load(str(folder / "packed"))
    converted = openvino.convert_model(loaded.signatures["serving_default"])
    (answer,) = openvino.compile_model(converted, "CPU")(images).values()
    np.testing.assert_allclose(answer, expected, atol=1e-3)
