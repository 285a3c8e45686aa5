"""What a recipe's model is scored by: each network by its own loss; and nothing is changed."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.lab import recipes
from tf_tickets.lab.data import dataset as data
from tf_tickets.lab.experiment import build_model
from tf_tickets.lab.methods import METHODS, AtInitialization
from tf_tickets.lab.methods.scoring import InitialScores
from tf_tickets.lab.models import SpectralConv2D
from tf_tickets.names import NamedVariables

SMALL = {"width": 4, "latent_dim": 4}


@pytest.fixture(scope="module")
def images():
    return data.load("digits", "train", 8, 64, None)


def recipe_of(model, **network):
    return recipes.resolve(
        model, "digits", image_size=8, batch_size=8, network={**SMALL, **network}
    )


SCORES = [name for name, card in METHODS.items() if issubclass(card, AtInitialization)]


def scores_of(method, recipe, images):
    return InitialScores(METHODS[method](), recipe, images)


@pytest.mark.parametrize("method", SCORES)
@pytest.mark.parametrize("name", slow_but(["vae", "sngan"], "vae"))
def test_scores_follow_weights_and_seed_and_leave_the_model_as_it_is(name, method, images):
    recipe = recipe_of(name)
    model = build_model(recipe, images.image_shape, seed=0)
    kernels = tt.prunable(model)
    before = tt.take_snapshot(model, optimizer=True)
    first, again, other = (
        scores_of(method, recipe, images)(model, kernels, seed) for seed in (1, 1, 2)
    )
    after = tt.take_snapshot(model, optimizer=True)
    assert before.keys() == after.keys()
    assert all(np.array_equal(before[path], after[path]) for path in before)
    assert list(first) == kernels.names
    for name, kernel in zip(kernels.names, kernels, strict=True):
        assert first[name].shape == tuple(kernel.shape)
        np.testing.assert_array_equal(first[name], again[name])
    changed = any(not np.array_equal(first[path], other[path]) for path in first)
    assert changed == (method in ("snip", "grasp", "random-at-init"))


@pytest.mark.parametrize("method", ["snip", "synflow"])
def test_what_is_kept_of_one_model_is_not_taken_for_another(method, images):
    recipe = recipe_of("vae")
    one, other = (build_model(recipe, images.image_shape, seed) for seed in (1, 2))
    expected = scores_of(method, recipe, images)(other, tt.prunable(other), 0)
    scores = scores_of(method, recipe, images)
    scores(one, tt.prunable(one), 0)
    found = scores(other, tt.prunable(other), 0)
    assert all(np.array_equal(found[path], expected[path]) for path in expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["snip", "grasp", "synflow"])
def test_each_component_of_a_gan_has_scores_that_sum_to_one(method, images):
    recipe = recipe_of("dcgan")
    model = build_model(recipe, images.image_shape, seed=0)
    scores = scores_of(method, recipe, images)(model, tt.prunable(model), 0)
    for component in model.components:
        names = tt.prunable(model, component).names
        assert sum(np.abs(scores[name]).sum() for name in names) == pytest.approx(1, rel=1e-4)
    only = tt.prunable(model, "generator")
    found = scores_of(method, recipe, images)(model, only, 0)
    for path, score in found.items():
        np.testing.assert_allclose(score, scores[path], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["snip", "grasp"])
def test_scores_are_of_float32_whatever_the_precision_of_the_training(method, images):
    recipe = recipe_of("dcgan")
    exact = build_model(recipe, images.image_shape, seed=0)
    expected = scores_of(method, recipe, images)(exact, tt.prunable(exact), 0)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        mixed = build_model(recipe, images.image_shape, seed=0)
        found = scores_of(method, recipe, images)(mixed, tt.prunable(mixed), 0)
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    for path, score in expected.items():
        np.testing.assert_array_equal(score, found[path])


def batch_of(images):
    return next(iter(data.training_batches(images, 8, 0, 0, 1)))


def raw_scores(model, images):
    """SNIP scores of each network, as its own loss has them."""
    batch = batch_of(images)
    names = tt.variable_names(model).items()
    scores = []
    for variables, loss in model.scoring_losses:
        inside = {id(v) for v in variables if v.name == "kernel"}
        kernels = NamedVariables({name: v for name, v in names if id(v) in inside})
        scores.append(tt.snip_scores(kernels, [lambda loss=loss: loss(batch)]))
    return scores


def test_a_generator_is_scored_by_its_own_loss_alone(images):
    model = build_model(recipe_of("dcgan"), images.image_shape, seed=0)
    generator, discriminator = raw_scores(model, images)
    of_discriminator, of_generator = model._discriminator_loss, model._generator_loss
    model._discriminator_loss = lambda real, fake: 100 * of_discriminator(real, fake)
    scaled = raw_scores(model, images)
    assert all(np.array_equal(generator[path], scaled[0][path]) for path in generator)
    for path, score in discriminator.items():
        np.testing.assert_allclose(scaled[1][path], 100 * score, rtol=1e-3, atol=1e-9)
    model._discriminator_loss = of_discriminator
    model._generator_loss = lambda fake: 100 * of_generator(fake)
    scaled = raw_scores(model, images)
    assert all(np.array_equal(discriminator[path], scaled[1][path]) for path in discriminator)
    for path, score in generator.items():
        np.testing.assert_allclose(scaled[0][path], 100 * score, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "network", "rates"),
    [("vae", 0, [1.0]), ("wgan", 0, [1.0, 0.0]), ("wgan", 1, [0.0, 1.0])],
)
def test_scores_are_of_the_loss_that_a_step_of_training_lowers(name, network, rates, images):
    """Gradient descent at rate 1 moves each weight by the gradient that it is scored by."""
    options = {"critic_steps": 1, "clip_weights": None, "gradient_penalty": 10.0}
    recipe = recipe_of(name, **(options if name == "wgan" else {}))
    model = build_model(recipe, images.image_shape, seed=0)
    model.compile(*(keras.optimizers.SGD(rate) for rate in rates), run_eagerly=True)
    scores = raw_scores(model, images)[network]
    before = tt.take_snapshot(model)
    model.train_on_batch(batch_of(images))
    after = tt.take_snapshot(model)
    for path, score in scores.items():
        moved = np.abs(before[path] * (after[path] - before[path]))
        np.testing.assert_allclose(moved, score, rtol=1e-3, atol=1e-4 * score.max())


def test_a_normalised_kernel_is_scored_through_its_norm(images):
    """No scaling of it changes the loss, so its weights times their gradients sum to zero."""
    model = build_model(recipe_of("sngan"), images.image_shape, seed=0)
    model.settle()
    layers = [x for x in model.discriminator.layers if isinstance(x, SpectralConv2D)]
    _, loss = model.scoring_losses[1]
    with tf.GradientTape() as tape:
        value = loss(batch_of(images))
    gradients = tape.gradient(value, [layer.kernel.value for layer in layers])
    for layer, gradient in zip(layers, gradients, strict=True):
        products = layer.kernel.numpy() * gradient.numpy()
        assert abs(products.sum()) < 1e-3 * np.abs(products).sum()
