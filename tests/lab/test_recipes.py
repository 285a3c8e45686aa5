import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab import experiment as experiments
from tf_tickets.lab import models, recipes
from tf_tickets.lab.data import DATASETS, image_shape
from tf_tickets.lab.models import MODELS


def fits(model, dataset):
    """Say whether a model is for the data: it translates if these are two domains."""
    translates = "translations" in MODELS[model].family.offers
    return translates == bool(DATASETS[dataset].domains)


@pytest.mark.parametrize(
    ("model", "dataset"),
    [
        (m, name)
        for m in MODELS
        for name, card in DATASETS.items()
        if not card.look and fits(m, name)
    ],
)
def test_every_pair_of_model_and_data_has_a_recipe_that_builds(model, dataset):
    recipe = recipes.resolve(model, dataset)
    *side, channels = image_shape(dataset, recipe.image_size)
    built = models.build(model, (*side, channels), **recipe.network)
    maker = built.components[MODELS[model].family.maker]
    made = channels // 2 if DATASETS[dataset].domains else channels
    assert maker.output_shape[1:] == (*side, made)


def test_the_papers_data_sets_get_the_papers_sizes():
    assert recipes.resolve("linear-ae", "mnist").image_size == 28
    assert all(not recipes.resolve(model, "cifar10").network for model in MODELS)
    assert recipes.resolve("cyclegan", "horse2zebra").image_size == 256


def test_what_is_given_overrides_and_none_does_not():
    recipe = recipes.resolve("vae", "digits", epochs=3, batch_size=None)
    assert recipe == dataclasses.replace(recipes.resolve("vae", "digits"), epochs=3)
    wide = recipes.resolve("dcgan", "digits", network={"width": 8}, evaluations=2, epochs=1)
    assert (wide.network, wide.evaluations, wide.epochs) == ({"width": 8}, 2, 1)


def test_autoencoders_are_judged_by_their_loss_and_what_samples_by_frechet_distance():
    metrics = {model: recipes.resolve(model, "mnist").metric for model in MODELS}
    by_loss = {model for model, metric in metrics.items() if metric == "reconstruction_loss"}
    assert by_loss == {"linear-ae", "conv-ae"}
    assert set(metrics.values()) == {"reconstruction_loss", "frechet"}


@pytest.mark.parametrize(
    ("model", "kind", "settings"),
    [
        ("dcgan", keras.optimizers.Adam, {"learning_rate": 2e-4, "beta_1": 0.5, "beta_2": 0.999}),
        ("sngan", keras.optimizers.Adam, {"learning_rate": 2e-4, "beta_1": 0.0, "beta_2": 0.9}),
        ("wgan", keras.optimizers.RMSprop, {"learning_rate": 5e-5}),
    ],
)
def test_both_networks_of_a_gan_are_trained_as_its_authors_set_it(model, kind, settings):
    recipe = recipes.resolve(model, "cifar10", network={"width": 4})
    built = experiments.build_model(recipe, (32, 32, 3), seed=0)
    assert len({id(optimizer) for optimizer in built.optimizers}) == 2
    for optimizer in built.optimizers:
        assert type(optimizer) is kind
        config = optimizer.get_config()
        assert {name: config[name] for name in settings} == pytest.approx(settings)


@pytest.mark.slow
def test_the_generator_of_the_digits_wgan_gets_gradients():
    """Clipping at 0.01, which is for wide critics, would leave it gradients of 1e-9."""
    recipe = recipes.resolve("wgan", "digits")
    assert recipes.resolve("wgan", "cifar10").network == {}
    model = experiments.build_model(recipe, (32, 32, 1), seed=0)
    assert model.gradient_penalty == 10 and model.clip_weights is None
    images = np.random.default_rng(0).uniform(-1, 1, (16, 32, 32, 1)).astype("float32")
    for _ in range(3):  # a critic that was clipped is clipped from its first update on
        model.train_on_batch(images)
    with tf.GradientTape() as tape:
        loss = model._loss_of_generator(images)
    gradients = tape.gradient(loss, model.generator.trainable_variables)
    assert max(np.abs(gradient).max() for gradient in gradients) > 1e-3


def test_every_training_is_evaluated_often_enough_to_tell_whether_it_had_settled():
    for model in MODELS:
        assert recipes.resolve(model, "cifar10").evaluations >= 4, model


def test_digits_are_as_small_as_the_network_allows():
    for model in MODELS:
        if not fits(model, "digits"):
            continue
        size = recipes.resolve(model, "digits").image_size
        assert size == (16 if model in ("conv-ae", "resnet-vae") else 8), model
    assert recipes.resolve("vae", "digits").metric == "loss"


def test_an_unknown_model_or_field_is_refused():
    with pytest.raises(SettingError, match=r"'gan'.*linear-ae"):
        recipes.resolve("gan", "mnist")
    with pytest.raises(SettingError, match="'momentum'"):
        recipes.resolve("vae", "mnist", momentum=0.9)
