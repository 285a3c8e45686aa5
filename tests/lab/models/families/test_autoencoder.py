"""The autoencoder, and what every image model has from `ImageModel`."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.quick import slow_but
from tf_tickets.errors import SettingError
from tf_tickets.lab import models
from tf_tickets.lab.data import dataset as data
from tf_tickets.lab.models.families import autoencoder

SMALL = {name: {"width": 2} for name in ("conv-ae", "vae", "beta-vae", "resnet-vae")}
SMALL["linear-ae"] = {"widths": (32, 8)}


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(-1, 1, (24, 16, 16, 1)).astype("float32")


def small_model(name, optimizer=None, **compile_options):
    model = models.build(name, (16, 16, 1), **SMALL[name])
    model.compile(optimizer or keras.optimizers.Adam(1e-3), **compile_options)
    return model


def test_loss_is_the_mean_squared_error(images):
    model = small_model("conv-ae")
    outputs = np.asarray(model.reconstruct(images), "float64")
    expected = np.mean((outputs - images) ** 2)
    # Three batches of 10, 10 and 4 count by their size.
    loss = model.evaluate(images, batch_size=10, verbose=0, return_dict=True)
    assert loss == {"loss": pytest.approx(expected, rel=1e-5)}


def test_components_are_the_two_parts():
    model = small_model("linear-ae")
    assert model.components == {"encoder": model.encoder, "decoder": model.decoder}


@pytest.mark.parametrize(
    "name", slow_but(["linear-ae", "conv-ae", "vae", "resnet-vae"], "linear-ae", "vae")
)
def test_training_learns_digits(name):
    digits = data.load("digits", "train", image_size=16, limit=128)
    options = {} if name == "linear-ae" else {"width": 4}
    model = models.build(name, digits.image_shape, **options)
    model.compile(keras.optimizers.Adam(3e-3))
    before = model.evaluate(digits.examples.batch(128), verbose=0, return_dict=True)
    model.fit(data.training_batches(digits, 32, 0, 0, 40), verbose=0, shuffle=False)
    after = model.evaluate(digits.examples.batch(128), verbose=0, return_dict=True)
    assert after["loss"] < 0.9 * before["loss"]


@pytest.mark.parametrize("name", slow_but(["conv-ae", "vae"], "vae"))
def test_a_saved_model_answers_and_trains_on_as_its_source(name, images, tmp_path):
    model = small_model(name)
    model.fit(images, batch_size=8, verbose=0, shuffle=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded) is type(model) and loaded.name == model.name
    assert np.array_equal(loaded.reconstruct(images), model.reconstruct(images))
    histories = [
        one.fit(images, batch_size=8, verbose=0, shuffle=False).history for one in (model, loaded)
    ]
    assert histories[0] == histories[1]
    assert loaded.jit_compile is False


def test_saved_weights_and_noise_come_back(images, tmp_path):
    model, other = (models.build("vae", (16, 16, 1), width=2) for _ in range(2))
    model.image_losses(images, training=True)  # moves the noise and the moving statistics on
    model.save_weights(tmp_path / "vae.weights.h5")
    assert not np.array_equal(model.reconstruct(images), other.reconstruct(images))
    other.load_weights(tmp_path / "vae.weights.h5")
    assert np.array_equal(model.reconstruct(images), other.reconstruct(images))
    assert np.array_equal(model.seed_generator.state, other.seed_generator.state)


@pytest.mark.parametrize("name", SMALL)
def test_an_uncompiled_model_can_be_saved(name, images, tmp_path):
    model = models.build(name, (16, 16, 1), **SMALL[name])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model) and not loaded.compiled
    assert np.array_equal(loaded.reconstruct(images), model.reconstruct(images))


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("conv-ae", "mixed_float16"),
        pytest.param("vae", "mixed_float16", marks=pytest.mark.slow),
        pytest.param("vae", "mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("resnet-vae", "mixed_float16", marks=pytest.mark.slow),
        pytest.param("resnet-vae", "mixed_bfloat16", marks=pytest.mark.slow),
    ],
)
def test_mixed_precision(name, policy, images, tmp_path):
    keras.mixed_precision.set_global_policy(policy)
    model = small_model(name)
    assert all(variable.dtype == "float32" for variable in model.trainable_variables)
    assert model.encoder.get_layer("encoder_conv1").compute_dtype == policy.removeprefix("mixed_")
    assert model.reconstruct(images).dtype == tf.float32
    losses = model.image_losses(tf.constant(images), training=True)
    assert {value.dtype for value in losses.values()} == {tf.float32}
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    history = model.fit(images, batch_size=8, epochs=6, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    keras.mixed_precision.set_global_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded.reconstruct(images), model.reconstruct(images))
    assert type(loaded.optimizer) is type(model.optimizer)


class KeepOnly(keras.constraints.Constraint):
    def __init__(self, mask):
        self.mask = mask

    def __call__(self, value):
        return value * self.mask


@pytest.mark.slow
@pytest.mark.parametrize(("name", "policy"), [("conv-ae", "float32"), ("vae", "mixed_float16")])
def test_a_constraint_holds_through_the_training_step(name, policy, images):
    """Masks are held this way, so the step must update through the optimizer's `apply`."""
    keras.mixed_precision.set_global_policy(policy)
    model = models.build(name, (16, 16, 1), width=2)
    kernel = model.encoder.get_layer("encoder_conv2").kernel
    mask = np.random.default_rng(0).integers(0, 2, kernel.shape).astype("float32")
    kernel.assign(kernel * mask)
    kernel.constraint = KeepOnly(mask)
    before = kernel.numpy()
    model.compile(keras.optimizers.AdamW(1e-2, weight_decay=0.1))
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    assert (kernel.numpy()[mask == 0] == 0).all()
    assert (kernel.numpy() != before).any()


@pytest.mark.parametrize(
    "options", [{"steps_per_execution": 3}, {"jit_compile": True}, {"run_eagerly": True}], ids=str
)
def test_other_ways_to_run_train_alike(options, images):
    # The linear model, as XLA draws other noise for a VAE.
    histories = []
    for compile_options in ({}, options):
        keras.utils.set_random_seed(5)
        model = small_model("linear-ae", keras.optimizers.SGD(0.1), **compile_options)
        histories.append(model.fit(images, batch_size=8, verbose=0, shuffle=False).history["loss"])
    np.testing.assert_allclose(histories[1], histories[0], rtol=1e-4)


@pytest.mark.slow
def test_a_vae_trains_under_xla(images):
    model = small_model("vae", jit_compile=True)
    history = model.fit(images, batch_size=8, epochs=3, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]


def test_no_xla_by_default_on_a_cpu_and_keras_choice_on_a_gpu(monkeypatch):
    assert small_model("conv-ae").jit_compile is False
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: [f"a {kind}"])
    given = []
    monkeypatch.setattr(keras.Model, "compile", lambda self, **options: given.append(options))
    small_model("conv-ae")
    small_model("conv-ae", jit_compile=True)
    assert [options["jit_compile"] for options in given] == ["auto", True]


def test_callbacks_see_the_losses(images, tmp_path):
    model = small_model("vae")
    keras_callbacks = [
        keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e9),
        keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), save_best_only=True),
    ]
    history = model.fit(
        images, validation_data=(images,), epochs=5, verbose=0, callbacks=keras_callbacks
    ).history
    assert len(history["val_reconstruction"]) == 2  # stopped at once, as nothing is enough
    assert (tmp_path / "best.keras").exists()


def test_labels_are_ignored_and_weights_refused(images):
    model = small_model("conv-ae")
    alone = model.evaluate(images, verbose=0)
    assert model.evaluate(images, np.zeros(24), verbose=0) == alone
    with pytest.raises(SettingError, match="weights"):
        model.fit(images, np.zeros(24), sample_weight=np.ones(24), verbose=0)


def test_regularisers_of_own_networks_count(images):
    def norm_after(strength):
        keras.utils.set_random_seed(2)
        model = models.build("linear-ae", (16, 16, 1), widths=(4,))
        kernel = model.encoder.get_layer("encoder_dense1").kernel
        kernel.regularizer = keras.regularizers.L2(strength)
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(images, epochs=5, verbose=0)
        return float(tf.norm(kernel))

    assert norm_after(0.1) < 0.95 * norm_after(0.0)


def test_base_class_asks_for_its_losses():
    model = models.build("linear-ae", (8, 8, 1), widths=(2,))
    with pytest.raises(NotImplementedError):
        autoencoder.EncoderDecoder(model.encoder, model.decoder).image_losses(None, training=False)
