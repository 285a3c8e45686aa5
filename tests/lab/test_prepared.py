"""A config brought to life: what is adapted, what is taken over, and what is refused."""

import dataclasses

import keras
import pytest

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.lab import Data, Judging, RunConfig, Training
from tf_tickets.lab.methods import IterativeMagnitude, Transfer
from tf_tickets.lab.precision import resolve_mixed
from tf_tickets.lab.precision_trial import Trial
from tf_tickets.lab.prepared import metric_of, prepare, recipe_of

SMALL = RunConfig(
    "vae",
    IterativeMagnitude(rounds=1, rewind_step=1),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16, width=2, evaluations=1),
    seeds=(0,),
)


def test_what_fits_is_taken_as_it_is():
    prepared = prepare(SMALL)
    assert prepared.asked is SMALL and prepared.config == SMALL
    assert prepared.notes == [] and prepared.metric == "loss"
    assert prepared.experiment.num_steps == 4
    assert prepared.experiment.recipe == recipe_of(SMALL)
    assert isinstance(prepared.search, tt.search.TicketSearch)


def test_a_default_that_does_not_fit_adapts_and_what_is_given_is_refused():
    short = dataclasses.replace(SMALL, method=IterativeMagnitude(rounds=1))
    prepared = prepare(short)
    assert prepared.config.method.rewind_step == 3 and prepared.asked == short
    assert prepared.notes == ["rewind step 3: a training has 4 steps"]
    with pytest.raises(SettingError, match="`rewind_step` must be at most 3, as a training has 4"):
        prepare(dataclasses.replace(SMALL, method=IterativeMagnitude(rewind_step=4)))
    with pytest.raises(SettingError, match="`evaluations` must be at most 4"):
        training = dataclasses.replace(SMALL.training, evaluations=5)
        prepare(dataclasses.replace(SMALL, training=training))


def test_evaluations_of_a_recipe_adapt_too():
    gan = RunConfig(
        "dcgan",
        IterativeMagnitude(rewind_step=0),
        SMALL.data,
        tt.lab.GanTraining(epochs=1, batch_size=16, width=2),
    )
    prepared = prepare(gan)
    assert prepared.experiment.recipe.evaluations == 2
    assert prepared.notes == ["evaluations 2: a training has 2 steps"]


def test_options_of_the_network_and_of_the_training_override_the_recipe():
    config = dataclasses.replace(SMALL, network={"latent_dim": 3, "width": 5})
    recipe = recipe_of(config)
    assert recipe.network["latent_dim"] == 3 and recipe.network["width"] == 2
    assert (recipe.epochs, recipe.batch_size) == (2, 16)


AUTO = dataclasses.replace(SMALL, training=dataclasses.replace(SMALL.training, precision="auto"))


@pytest.mark.parametrize(
    ("seconds", "policy"), [((0.012, 0.031), "float32"), ((0.031, 0.012), "mixed_bfloat16")]
)
def test_auto_takes_the_faster_precision_and_says_so(seconds, policy, monkeypatch):
    found = Trial(dict(zip(("float32", "mixed_bfloat16"), seconds, strict=True)))
    asked = []
    monkeypatch.setattr(
        "tf_tickets.lab.prepared.try_precisions", lambda *words: asked.append(words) or found
    )
    prepared = prepare(AUTO)
    assert prepared.experiment.recipe.precision == policy and prepared.trial == found
    assert prepared.notes == [str(found)]
    assert asked == [(recipe_of(AUTO), (8, 8, 1), 16)], "once, as the run trains"
    assert prepared.asked.training.precision == "auto"


def test_a_precision_that_is_given_is_tried_by_nobody(monkeypatch):
    monkeypatch.setattr("tf_tickets.lab.prepared.try_precisions", None)
    assert prepare(SMALL).trial is None, "the recipe of digits says float32"
    assert recipe_of(AUTO).precision == "auto"
    mixed = dataclasses.replace(SMALL.training, precision="mixed")
    recipe = recipe_of(dataclasses.replace(SMALL, training=mixed))
    assert recipe.precision == resolve_mixed("mixed")


def test_the_policy_of_keras_is_as_before():
    mixed = dataclasses.replace(SMALL.training, precision="mixed_bfloat16")
    assert prepare(dataclasses.replace(SMALL, training=mixed)).experiment.recipe.precision == (
        "mixed_bfloat16"
    )
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("model", "judging", "metric"),
    [
        ("vae", Judging(), "loss"),
        ("vae", Judging(inception="somewhere"), "loss"),
        ("dcgan", Judging(), "fcd"),
        ("dcgan", Judging(inception="somewhere"), "fid"),
        # The classifier's metrics are measured beside those of Inception.
        ("dcgan", Judging(metric="kcd", inception="somewhere"), "kcd"),
        ("linear-ae", Judging(num_samples=100), "reconstruction_loss"),
    ],
)
def test_the_metric_that_decides(model, judging, metric):
    config = RunConfig(model, data=SMALL.data, judging=judging)
    assert metric_of(config, recipe_of(config)) == metric


def test_a_metric_that_is_not_measured_is_refused():
    config = dataclasses.replace(SMALL, judging=Judging(metric="discriminator_loss"))
    with pytest.raises(SettingError, match="`metric` must be one of"):
        metric_of(config, recipe_of(config))


@pytest.fixture(scope="module")
def made(cache, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_TICKETS_CACHE", str(cache))
        return tt.lab.run(SMALL, tmp_path_factory.mktemp("runs"))


@pytest.mark.slow
def test_a_transfer_takes_what_it_is_not_given_from_the_run(made):
    training = tt.lab.GanTraining(batch_size=16)
    prepared = prepare(RunConfig("dcgan", Transfer(source=str(made.path)), training=training))
    assert prepared.config.model == "dcgan-shared" and prepared.config.seeds == (0,)
    assert prepared.config.data == dataclasses.replace(SMALL.data)
    assert prepared.experiment.recipe.network["width"] == 2
    note = "model dcgan-shared: the tickets do not fit dcgan"
    assert prepared.asked.model == "dcgan" and note in prepared.notes


@pytest.mark.slow
def test_a_transfer_between_unlike_models_is_refused_with_those_that_could(made):
    with pytest.raises(SettingError, match=r"cannot go to sngan\..*could go to .*dcgan-shared"):
        training = tt.lab.GanTraining(batch_size=16)
        prepare(RunConfig("sngan", Transfer(source=str(made.path)), training=training))
    with pytest.raises(SettingError, match="`source` is required"):
        RunConfig("dcgan", Transfer())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            RunConfig("cyclegan", data=Data("digits")),
            "must have two domains for cyclegan",
        ),
        (RunConfig("vae", data=Data("digits-relief")), "one kind of images for vae"),
        (
            RunConfig("cyclegan", data=Data("digits-relief"), judging=Judging(num_samples=9)),
            "`num_samples` means nothing for cyclegan",
        ),
    ],
)
def test_models_that_translate_go_with_data_of_two_domains_alone(config, message):
    with pytest.raises(SettingError, match=message):
        prepare(config)
