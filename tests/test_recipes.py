import dataclasses

import pytest

from tf_tickets import data, models, recipes
from tf_tickets.errors import SettingError


@pytest.mark.parametrize("model", models.NAMES)
@pytest.mark.parametrize("dataset", data.NAMES)
def test_every_pair_of_model_and_data_has_a_recipe_that_builds(model, dataset):
    recipe = recipes.resolve(model, dataset)
    shape = data.image_shape(dataset, recipe.image_size)
    built = models.build(model, shape, **recipe.network)
    assert built.decoder.output_shape[1:] == shape


def test_the_papers_data_sets_get_the_papers_sizes():
    assert recipes.resolve("linear-ae", "mnist").image_size == 28
    assert all(not recipes.resolve(model, "cifar10").network for model in models.NAMES)


def test_what_is_given_overrides_and_none_does_not():
    recipe = recipes.resolve("vae", "digits", epochs=3, batch_size=None)
    assert recipe == dataclasses.replace(recipes.resolve("vae", "digits"), epochs=3)


def test_autoencoders_are_judged_by_their_loss_and_vaes_by_frechet_distance():
    metrics = {model: recipes.resolve(model, "mnist").metric for model in models.NAMES}
    assert metrics["conv-ae"] == metrics["linear-ae"] == "reconstruction_loss"
    assert metrics["vae"] == metrics["beta-vae"] == metrics["resnet-vae"] == "frechet"


def test_an_unknown_model_or_field_is_refused():
    with pytest.raises(SettingError, match=r"'gan'.*linear-ae"):
        recipes.resolve("gan", "mnist")
    with pytest.raises(SettingError, match="'momentum'"):
        recipes.resolve("vae", "mnist", momentum=0.9)
