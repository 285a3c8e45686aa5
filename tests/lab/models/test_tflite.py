"""Every network that makes images converts to TFLite, and answers alike there."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.lab.models import MODELS, build

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")


@pytest.mark.parametrize("name", slow_but(MODELS, "dcgan"))
def test_makers_of_images_convert(name, tmp_path):
    keras.utils.set_random_seed(0)
    card = MODELS[name]
    width = {"width": 8} if "width" in card.defaults else {}
    maker = build(name, (16, 16, 3), **width).components[card.family.maker]
    path = tt.export_tflite(maker, tmp_path / "maker.tflite")
    answer = tf.lite.Interpreter(str(path)).get_signature_runner()
    for size in (1, 3):
        codes = np.random.default_rng(size).normal(size=(size, *maker.input.shape[1:]))
        codes = codes.astype("float32")
        expected = maker(codes, training=False)
        np.testing.assert_allclose(answer(inputs=codes)["outputs"], expected, atol=1e-5)
