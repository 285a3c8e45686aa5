"""Cards: what one says, what reading it loads, and that one is all that a new model takes."""

import dataclasses
import inspect
import subprocess
import sys

import keras
import numpy as np
import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import experiment, models, recipes
from tf_tickets.lab.models import GAN, MODELS, ModelCard, blocks
from tf_tickets.lab.models.gan_losses import LOSSES, GanLoss

SMALL = {name: {"width": 2} for name in MODELS} | {"linear-ae": {"widths": (8, 2)}}
OF_TWO_DOMAINS = {name for name, card in MODELS.items() if "translations" in card.family.offers}

READ = """
import sys
from tf_tickets.lab import models, recipes

for name, card in models.MODELS.items():
    training = card.family.training(epochs=1)
    training.check(card)
    recipes.resolve(name, "digits", **training.recipe_fields())
    models.resolved_options(name, {})
loaded = {"tensorflow", "keras.src"} & set(sys.modules)
assert not loaded, loaded
assert issubclass(models.Autoencoder, models.ImageModel)
assert {"tensorflow", "keras.src"} <= set(sys.modules), "nothing could have been seen"
"""


def test_reading_cards_and_recipes_loads_neither_keras_nor_tensorflow():
    found = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-2000:]


@pytest.mark.parametrize("name", models.__all__)
def test_every_public_name_is_there(name):
    assert getattr(models, name) is not None and name in dir(models)


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="Diffusion"):
        models.Diffusion  # noqa: B018


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_what_its_card_says(name):
    family = MODELS[name].family
    model = models.build(name, (16, 16, 2 if name in OF_TWO_DOMAINS else 1), **SMALL[name])
    assert type(model) is family.model_class()
    assert tuple(model.components) == family.components and family.maker in family.components
    assert hasattr(model, "sample") == ("samples" in family.offers)
    assert hasattr(model, "reconstruct") == ("reconstructions" in family.offers)
    model.compile(*(keras.optimizers.Adam() for _ in range(family.num_optimizers)))
    optimizers = getattr(model, "optimizers", [model.optimizer])
    assert len(optimizers) == family.num_optimizers
    assert model.name == name.replace("-", "_")


@pytest.mark.parametrize("name", MODELS)
def test_every_option_of_a_card_is_one_of_its_networks_or_its_class(name):
    card = MODELS[name]
    networks = list(inspect.signature(card.networks).parameters)[1:]
    of_class = inspect.signature(card.family.model_class()).parameters
    assert set(card.family.options) <= set(of_class)
    assert not set(networks) & set(card.family.options)
    assert set(card.options) <= {"initializer", *networks, *card.family.options}
    assert models.resolved_options(name, {}) == card.defaults
    for option, default in card.family.options.items():
        assert of_class[option].default == default


@pytest.mark.parametrize("name", MODELS)
def test_what_recipes_a_card_has_are_fields_of_a_recipe(name):
    card = MODELS[name]
    fields = {field.name for field in dataclasses.fields(recipes.Recipe)}
    for each in (card.family, card):
        for recipe in (each.recipe, *each.recipes_on.values()):
            assert set(recipe) <= fields
            assert set(recipe.get("network", {})) <= set(card.defaults)


def test_models_of_which_tickets_move_have_makers_of_the_same_layers():
    for card in MODELS.values():
        for variant in card.variant_for.values():
            assert variant in MODELS
        for other in card.shares_maker_with:
            assert card.name in MODELS[other].shares_maker_with
            assert maker_shapes(card.name) == maker_shapes(other)
    dcgan = MODELS["dcgan"]
    assert dcgan.variant_for == {"vae": "dcgan-shared", "beta-vae": "dcgan-shared"}
    assert maker_shapes("dcgan") != maker_shapes("vae"), "it would need no variant"


def maker_shapes(name):
    model = models.build(name, (16, 16, 3), width=2)
    return [tuple(v.shape) for v in model.components[MODELS[name].family.maker].variables]


def test_an_unknown_name_is_refused_everywhere():
    for function in (models.build, models.resolved_options, recipes.resolve):
        with pytest.raises(SettingError, match=r"Unknown model 'gan'. Choose one of: linear-ae"):
            function("gan", {})


def test_options_are_checked_when_they_are_resolved_too():
    with pytest.raises(SettingError, match="vae has no option 'critic_steps'"):
        models.resolved_options("vae", {"critic_steps": 2})
    with pytest.raises(SettingError, match=r"`width` must be at least 1. Received: width=0"):
        models.resolved_options("vae", {"width": 0})


# A new model of a known family: what would be one file, and a line in `lab/models/__init__.py`.


def lsgan_networks(image_shape, width=4, latent_dim=8):
    """Return one layer against one layer."""
    codes = keras.Input((latent_dim,), name="generator_input")
    x = keras.layers.Dense(int(np.prod(image_shape)), name="generator_dense")(codes)
    x = keras.layers.Reshape(image_shape, name="generator_reshape")(x)
    images = keras.Input(image_shape, name="discriminator_input")
    y = blocks.conv(images, width, image_shape[0], "discriminator_conv1", activation="relu")
    y = blocks.conv(y, 1, 1, "discriminator_conv2")
    return blocks.image_network(codes, x, "generator"), blocks.discriminator_network(images, y)


LEAST_SQUARES = GanLoss(
    "least_squares",
    lambda real, fake: keras.ops.mean(keras.ops.square(real - 1) + keras.ops.square(fake)) / 2,
    lambda fake: keras.ops.mean(keras.ops.square(fake - 1)) / 2,
    gives_probabilities=False,
)

LSGAN = ModelCard(
    name="lsgan",
    title="LSGAN",
    family=GAN,
    networks=lsgan_networks,
    options={"loss": "least_squares"},
    recipe={"learning_rate": 1e-3, "optimizer_options": {"beta_1": 0.5}},
    recipes_on={"digits": {"network": {"width": 2}, "epochs": 3}},
)


@pytest.fixture
def lsgan(monkeypatch):
    monkeypatch.setattr(MODELS, "_cards", dict(MODELS))
    monkeypatch.setattr(LOSSES, "_cards", dict(LOSSES))
    LOSSES.add(LEAST_SQUARES)
    return MODELS.add(LSGAN)


def test_one_card_is_all_that_a_new_model_takes(lsgan):
    recipe = recipes.resolve("lsgan", "digits")
    assert (recipe.epochs, recipe.batch_size, recipe.precision) == (3, 32, "float32")
    elsewhere = recipes.resolve("lsgan", "svhn")
    assert (elsewhere.epochs, elsewhere.network, elsewhere.learning_rate) == (200, {}, 1e-3)
    model = experiment.build_model(recipe, (8, 8, 1), seed=0)
    assert type(model) is models.GenerativeAdversarialNetwork and model.loss_name == "least_squares"
    assert model.discriminator.get_layer("discriminator_conv1").filters == 2

    images = np.random.default_rng(0).uniform(-1, 1, (6, 8, 8, 1)).astype("float32")
    before = [variable.numpy() for variable in model.trainable_variables]
    losses = model.train_on_batch(images, return_dict=True)
    assert losses["discriminator_loss"] > 0 and losses["generator_loss"] > 0
    for variable, value in zip(model.trainable_variables, before, strict=True):
        assert (variable.numpy() != value).any(), f"no gradient reaches {variable.path}"

    with pytest.raises(SettingError, match="lsgan has no option 'slope'"):
        models.build("lsgan", (8, 8, 1), slope=0.1)
    with pytest.raises(SettingError, match=r"distill_discriminator.*that of lsgan"):
        GAN.training(distill_discriminator=True).check(lsgan)
    with pytest.raises(SettingError, match="neither teach nor be taught"):
        model.distill(models.build("lsgan", (8, 8, 1)).discriminator)


def test_a_name_is_given_once(lsgan):
    with pytest.raises(SettingError, match="already a model 'lsgan'"):
        MODELS.add(dataclasses.replace(LSGAN, title="another"))
