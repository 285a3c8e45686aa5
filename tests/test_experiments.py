import keras
import numpy as np
import pytest

from tf_tickets import experiments, recipes
from tf_tickets.errors import SettingError
from tf_tickets.experiments import Experiment
from tf_tickets.pruning.snapshot import take_snapshot


@pytest.fixture(scope="module")
def experiment():
    recipe = recipes.resolve("linear-ae", "digits", image_size=16, batch_size=16, epochs=2)
    return Experiment(recipe, limit=40)


def test_weights_follow_the_seed_alone(experiment):
    first, again, other = (take_snapshot(experiment.build(seed)) for seed in (1, 1, 2))
    assert first.keys() == other.keys()
    kernel = "encoder_dense1/kernel"
    np.testing.assert_array_equal(first[kernel], again[kernel])
    assert not np.any(first[kernel] == other[kernel])


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


def test_pictures_come_back_from_their_file(experiment, tmp_path):
    model = experiment.build(0)
    experiment.illustrate(model, tmp_path / "samples.png")
    found = experiments.read_pictures(tmp_path / "samples.png")
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


@pytest.mark.parametrize(
    ("name", "inception", "metric"),
    [
        ("frechet", None, "fcd"),
        ("frechet", "a folder", "fid"),
        ("loss", None, "loss"),
        ("inception_score", "a folder", "inception_score"),
    ],
)
def test_the_decisive_metric(name, inception, metric):
    assert experiments.decisive_metric(name, inception) == metric


@pytest.mark.parametrize(
    ("name", "inception"), [("fid", None), ("fcd", "a folder"), ("beauty", None)]
)
def test_a_metric_that_will_not_be_there_is_refused(name, inception):
    with pytest.raises(SettingError, match=r"--metric.*choose from loss"):
        experiments.decisive_metric(name, inception)
