"""The variational autoencoder against numbers worked out without it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab import models
from tf_tickets.lab.models.families import vae


@pytest.fixture
def images():
    return np.random.default_rng(0).uniform(-1, 1, (12, 16, 16, 1)).astype("float32")


def small_vae(**options):
    keras.utils.set_random_seed(1)
    model = models.build("vae", (16, 16, 1), width=2, latent_dim=4, **options)
    model.compile(keras.optimizers.Adam(1e-3))
    return model


def test_kl_divergence_in_closed_form():
    def gaussian_kl(mean, variance):  # of one dimension, from N(0, 1)
        return 0.5 * (mean**2 + variance - np.log(variance) - 1)

    mean = np.array([[0.0, 0.0], [1.0, -2.0]], "float32")
    variance = np.array([[1.0, 1.0], [0.5, 4.0]], "float32")
    expected = [0.0, gaussian_kl(1.0, 0.5) + gaussian_kl(-2.0, 4.0)]
    np.testing.assert_allclose(vae.kl_divergence(mean, np.log(variance)), expected, rtol=1e-6)


def test_kl_divergence_by_integration():
    grid = np.linspace(-12, 12, 200_001)
    mean, deviation = 0.7, 0.4
    density = np.exp(-(((grid - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))
    log_ratio = -(((grid - mean) / deviation) ** 2) / 2 - np.log(deviation) + grid**2 / 2
    integral = np.sum(density * log_ratio) * (grid[1] - grid[0])
    found = vae.kl_divergence(np.float32([[mean]]), np.float32([[2 * np.log(deviation)]]))
    assert float(found[0]) == pytest.approx(integral, rel=1e-5)


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
def test_losses_against_a_slow_reference(images, beta):
    model = small_vae(beta=beta)
    codes = np.asarray(model.encoder(images, training=False))
    noise = np.asarray(keras.random.normal((12, 4), seed=0))
    reconstruction = kl = 0.0
    for image, code, eps in zip(images, codes, noise, strict=True):
        mean, log_variance = code[:4], code[4:]
        z = mean + np.sqrt(np.exp(log_variance)) * eps
        output = np.asarray(model.decoder(z[None], training=False))[0]
        reconstruction += sum((output - image).ravel().astype("float64") ** 2) / 12
        kl += sum(0.5 * (mean**2 + np.exp(log_variance) - log_variance - 1)) / 12
    found = model.evaluate(images, batch_size=12, verbose=0, return_dict=True)
    assert found["reconstruction"] == pytest.approx(reconstruction, rel=1e-5)
    assert found["kl"] == pytest.approx(kl, rel=1e-4)
    assert found["loss"] == pytest.approx(reconstruction + beta * kl, rel=1e-5)


def test_default_betas():
    assert models.build("vae", (16, 16, 1), width=1).beta == 1.0
    assert models.build("beta-vae", (16, 16, 1), width=1).beta == 4.0
    assert models.build("beta-vae", (16, 16, 1), width=1, beta=2.0).beta == 2.0


def test_reconstruction_goes_through_the_mean_and_repeats(images):
    model = small_vae()
    mean, log_variance = model.encode(images)
    assert mean.shape == log_variance.shape == (12, 4)
    expected = model.decoder(mean, training=False)
    assert np.array_equal(model.reconstruct(images), expected)
    assert np.array_equal(model(images), expected)
    np.testing.assert_allclose(model.predict(images, verbose=0), expected, atol=1e-6)


def test_training_draws_new_noise_and_evaluation_leaves_it_alone(images):
    model = small_vae()
    state = model.seed_generator.state.numpy()
    losses = [float(model.image_losses(images, training=False)["loss"]) for _ in range(2)]
    assert losses[0] == losses[1]
    model.evaluate(images, verbose=0)
    model.sample(3, seed=0)
    assert np.array_equal(model.seed_generator.state, state)
    drawn = [float(model.image_losses(images, training=True)["reconstruction"]) for _ in range(2)]
    assert drawn[0] != drawn[1]
    assert (model.seed_generator.state.numpy() != state).any()


def test_noise_can_be_put_back_from_the_model_s_variables(images):
    model = small_vae()
    assert any(variable is model.seed_generator.state for variable in model.variables)
    model.compile(keras.optimizers.SGD(1e-5))
    snapshot = [variable.numpy() for variable in model.variables]
    histories = []
    for _ in range(2):
        for variable, value in zip(model.variables, snapshot, strict=True):
            variable.assign(value)
        histories.append(model.fit(images, batch_size=4, verbose=0, shuffle=False).history)
    assert histories[0] == histories[1]


def test_samples_follow_their_seed_alone():
    model = small_vae()
    first = model.sample(7, seed=3)
    assert first.shape == (7, 16, 16, 1) and first.dtype == tf.float32
    assert np.abs(first).max() <= 1
    assert np.array_equal(model.sample(7, seed=3), model.sample(7, seed=3))
    np.testing.assert_allclose(model.sample(7, 3), model.sample(7, 3, batch_size=2), atol=1e-6)
    assert not np.array_equal(model.sample(7, seed=3), model.sample(7, seed=4))
    with pytest.raises(SettingError, match="num_images"):
        model.sample(0, seed=1)


def test_samples_decode_a_standard_normal():
    model = small_vae()
    model.decoder = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    codes = model.sample(4000, seed=0, batch_size=1000).numpy()
    assert codes.shape == (4000, 4)
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=0.06)  # four standard errors
    np.testing.assert_allclose(np.cov(codes.T), np.eye(4), atol=0.1)


def test_config_round_trip():
    model = small_vae(beta=2.5)
    again = vae.VariationalAutoencoder.from_config(model.get_config())
    assert again.beta == 2.5 and again.latent_dim == 4
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
