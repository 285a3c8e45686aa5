"""The options of a training: their bounds, where they go, and for which models they are."""

import dataclasses

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import recipes
from tf_tickets.lab.models import MODELS, AdversarialTraining, GanTraining, Training


def test_what_is_not_given_goes_nowhere():
    for card in MODELS.values():
        training = card.family.training()
        assert training.network_options() == training.recipe_fields() == {}
        training.check(card)


def test_each_option_goes_to_the_model_or_to_the_recipe():
    training = GanTraining(
        epochs=2, precision="float32", width=3, critic_steps=4, gradient_penalty=0, ema_decay=0.0
    )
    assert training.recipe_fields() == {"epochs": 2, "precision": "float32"}
    assert training.network_options() == {
        "width": 3,
        "critic_steps": 4,
        "gradient_penalty": 0,
        "ema_decay": 0.0,
    }
    fields = {field.name for field in dataclasses.fields(recipes.Recipe)}
    assert set(GanTraining.of_recipe) <= fields
    of_search = {"discriminator_init", "distill_discriminator"}
    known = {field.name for field in dataclasses.fields(GanTraining)}
    assert known == {*GanTraining.of_recipe, *GanTraining.of_model} | of_search
    assert {field.name for field in dataclasses.fields(Training)} == {
        *Training.of_recipe,
        *Training.of_model,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"epochs": 0}, "at least 1"),
        ({"batch_size": 0}, "at least 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "finite"),
        ({"evaluations": 0}, "at least 1"),
        ({"precision": "float64"}, "one of auto, mixed, float32"),
        ({"width": 0}, "at least 1"),
        ({"critic_steps": 0}, "at least 1"),
        ({"generator_batch_factor": 0}, "at least 1"),
        ({"learning_rate_decay": "cosine"}, "one of none, linear"),
        ({"initializer": "uniform"}, "one of keras, pytorch, normal, dcgan, sngan"),
        ({"gradient_penalty": -1.0}, "at least 0"),
        ({"ema_decay": -0.1}, "at least 0"),
        ({"ema_decay": 1.0}, "below 1"),
        ({"discriminator_init": "trained-dense"}, "one of rewind, trained, fresh"),
    ],
    ids=str,
)
def test_a_value_out_of_bounds_is_refused(options, expected):
    (name,) = options
    with pytest.raises(SettingError, match=f"^`{name}` must be .*{expected}.*Received: {name}="):
        GanTraining(**options)


def test_options_of_gans_do_not_exist_for_others():
    kinds = {card.family.training for card in MODELS.values()}
    assert kinds == {Training, AdversarialTraining, GanTraining}
    with pytest.raises(TypeError, match="critic_steps"):
        MODELS["vae"].family.training(critic_steps=2)


def test_an_option_that_a_model_has_not_is_refused():
    with pytest.raises(SettingError, match=r"`width` .*linear-ae, which has no such option"):
        Training(width=4).check(MODELS["linear-ae"])
    with pytest.raises(SettingError, match=r"`distill_discriminator` .*probabilities.*wgan"):
        GanTraining(distill_discriminator=True).check(MODELS["wgan"])
    GanTraining(distill_discriminator=True, width=4).check(MODELS["sngan"])
