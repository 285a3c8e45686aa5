import types

import keras
import numpy as np
import pytest

from tf_tickets.lab import experiment as experiments
from tf_tickets.lab import models, recipes
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.pictures import read_strip
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot


@pytest.fixture(scope="module")
def experiment():
    recipe = recipes.resolve("linear-ae", "digits", image_size=16, batch_size=16, epochs=2)
    return Experiment(recipe, limit=40)


def test_weights_follow_the_seed_alone(experiment):
    first, again, other = (take_snapshot(experiment.build(seed)) for seed in (1, 1, 2))
    assert first.keys() == other.keys()
    kernel = "encoder/encoder_dense1/kernel"
    np.testing.assert_array_equal(first[kernel], again[kernel])
    assert not np.any(first[kernel] == other[kernel])


def test_all_of_a_spectral_gan_follows_the_seed():
    recipe = recipes.resolve("sngan", "digits", network={"width": 2})
    first, again = (
        take_snapshot(experiments.build_model(recipe, (32, 32, 1), seed=1)) for _ in range(2)
    )
    for path, value in first.items():
        np.testing.assert_array_equal(value, again[path], err_msg=path)


def test_a_sampling_models_noise_follows_the_seed():
    recipe = recipes.resolve("vae", "digits", network={"width": 4})
    states = [
        take_snapshot(experiments.build_model(recipe, (32, 32, 1), seed))["random_state/0"]
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(states[0], states[1]) and not np.array_equal(states[0], states[2])


def test_a_training_takes_its_epochs_whole_batches(experiment):
    assert experiment.num_steps == 2 * (40 // 16)
    model = experiment.build(0)
    experiment.train(model, 0, 0, experiment.num_steps)
    assert int(model.optimizer.iterations) == experiment.num_steps


@pytest.mark.slow
def test_the_learning_rate_can_fall_over_a_whole_training_and_its_parts():
    recipe = recipes.resolve(
        *("linear-ae", "digits"),
        **{"image_size": 16, "batch_size": 16, "epochs": 4, "learning_rate_decay": "linear"},
    )
    made = Experiment(recipe, limit=40)
    whole, parts = made.build(0), made.build(0)
    made.train(whole, 0, 0, 8)
    for start, stop in ((0, 3), (3, 8)):
        made.train(parts, 0, start, stop)
        rate = float(parts.optimizer.learning_rate)
        assert rate == pytest.approx(recipe.learning_rate * (9 - stop) / 8)
    found = take_snapshot(parts)
    for name, value in take_snapshot(whole).items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def test_pictures_come_back_from_their_file(experiment, tmp_path):
    model = experiment.build(0)
    experiment.illustrate(model, tmp_path / "samples.png")
    found = read_strip(tmp_path / "samples.png")
    expected = keras.ops.convert_to_numpy(model.reconstruct(experiment.real_pictures()))
    assert found.shape == (10, 16, 16, 1)
    np.testing.assert_allclose(found, expected, atol=1 / 255 + 1e-6)


def test_a_model_that_samples_shows_the_same_samples_each_time(tmp_path):
    recipe = recipes.resolve("vae", "digits", network={"width": 4})
    experiment = Experiment(recipe, limit=20)
    model = experiment.build(0)
    for name in ("one.png", "two.png"):
        experiment.illustrate(model, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


SMALL = {"width": 4, "latent_dim": 4}


def small_gan(model="sngan", limit=40, network=SMALL, **options):
    """Return an experiment whose training takes a second."""
    recipe = recipes.resolve(
        model, "digits", image_size=8, batch_size=4, epochs=2, network=network, precision="float32"
    )
    return Experiment(recipe, limit=limit, **options)


@pytest.mark.slow
def test_every_update_of_a_discriminator_sees_a_batch_of_its_own():
    assert small_gan(limit=43).num_steps == 2 * (43 // (4 * 5)), "SNGAN updates it five times"
    assert small_gan("dcgan", limit=43).num_steps == 2 * (43 // 4)
    gan = small_gan("dcgan", limit=19, network={**SMALL, "critic_steps": 2})
    assert gan.num_steps == 2 * (19 // (4 * 2))
    model = gan.build(0)
    gan.train(model, 0, 0, gan.num_steps)
    updates = [int(optimizer.iterations) for optimizer in model.optimizers]
    assert updates == [gan.num_steps, 2 * gan.num_steps]


def test_weights_that_were_set_are_settled_before_a_training():
    gan = small_gan()
    model = gan.build(0)
    layers = [x for x in model.discriminator.layers if isinstance(x, models.SpectralConv2D)]
    assert layers
    random = np.random.default_rng(0)
    for layer in layers:
        layer.kernel.assign(random.normal(size=layer.kernel.shape))
    gan.prepare(model, None)
    for layer in layers:
        matrix = layer.kernel.numpy().reshape(-1, layer.filters)
        sigma = np.linalg.norm(matrix.astype(np.float64), ord=2)
        assert float(layer.sigma()) == pytest.approx(sigma, rel=0.01)


@pytest.mark.parametrize("distills", [False, True])
def test_the_dense_discriminator_teaches_from_round_1_on(distills, monkeypatch):
    gan = small_gan(distill_discriminator=distills)
    model = gan.build(0)
    taught_by = []
    monkeypatch.setattr(model, "distill", taught_by.append)
    gan.prepare(model, None)
    weights = [take_snapshot(gan.build(seed)) for seed in (1, 2)]
    images = gan.real_pictures()
    verdicts = []
    for dense in weights:
        gan.prepare(model, dense)
        if distills:
            verdicts.append(keras.ops.convert_to_numpy(taught_by[-1](images)))
    if not distills:
        assert taught_by == []
        return
    assert taught_by[0] is None and taught_by[1] is taught_by[2], "one teacher, so no new trace"
    for dense, verdict in zip(weights, verdicts, strict=True):
        restore_snapshot(model, dense)
        expected = keras.ops.convert_to_numpy(model.discriminator(images))
        np.testing.assert_allclose(verdict, expected, rtol=1e-5, atol=1e-6)
    assert np.abs(verdicts[0] - verdicts[1]).max() > 1e-3
    assert not {id(v) for v in taught_by[1].variables} & {id(v) for v in model.variables}


def test_a_gan_shows_the_same_samples_each_time(tmp_path):
    gan = small_gan("dcgan")
    model = gan.build(0)
    for name in ("one.png", "two.png"):
        gan.illustrate(model, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    assert read_strip(tmp_path / "one.png").shape == (10, 8, 8, 1)


# --- Splits and what evaluates on them


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))


def small_vae(limit=40):
    recipe = recipes.resolve("vae", "digits", network=SMALL, batch_size=4, epochs=1)
    return Experiment(recipe, limit=limit)


def test_it_evaluates_on_validation_images_and_tests_on_others():
    vae = small_vae()
    model = vae.build(0)
    (metrics, protocol), (test_metrics, test_protocol) = vae.evaluate(model), vae.test(model)
    assert metrics.keys() == test_metrics.keys() and metrics != test_metrics
    assert protocol["real"] == vae.validation_images.digest == "digits-validation-8-40"
    assert test_protocol["real"] == vae.test_images.digest == "digits-test-8-40"
    assert protocol["floor"] == pytest.approx(test_protocol["floor"], rel=1e-3)
    for images, (found, _) in (
        (vae.validation_images, (metrics, protocol)),
        (vae.test_images, (test_metrics, test_protocol)),
    ):
        (real,) = (batch for batch, _ in images.examples.batch(40))
        error = np.mean((keras.ops.convert_to_numpy(model.reconstruct(real)) - real.numpy()) ** 2)
        assert found["reconstruction_loss"] == pytest.approx(error, rel=1e-4)


def test_a_training_is_followed_on_validation_images():
    vae = small_vae()
    model = vae.build(0)
    watched = vae.watch(model)
    assert list(watched) == ["loss", "reconstruction_loss"]
    metrics, _ = vae.evaluate(model)
    assert watched == {name: metrics[name] for name in watched}
    task = vae.task()
    assert (task.watch, task.test) == (vae.watch, vae.test)


def test_a_limit_does_not_limit_the_classifier(monkeypatch):
    seen = []

    def load_classifier(images, progress=None):
        seen.append((images.digest, progress))
        return types.SimpleNamespace(kind="classifier")

    monkeypatch.setattr(experiments.metrics, "load_classifier", load_classifier)
    vae = small_vae(limit=8)
    assert {vae.train_images.num_images, vae.test_images.num_images} == {8}
    vae.load_features()
    assert seen == [("digits-classifier-8-450", None)]


def test_more_samples_are_drawn_if_they_are_asked_for():
    vae = small_vae()
    model = vae.build(0)
    for evaluate in vae.evaluators(num_samples=50):
        _, protocol = evaluate(model)
        assert protocol["num_generated_images"] == 50 and protocol["num_real_images"] == 40
