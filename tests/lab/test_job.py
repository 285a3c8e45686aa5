"""A run as a function of a config: what it writes, and what its identity holds."""

import dataclasses
import json

import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.lab import Data, Judging, RunConfig, Training
from tf_tickets.lab.job import Job, identity
from tf_tickets.lab.methods import IterativeMagnitude, MagnitudeAtInit, Transfer

SMALL = RunConfig(
    "vae",
    IterativeMagnitude(rounds=1, rewind_step=1),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16, width=2),
    seeds=(0,),
)


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def made(output, cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_TICKETS_CACHE", str(cache))
        return tt.lab.run(SMALL, output)


def test_a_run_leaves_its_records_figures_ticket_and_export(made):
    for name in ("results.jsonl", "real.png", "config.json", "figures/fcd.png"):
        assert (made.path / name).is_file(), name
    assert [record["arm"] for record in made.records] == ["dense", "winning", "random"]
    ticket = tt.Ticket.load(made.path / "winning_ticket" / "ticket.safetensors")
    assert ticket.masks.sparsity == pytest.approx(0.2, abs=1e-2)
    loaded = tf.saved_model.load(made.path / "export" / "saved_model")
    assert "serving_default" in loaded.signatures


def test_a_run_is_seen_from_its_folder_alone(made):
    seen = tt.lab.Run.open(made.path)
    assert seen.config == made.config and seen.metric == "fcd"
    assert seen.records == made.records and seen.chosen == made.chosen
    figure = made.path / "figures" / "fcd.png"
    figure.unlink()
    assert figure in tt.lab.draw_figures(seen) and figure.exists()


def test_run_again_it_makes_nothing_again(made, output):
    seals = {file: file.stat().st_mtime_ns for file in made.path.rglob("done.json")}
    again = tt.lab.run(SMALL, output)
    assert again.path == made.path
    assert {file: file.stat().st_mtime_ns for file in made.path.rglob("done.json")} == seals


def test_the_policy_of_keras_is_as_before(made):
    import keras

    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"seeds": (0, 1)}, True),
        ({"arms": ("winning",)}, True),
        ({"judging": Judging(tolerance=0.5, metric="loss")}, True),
        ({"method": IterativeMagnitude(rounds=3, rewind_step=1)}, True),
        ({"method": IterativeMagnitude(rounds=1, rewind_step=1, rate=0.3)}, False),
        ({"method": IterativeMagnitude(rounds=1, rewind_step=0)}, False),
        ({"method": MagnitudeAtInit(rounds=1)}, False),
        ({"training": Training(epochs=3, batch_size=16, width=2)}, False),
        ({"network": {"latent_dim": 3}}, False),
        ({"data": Data("digits", image_size=8, limit=48)}, False),
    ],
)
def test_a_folder_is_shared_by_what_gives_the_same_bits(changes, same, made, output):
    folder = Job(dataclasses.replace(SMALL, **changes), output).folder
    assert (folder.path == made.path) == same


def test_a_default_that_does_not_fit_adapts_and_what_is_given_is_refused(output):
    short = dataclasses.replace(SMALL, method=IterativeMagnitude(rounds=1))
    job = Job(short, output)
    assert job.config.method.rewind_step == 3
    assert job.notes == ["rewind step 3: a training has 4 steps"]
    with pytest.raises(SettingError, match="`rewind_step` must be at most 3, as a training has 4"):
        Job(dataclasses.replace(SMALL, method=IterativeMagnitude(rewind_step=4)), output)
    with pytest.raises(SettingError, match="`evaluations` must be at most 4"):
        training = dataclasses.replace(SMALL.training, evaluations=5)
        Job(dataclasses.replace(SMALL, training=training), output)


def test_evaluations_of_a_recipe_adapt_too(output):
    gan = RunConfig(
        "dcgan",
        IterativeMagnitude(rewind_step=0),
        SMALL.data,
        tt.lab.GanTraining(epochs=1, batch_size=16, width=2),
    )
    job = Job(gan, output)
    assert job.experiment.recipe.evaluations == 2
    assert job.notes == ["evaluations 2: a training has 2 steps"]


def test_an_extension_is_part_of_what_a_run_is(made, output, tmp_path):
    path = tmp_path / "cards.py"
    path.write_text("")
    config = dataclasses.replace(SMALL, extensions=(str(path),))
    first = Job(config, output).folder.path
    path.write_text("# other cards\n")
    assert len({made.path, first, Job(config, output).folder.path}) == 3


def test_an_identity_is_json(output):
    job = Job(SMALL, output)
    content = identity(job.config, job.experiment)
    assert json.loads(json.dumps(content))["method"]["name"] == "imp"


def test_a_transfer_takes_what_it_is_not_given_from_the_run(made, output):
    training = tt.lab.GanTraining(batch_size=16)
    config = RunConfig("dcgan", Transfer(source=str(made.path)), training=training)
    job = Job(config, output)
    assert job.config.model == "dcgan-shared" and job.config.seeds == (0,)
    assert job.config.data == dataclasses.replace(SMALL.data)
    assert job.experiment.recipe.network["width"] == 2
    assert job.folder.path.name.startswith("vae-to-dcgan-shared-digits-")


def test_a_transfer_between_unlike_models_is_refused_with_those_that_could(made, output):
    with pytest.raises(SettingError, match=r"cannot go to sngan\..*could go to .*dcgan-shared"):
        training = tt.lab.GanTraining(batch_size=16)
        Job(RunConfig("sngan", Transfer(source=str(made.path)), training=training), output)
    with pytest.raises(SettingError, match="`source` is required"):
        RunConfig("dcgan", Transfer())
