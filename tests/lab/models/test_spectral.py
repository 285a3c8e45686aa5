"""Spectral normalisation against NumPy's singular values, and why it is not Keras's own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.lab import models
from tf_tickets.lab.models import SpectralConv2D
from tf_tickets.names import names_of

IMAGES = np.random.default_rng(0).uniform(-1, 1, (20, 16, 16, 1)).astype("float32")


def matrix(kernel):
    return np.asarray(kernel, "float64").reshape(-1, kernel.shape[-1])


def exact_sigma(kernel):
    return np.linalg.svd(matrix(kernel), compute_uv=False)[0]


def small_gan(name="sngan", **options):
    model = models.build(name, (16, 16, 1), **{"width": 4, "critic_steps": 1, **options})
    model.compile()
    return model


def spectral_layers(model):
    return [each for each in model.discriminator.layers if isinstance(each, SpectralConv2D)]


def small_layer(filters=5, **options):
    layer = SpectralConv2D(filters, 3, padding="same", name="conv", **options)
    layer.build((None, 6, 6, 2))
    return layer


@pytest.mark.parametrize("name", ["sngan", "sngan-resnet"])
def test_sigma_after_settling(name):
    model = small_gan(name, width=8)
    for layer in spectral_layers(model):
        layer.kernel.assign(np.random.default_rng(2).normal(size=layer.kernel.shape))
    model.settle()
    for layer in spectral_layers(model):
        assert float(layer.sigma()) == pytest.approx(exact_sigma(layer.kernel), rel=1e-5)
        assert np.linalg.norm(layer.u) == pytest.approx(1, abs=1e-6)


def test_sigma_is_never_too_large_and_power_steps_raise_it():
    layer = small_layer()
    sigmas = [float(layer.sigma())]
    for _ in range(30):
        layer.power_step()
        sigmas.append(float(layer.sigma()))
    assert np.diff(sigmas).min() > -1e-6 and sigmas[0] < 0.99 * sigmas[-1]
    assert sigmas[-1] == pytest.approx(exact_sigma(layer.kernel), rel=1e-3)
    assert max(sigmas) <= exact_sigma(layer.kernel) * (1 + 1e-6)


def test_settling_finds_weights_that_u_did_not_see():
    """A mask may leave only filters to which `u` is orthogonal: power steps would stay at 0."""
    layer = small_layer()
    layer.u.assign(np.eye(5)[0])
    layer.kernel.assign(layer.kernel.numpy() * (np.arange(5) == 3))
    layer.settle()
    assert float(layer.sigma()) == pytest.approx(exact_sigma(layer.kernel), rel=1e-5)


def test_it_convolves_by_the_divided_kernel_and_leaves_the_variable_alone():
    layer = small_layer()
    layer.settle()
    layer.bias.assign(np.arange(5))
    before, u = layer.kernel.numpy(), layer.u.numpy()
    images = IMAGES[:2, :6, :6].repeat(2, axis=-1)
    expected = tf.nn.conv2d(images, before / exact_sigma(before), 1, "SAME") + np.arange(5.0)
    for training in (True, False, True):
        np.testing.assert_allclose(layer(images, training=training), expected, atol=1e-4)
    assert np.array_equal(layer.kernel, before) and np.array_equal(layer.u, u)


def test_gradient_in_closed_form():
    layer = small_layer(use_bias=False)
    layer.power_step()  # sigma is that which u sees, exact or not
    images = np.random.default_rng(3).normal(size=(4, 6, 6, 2)).astype("float32")
    weights = np.random.default_rng(4).normal(size=(4, 6, 6, 5))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layer(images) * tf.cast(weights, "float32"))
    (found,) = tape.gradient(loss, layer.trainable_variables)

    kernel, u = tf.constant(layer.kernel.numpy(), "float64"), layer.u.numpy().astype("float64")
    sigma = np.linalg.norm(matrix(kernel) @ u)
    with tf.GradientTape() as tape:  # of the convolution alone: what reaches the divided kernel
        tape.watch(kernel)
        answers = tf.nn.conv2d(tf.cast(images, "float64"), kernel, 1, "SAME")
        raw_loss = tf.reduce_sum(answers * weights)
    reached = matrix(tape.gradient(raw_loss, kernel))
    v = matrix(kernel) @ u / sigma
    expected = (reached - np.sum(reached * matrix(kernel)) / sigma * np.outer(v, u)) / sigma
    np.testing.assert_allclose(matrix(found), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "policy",
    [
        "float32",
        pytest.param("mixed_bfloat16", marks=pytest.mark.slow),
        pytest.param("mixed_float16", marks=pytest.mark.slow),
    ],
)
def test_normalised_kernels_have_sigma_one_while_masked(policy):
    keras.mixed_precision.set_global_policy(policy)
    model = small_gan(width=8)
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model, "discriminator")), 0.8)
    with tt.hold(model, masks):
        model.settle()
        before = [layer.kernel.numpy() for layer in spectral_layers(model)]
        model.fit(IMAGES, batch_size=5, epochs=2, verbose=0)
    assert len(before) == 8
    for layer, kernel in zip(spectral_layers(model), before, strict=True):
        assert layer.u.dtype == "float32" and (layer.kernel.numpy() != kernel).any()
        divided = layer.kernel.numpy() / float(layer.sigma())
        assert exact_sigma(divided) == pytest.approx(1, abs=0.02)
        assert not divided[~masks[names_of(model)[id(layer.kernel)]]].any()


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_sigma_accurate(policy):
    keras.mixed_precision.set_global_policy(policy)
    layer = small_layer(filters=16, use_bias=False)
    layer.kernel.assign(100 * layer.kernel)  # the sum of squares leaves float16's range
    layer.settle()
    assert layer.u.dtype == layer.sigma().dtype == "float32"
    assert float(layer.sigma()) == pytest.approx(exact_sigma(layer.kernel), rel=1e-3)
    patch = np.zeros((1, 6, 6, 2), "float32")
    patch[0, 2, 2, 0] = 1  # its answers are the kernel, mirrored
    answers = layer(patch)
    assert answers.dtype == policy.removeprefix("mixed_")
    expected = layer.kernel.numpy()[::-1, ::-1, 0] / exact_sigma(layer.kernel)
    np.testing.assert_allclose(tf.cast(answers, "float32")[0, 1:4, 1:4], expected, atol=4e-3)


def test_u_is_in_every_snapshot():
    model = small_gan()
    snapshot = tt.take_snapshot(model)
    names = {id(variable): name for name, variable in tt.variable_names(model).items()}
    vectors = {names[id(layer.u)]: layer.u for layer in spectral_layers(model)}
    assert vectors and all(np.array_equal(snapshot[name], u) for name, u in vectors.items())
    model.settle()
    assert any((snapshot[name] != u.numpy()).any() for name, u in vectors.items())
    tt.restore_snapshot(model, snapshot)
    assert all(np.array_equal(snapshot[name], u) for name, u in vectors.items())
    assert not vectors.keys() & tt.magnitude_scores(tt.prunable(model)).keys()


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_one_power_step_for_each_update_of_the_discriminator(critic_steps):
    keras.utils.set_random_seed(3)
    conv = SpectralConv2D(4, 3, name="discriminator_conv")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(conv(inputs))
    discriminator = keras.Model(inputs, keras.layers.Dense(1, name="discriminator_dense")(x))
    codes = keras.Input((2,))
    images = keras.layers.Dense(64, name="generator_dense")(codes)
    generator = keras.Model(codes, keras.layers.Reshape((8, 8, 1))(images))
    model = models.GenerativeAdversarialNetwork(generator, discriminator, "hinge", critic_steps)
    model.compile(keras.optimizers.SGD(0.0), keras.optimizers.SGD(0.0))
    expected = conv.u.numpy().astype("float64")
    for _ in range(critic_steps):
        expected = matrix(conv.kernel).T @ (matrix(conv.kernel) @ expected)
    model.fit(IMAGES[:6, :8, :8], batch_size=6, verbose=0)
    np.testing.assert_allclose(conv.u, expected / np.linalg.norm(expected), atol=1e-5)
    u = conv.u.numpy()
    model.evaluate(IMAGES[:6, :8, :8], verbose=0)
    model.sample(2, seed=0)
    assert np.array_equal(conv.u, u)


def test_config_round_trip(tmp_path):
    inputs = keras.Input((6, 6, 2))
    layer = SpectralConv2D(
        5, 3, 2, padding="same", use_bias=False, kernel_regularizer="l2", name="conv"
    )
    model = keras.Model(inputs, layer(inputs))
    again = SpectralConv2D.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    layer.power_step()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    images = IMAGES[:2, :6, :6].repeat(2, axis=-1)
    assert np.array_equal(loaded(images), model(images))
    assert np.array_equal(loaded.get_layer("conv").u, layer.u)


def test_the_layer_of_keras_overwrites_the_kernel():
    """Why it cannot be used: magnitudes and rewound weights would be of another scale."""
    convolution = keras.layers.Conv2D(5, 3, name="conv")
    layer = keras.layers.SpectralNormalization(convolution, power_iterations=50)
    layer.build((None, 16, 16, 1))
    kernel = convolution.kernel
    rewind_point = 7 * kernel.numpy()
    kernel.assign(rewind_point)
    layer(IMAGES, training=True)
    assert exact_sigma(rewind_point) > 2
    np.testing.assert_allclose(kernel, rewind_point / exact_sigma(rewind_point), atol=1e-3)

    ours = SpectralConv2D(5, 3, name="ours")
    ours.build((None, 16, 16, 1))
    ours.kernel.assign(rewind_point)
    ours(IMAGES, training=True)
    assert np.array_equal(ours.kernel, rewind_point)
