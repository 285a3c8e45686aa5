"""The GANs' steps against steps and numbers worked out without them."""

import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab import models
from tf_tickets.lab.models import GenerativeAdversarialNetwork, SpectralConv2D
from tf_tickets.lab.models.families.gan_penalties import gradient_penalty
from tf_tickets.lab.models.gan_losses import LOSSES
from tf_tickets.lab.training import StopOnDivergence
from tf_tickets.names import names_of

IMAGES = np.random.default_rng(0).uniform(-1, 1, (24, 4, 4, 1)).astype("float32")


def tiny_generator():
    codes = keras.Input((3,), name="generator_input")
    x = layers.Dense(8, activation="relu", name="generator_dense1")(codes)
    x = layers.BatchNormalization(name="generator_bn")(x)
    x = layers.Dense(16, activation="tanh", dtype="float32", name="generator_dense2")(x)
    image = layers.Reshape((4, 4, 1), dtype="float32", name="generator_image")
    return keras.Model(codes, image(x))


def tiny_discriminator():
    images = keras.Input((4, 4, 1), name="discriminator_input")
    x = SpectralConv2D(6, 3, activation="tanh", name="discriminator_conv")(images)
    x = layers.Flatten(name="discriminator_flatten")(x)
    x = layers.Dense(1, dtype="float32", name="discriminator_dense")(x)
    return keras.Model(images, x)


def tiny_gan(loss="non_saturating", optimizers=None, seed=1, run_eagerly=False, **options):
    """A GAN of 4x4 images that is soon traced; by default trained by Adam."""
    keras.utils.set_random_seed(seed)
    model = GenerativeAdversarialNetwork(tiny_generator(), tiny_discriminator(), loss, **options)
    optimizers = optimizers or [keras.optimizers.Adam(0.01) for _ in range(2)]
    model.compile(*optimizers, run_eagerly=run_eagerly)
    return model


def fit(model, images=IMAGES, batch_size=8, **options):
    options = {"shuffle": False, "verbose": 0, **options}
    return model.fit(images, batch_size=batch_size, **options).history


def values(variables):
    return [variable.numpy() for variable in variables]


def equal(first, second):
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def softplus(x):
    return np.log1p(np.exp(x))


CLOSED_FORMS = {
    "non_saturating": (
        lambda real, fake: softplus(-real).mean() + softplus(fake).mean(),
        lambda fake: softplus(-fake).mean(),
    ),
    "hinge": (
        lambda real, fake: np.maximum(1 - real, 0).mean() + np.maximum(1 + fake, 0).mean(),
        lambda fake: -fake.mean(),
    ),
    "wasserstein": (lambda real, fake: fake.mean() - real.mean(), lambda fake: -fake.mean()),
}


@pytest.mark.parametrize("loss", CLOSED_FORMS)
def test_losses_against_closed_forms(loss):
    model = tiny_gan(loss)
    model.discriminator.get_layer("discriminator_dense").bias.assign([0.3])
    fakes = model(keras.random.normal((24, 3), seed=0))
    real, fake = (np.asarray(model.discriminator(x), "float64") for x in (IMAGES, fakes))
    discriminator_loss, generator_loss = CLOSED_FORMS[loss]
    found = model.evaluate(IMAGES, batch_size=24, verbose=0, return_dict=True)
    assert found == {
        "generator_loss": pytest.approx(generator_loss(fake), rel=1e-5),
        "discriminator_loss": pytest.approx(discriminator_loss(real, fake), rel=1e-5),
    }


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("non_saturating", {}),
        ("hinge", {"critic_steps": 2}),
        ("wasserstein", {"critic_steps": 2, "gradient_penalty": 10.0}),
        ("wasserstein", {"critic_steps": 3, "clip_weights": 0.1}),
    ],
    ids=str,
)
def test_a_step_against_one_that_is_written_out(loss, options):
    """Two plain steps of gradient descent, each with all the generator's passes of its own."""
    rates = 0.3, 0.1
    model, expected = (
        tiny_gan(loss, [keras.optimizers.SGD(rate) for rate in rates], seed=5, **options)
        for _ in range(2)
    )
    fit(model, IMAGES[:12], batch_size=12)
    reported = slow_step(expected, IMAGES[:12], *rates)
    assert equal(values([model.seed_generator.state]), values([expected.seed_generator.state]))
    for one, other in zip(model.weights, expected.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5, err_msg=one.path)
    assert [float(mean.result()) for mean in model.metrics] == pytest.approx(reported, rel=1e-4)


def slow_step(model, images, generator_rate, discriminator_rate):
    critic = model.discriminator
    loss_of = LOSSES[model.loss_name]
    for part in np.split(images, model.critic_steps):
        codes = keras.random.normal((len(part), 3), seed=model.seed_generator)
        fakes = model.generator(codes, training=True)
        critic.get_layer("discriminator_conv").power_step()
        with tf.GradientTape() as tape:
            total = critic_loss = loss_of.discriminator(critic(part), critic(fakes))
            if model.gradient_penalty:
                share = keras.random.uniform((len(part), 1, 1, 1), seed=model.seed_generator)
                between = share * part + (1 - share) * fakes
                total += model.gradient_penalty * gradient_penalty(critic, between)
        descend(tape, total, critic.trainable_variables, discriminator_rate)
        for variable in critic.trainable_variables if model.clip_weights else ():
            variable.assign(np.clip(variable, -model.clip_weights, model.clip_weights))
    moving = values(model.generator.non_trainable_variables)  # the pass was counted above
    with tf.GradientTape() as tape:
        loss = loss_of.generator(critic(model.generator(codes, training=True)))
    descend(tape, loss, model.generator.trainable_variables, generator_rate)
    for variable, value in zip(model.generator.non_trainable_variables, moving, strict=True):
        variable.assign(value)
    return [float(loss), float(critic_loss)]


def descend(tape, loss, variables, rate):
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(rate * gradient)


@pytest.mark.parametrize("still", ["generator", "discriminator"])
def test_each_update_leaves_the_other_network_alone(still):
    rates = [0.0 if part == still else 0.1 for part in ("generator", "discriminator")]
    model = tiny_gan(optimizers=[keras.optimizers.SGD(rate) for rate in rates])
    before = {part: values(model.components[part].trainable_variables) for part in model.components}
    fit(model)
    for part, network in model.components.items():
        assert equal(values(network.trainable_variables), before[part]) == (part == still)


def test_critic_steps_are_updates_of_the_discriminator():
    model = tiny_gan(critic_steps=4, run_eagerly=True)
    fit(model, epochs=2)
    generator_optimizer, discriminator_optimizer = model.optimizers
    assert generator_optimizer is model.optimizer
    assert int(generator_optimizer.iterations) == 6
    assert int(discriminator_optimizer.iterations) == 24


@pytest.mark.parametrize("critic_steps", [1, 2])
def test_the_generator_can_have_a_larger_batch_of_its_own(critic_steps):
    model = tiny_gan(critic_steps=critic_steps, generator_batch_factor=3, run_eagerly=True)
    sizes, call = [], model.generator.call
    model.generator.call = lambda x, **options: sizes.append(len(x)) or call(x, **options)
    fit(model, epochs=2)
    part = 8 // critic_steps
    assert sizes == 6 * [*critic_steps * [part], 3 * part]
    assert [int(each.iterations) for each in model.optimizers] == [6, 6 * critic_steps]


def test_a_batch_as_large_as_the_discriminators_is_shared_with_it():
    model = tiny_gan(critic_steps=2, run_eagerly=True)
    sizes, call = [], model.generator.call
    model.generator.call = lambda x, **options: sizes.append(len(x)) or call(x, **options)
    fit(model, IMAGES[:8])
    assert sizes == [4, 4]
    one, other = tiny_gan(critic_steps=2), tiny_gan(critic_steps=2, generator_batch_factor=3)
    generator, discriminator = map(tt.count_flops, (one.generator, one.discriminator))
    update = 2 * discriminator.forward + generator.backward
    assert other.step_flops() - one.step_flops() == 2 * update + 3 * generator.forward


@pytest.mark.parametrize("count", slow_but([7, 8, 2], 7))
def test_a_batch_that_cannot_be_divided_is_filled_up_with_its_first_images(count):
    model, other = (tiny_gan(critic_steps=3) for _ in range(2))
    filled = np.resize(IMAGES[:count], (-(-count // 3) * 3, *IMAGES.shape[1:]))
    # A last batch that is smaller than the others is of a size that is known only as it runs.
    fit(model, np.concatenate([IMAGES[:12], IMAGES[:count]]), batch_size=12)
    fit(other, np.concatenate([IMAGES[:12], filled]), batch_size=12)
    for one, another in zip(model.weights, other.weights, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-5, atol=1e-6)


OPTIMIZERS = {
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01, momentum=0.9),
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "averaging": lambda: keras.optimizers.Adam(0.01, use_ema=True),
}


@pytest.mark.parametrize(
    ("policy", "optimizer", "options"),
    [
        ("float32", "adamw", {}),
        ("float32", "rmsprop", {"clip_weights": 0.05}),
        pytest.param("float32", "sgd", {"gradient_penalty": 10.0}, marks=pytest.mark.slow),
        pytest.param("float32", "averaging", {}, marks=pytest.mark.slow),
        ("mixed_float16", "adamw", {}),
        pytest.param("mixed_bfloat16", "adamw", {"loss": "hinge"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_masked_weights_stay_zero_everywhere(policy, optimizer, options):
    keras.mixed_precision.set_global_policy(policy)
    optimizers = [OPTIMIZERS[optimizer]() for _ in range(2)]
    model = tiny_gan(optimizers=optimizers, ema_decay=0.9, **options)
    scaled = [isinstance(each, keras.optimizers.LossScaleOptimizer) for each in model.optimizers]
    assert scaled == 2 * [policy == "mixed_float16"]
    fit(model)  # fills the averages and the momenta with what is not masked yet
    masks = most_removed(model)
    before = values(model.trainable_variables)
    with tt.hold(model, masks):
        for _ in range(2):
            history = fit(model)
            assert np.isfinite(list(history.values())).all()
            assert [removed.any() for removed in removed_values(model, masks)] == 6 * [False]
            if "clip_weights" in options:
                check_bound(model.discriminator, np.float32(options["clip_weights"]))
    assert not equal(values(model.trainable_variables), before)


def test_unmasked_weights_and_averages_do_come_back():
    model = tiny_gan(ema_decay=0.9)
    masks = most_removed(model)
    with tt.hold(model, masks):
        pass
    assert [removed.any() for removed in removed_values(model, masks)] == 6 * [False]
    fit(model)
    assert [removed.any() for removed in removed_values(model, masks)] == 6 * [True]


def most_removed(model):
    return tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.7)


def removed_values(model, masks):
    """Return what masks remove of the four kernels, and of the averages of the generator's two."""
    names = names_of(model)
    kernels = [(kernel, kernel) for kernel in tt.prunable(model)]
    averages = [each for each in model.averages if names[id(each[0])] in masks]
    return [value.numpy()[~masks[names[id(weight)]]] for weight, value in kernels + averages]


def check_bound(network, bound):
    weights = np.concatenate([value.ravel() for value in values(network.trainable_variables)])
    assert np.abs(weights).max() <= bound
    assert (np.abs(weights) == bound).any(), "nothing met the bound"


def test_the_average_follows_its_definition_and_starts_anew_with_the_optimizer():
    model = tiny_gan(ema_decay=0.8)
    for _ in range(2):
        model.compile(keras.optimizers.SGD(0.5), keras.optimizers.SGD(0.5))
        expected = None
        for _ in range(4):
            model.train_on_batch(IMAGES)
            weights = values(model.generator.trainable_variables)
            if expected is None:
                expected = weights
            expected = [0.8 * a + 0.2 * w for a, w in zip(expected, weights, strict=True)]
            for (_, average), value in zip(model.averages, expected, strict=True):
                np.testing.assert_allclose(average, value, rtol=1e-5, atol=1e-6)
    assert not equal([average.numpy() for _, average in model.averages], weights)


def test_samples_are_of_the_averages_and_so_is_the_model_for_inference():
    model = tiny_gan(ema_decay=0.8)
    fit(model, epochs=3)
    codes = keras.random.normal((7, 3), seed=3)
    weights = values(model.trainable_variables)
    samples = model.sample(7, seed=3)
    assert samples.shape == (7, 4, 4, 1) and samples.dtype == tf.float32
    assert np.abs(samples - model(codes)).max() > 1e-3, "the averages are the weights"
    assert equal(values(model.trainable_variables), weights)
    np.testing.assert_allclose(model.sample(7, 3, batch_size=2), samples, atol=1e-6)
    assert np.array_equal(model.inference_model()(codes, training=False), samples)
    assert equal(values(model.trainable_variables), weights), "the copy is the model itself"
    fit(model)
    assert not np.array_equal(model.sample(7, seed=3), samples)


def test_without_averages_samples_are_of_the_weights():
    model = tiny_gan()
    assert model.averages == []
    expected = model(keras.random.normal((7, 3), seed=3))
    assert np.array_equal(model.sample(7, seed=3), expected)
    assert not np.array_equal(model.sample(7, seed=4), expected)
    inference = model.inference_model()
    fit(model)
    assert np.array_equal(inference(keras.random.normal((7, 3), seed=3)), expected)
    with pytest.raises(SettingError, match="num_images"):
        model.sample(0, seed=1)


def test_evaluation_repeats_and_leaves_the_training_alone():
    model, other = (tiny_gan(run_eagerly=True) for _ in range(2))
    found = [model.evaluate(IMAGES, verbose=0) for _ in range(2)]
    assert found[0] == found[1]
    model.sample(3, seed=0)
    assert fit(model) == fit(other)
    assert equal(values(model.variables), values(other.variables))


def test_evaluation_is_of_samples_and_draws_other_codes_for_each_batch():
    model = tiny_gan("wasserstein", ema_decay=0.9, gradient_penalty=10.0)
    fit(model, epochs=3)
    seen = []
    discriminator_loss = model._discriminator_loss
    model._discriminator_loss = lambda real, fake: (
        seen.append(np.ravel(fake)) or discriminator_loss(real, fake)
    )
    model.compile(run_eagerly=True)
    same_twice = np.concatenate([IMAGES[:8]] * 2)
    losses = [model.evaluate(same_twice, batch_size=8, verbose=0) for _ in range(2)]
    assert losses[0] == losses[1]
    assert not np.intersect1d(seen[0], seen[1]).size and equal(seen[:2], seen[2:])
    images = model.decode(keras.random.normal((8, 3), seed=0))
    np.testing.assert_allclose(seen[0], np.ravel(model.discriminator(images)), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("float32", {"ema_decay": 0.9, "critic_steps": 2}),
        ("mixed_float16", {"loss": "wasserstein", "clip_weights": 0.05, "gradient_penalty": 1.0}),
    ],
    ids=str,
)
def test_a_model_from_a_file_trains_on_to_the_same_bits(policy, options, tmp_path):
    keras.mixed_precision.set_global_policy(policy)
    model = tiny_gan(**options)
    fit(model)
    model.save(tmp_path / "gan.keras")
    keras.mixed_precision.set_global_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "gan.keras", safe_mode=True)
    assert type(loaded) is type(model) and loaded.jit_compile is False
    for name in ("loss_name", "critic_steps", "clip_weights", "gradient_penalty", "ema_decay"):
        assert getattr(loaded, name) == getattr(model, name)
    assert [type(each) for each in loaded.optimizers] == [type(each) for each in model.optimizers]
    assert np.array_equal(loaded.sample(4, seed=0), model.sample(4, seed=0))
    assert fit(loaded, epochs=2) == fit(model, epochs=2)
    assert equal(values(loaded.variables), values(model.variables))
    for one, other in zip(loaded.optimizers, model.optimizers, strict=True):
        assert equal(values(one.variables), values(other.variables))


def test_a_named_gan_can_be_saved_and_takes_its_spectral_vectors_along(tmp_path):
    model = models.build("sngan-resnet", (16, 16, 1), width=2)
    model.save(tmp_path / "gan.keras")
    loaded = keras.saving.load_model(tmp_path / "gan.keras")
    assert not loaded.compiled and loaded.name == "sngan_resnet"
    assert equal(values(loaded.weights), values(model.weights))


def test_a_snapshot_repeats_the_training():
    model = tiny_gan(ema_decay=0.9)
    fit(model)
    snapshot = tt.take_snapshot(model, optimizer=True)
    histories = []
    for _ in range(2):
        tt.restore_snapshot(model, snapshot)
        histories.append((fit(model), tt.take_snapshot(model, optimizer=True)))
    assert histories[0][0] == histories[1][0]
    assert equal(histories[0][1].values(), histories[1][1].values())
    assert any((snapshot[path] != value).any() for path, value in histories[0][1].items())


def test_loss_scaling_is_not_doubled():
    keras.mixed_precision.set_global_policy("mixed_float16")
    given = [keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam()) for _ in range(2)]
    assert tiny_gan(optimizers=given).optimizers == given


def test_default_optimizers():
    model = tiny_gan()
    model.compile()
    first, second = model.optimizers
    assert first is not second and first.get_config()["beta_1"] == 0.5
    assert float(first.learning_rate) == float(second.learning_rate) == pytest.approx(2e-4)


def test_keras_callbacks_work(tmp_path):
    model = tiny_gan()
    callbacks = [
        keras.callbacks.EarlyStopping("val_generator_loss", mode="min", min_delta=1e9, patience=0),
        keras.callbacks.ModelCheckpoint(
            str(tmp_path / "best.keras"),
            monitor="val_discriminator_loss",
            mode="min",
            save_best_only=True,
        ),
    ]
    history = fit(model, validation_data=(IMAGES,), epochs=5, callbacks=callbacks)
    assert len(history["val_generator_loss"]) == 2  # stopped at once, as nothing is enough
    assert (tmp_path / "best.keras").exists()


def test_labels_are_ignored_and_weights_refused():
    model, other = (tiny_gan(run_eagerly=True) for _ in range(2))
    assert fit(model, y=np.zeros(24)) == fit(other)
    with pytest.raises(SettingError, match="weights"):
        fit(model, y=np.zeros(24), sample_weight=np.ones(24))


def test_a_teacher_adds_half_its_divergence_to_the_loss():
    teacher = tiny_discriminator()
    teacher.get_layer("discriminator_dense").bias.assign([1.5])
    model, plain = (tiny_gan(optimizers=still_optimizers()) for _ in range(2))
    variables = [id(variable) for variable in model.variables]
    codes = keras.random.normal((8, 3), seed=tiny_gan().seed_generator)
    model.distill(teacher)
    assert [id(variable) for variable in model.variables] == variables
    assert fit(model, IMAGES[:8]) == fit(plain, IMAGES[:8]), "losses are not reported alone"
    for each in (model, plain):
        each.seed_generator.state.assign(tiny_gan().seed_generator.state)
    found, without = (float(each._loss_of_discriminator(IMAGES[:8])) for each in (model, plain))
    both = np.concatenate([IMAGES[:8], plain.generator(codes, training=True)])
    logits = (np.asarray(net(both), "float64") for net in (teacher, plain.discriminator))
    p, q = (1 / (1 + np.exp(-each)) for each in logits)
    divergence = np.mean(p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q)))
    assert divergence > 0.01 and found - without == pytest.approx(divergence / 2, rel=1e-3)


def test_what_cannot_teach_is_refused():
    with pytest.raises(SettingError, match=r"keras.Model or None. Received: 'x'"):
        tiny_gan().distill("x")
    with pytest.raises(SettingError, match="Wasserstein critic"):
        tiny_gan("wasserstein").distill(tiny_discriminator())
    tiny_gan("wasserstein").distill(None)


def test_one_optimizer_for_both_networks_is_refused():
    optimizer = keras.optimizers.Adam()
    with pytest.raises(SettingError, match=r"an optimizer each. Received the same Adam twice"):
        tiny_gan(optimizers=[optimizer, optimizer])


def still_optimizers():
    return [keras.optimizers.SGD(0.0) for _ in range(2)]


def test_a_teacher_teaches_until_it_is_taken_away():
    teacher = tiny_discriminator()
    teacher.get_layer("discriminator_dense").bias.assign([3.0])
    taught = values(teacher.variables)
    model = tiny_gan()
    start = tt.take_snapshot(model, optimizer=True)
    found = []
    for each in (None, teacher, None):
        tt.restore_snapshot(model, start)
        model.distill(each)
        found.append((fit(model), values(model.discriminator.trainable_variables)))
    assert found[0][0] == found[2][0] != found[1][0]
    assert equal(found[0][1], found[2][1]) and not equal(found[0][1], found[1][1])
    assert equal(values(teacher.variables), taught)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "least_squares"}, "least_squares"),
        ({"critic_steps": 0}, "critic_steps"),
        ({"generator_batch_factor": 0}, "generator_batch_factor"),
        ({"critic_steps": 1.5}, "critic_steps"),
        ({"critic_steps": "2"}, "critic_steps"),
        ({"clip_weights": float("inf")}, "clip_weights"),
        ({"gradient_penalty": float("inf")}, "gradient_penalty"),
        ({"ema_decay": "0.9"}, "ema_decay"),
        ({"clip_weights": 0.0}, "clip_weights"),
        ({"clip_weights": float("nan")}, "clip_weights"),
        ({"gradient_penalty": -1.0}, "gradient_penalty"),
        ({"gradient_penalty": float("nan")}, "gradient_penalty"),
        ({"ema_decay": 1.0}, "ema_decay"),
        ({"ema_decay": -0.1}, "ema_decay"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_in_one_line(options, message):
    with pytest.raises(SettingError, match=message) as caught:
        models.build("dcgan", (16, 16, 1), width=1, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "clip_weights"),
    [
        ({}, 0.01),
        ({"gradient_penalty": 0.0}, 0.01),
        ({"gradient_penalty": 10.0}, None),
        ({"gradient_penalty": 10.0, "clip_weights": 0.1}, 0.1),
    ],
    ids=str,
)
def test_a_wasserstein_critic_is_bounded_in_one_way_or_the_other(options, clip_weights):
    model = models.build("wgan", (16, 16, 1), width=1, **options)
    assert model.clip_weights == clip_weights
    resolved = models.resolved_options("wgan", options)
    assert resolved["clip_weights"] == clip_weights
    assert (resolved["critic_steps"], resolved["latent_dim"], resolved["spectral"]) == (
        5,
        100,
        False,
    )


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_nan_in_the_images_stops_the_training(policy):
    keras.mixed_precision.set_global_policy(policy)
    model = tiny_gan()
    images = IMAGES.copy()
    images[9, 2, 2, 0] = np.nan
    with pytest.raises(DivergedError, match="discriminator_loss is nan") as caught:
        fit(model, images, callbacks=[StopOnDivergence()])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"jit_compile": True}, marks=pytest.mark.slow),
        {"run_eagerly": True},
        {"steps_per_execution": 3},
    ],
    ids=str,
)
def test_other_ways_to_run_train(options):
    model, usual = tiny_gan(ema_decay=0.9), tiny_gan(ema_decay=0.9)
    optimizers = [keras.optimizers.SGD(0.1) for _ in range(2)]
    model.compile(*optimizers, **options)
    usual.compile(*[keras.optimizers.SGD(0.1) for _ in range(2)])
    found, expected = fit(model), fit(usual)
    if "jit_compile" in options:  # XLA draws other noise from the same state
        assert np.isfinite(list(found.values())).all()
        return
    for name, values_of_epochs in expected.items():
        np.testing.assert_allclose(found[name], values_of_epochs, rtol=1e-4)


@pytest.mark.parametrize(
    "name", ["dcgan", *(pytest.param(n, marks=pytest.mark.slow) for n in ("sngan", "sngan-resnet"))]
)
def test_training_moves_every_kernel_of_the_named_models(name):
    images = np.random.default_rng(0).uniform(-1, 1, (20, 16, 16, 1)).astype("float32")
    model = models.build(name, (16, 16, 1), width=2, critic_steps=1)
    model.compile()
    before = values(tt.prunable(model))
    history = fit(model, images, batch_size=10)
    assert np.isfinite(list(history.values())).all()
    for kernel, value in zip(tt.prunable(model), before, strict=True):
        assert (kernel.numpy() != value).any(), f"no gradient reaches {kernel.path}"


MIRRORED = """
    import keras, numpy as np, tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import tf_tickets as tt
    from tf_tickets.lab import models
    from tf_tickets.names import names_of

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    images = np.random.default_rng(0).uniform(-1, 1, (16, 8, 8, 1)).astype("float32")
    with strategy.scope():
        model = models.build(
            "dcgan", (8, 8, 1), width=2, spectral=True, ema_decay=0.9, clip_weights=0.05
        )
        model.compile()
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.8)
    with tt.hold(model, masks):
        history = model.fit(images, batch_size=8, verbose=0).history
        assert np.isfinite(list(history.values())).all()
        arrays = [(v, v) for v in model.weights] + model.averages
        names = names_of(model)
        for weight, array in arrays:
            name = names[id(weight)]
            first, second = (replica.numpy() for replica in array.value.values)
            if name in masks:
                assert not first[~masks[name]].any(), name
            assert np.array_equal(first, second), name
    print("the same on both replicas")
"""


@pytest.mark.slow
def test_two_replicas_of_a_mirrored_strategy():
    """In a fresh process, since the devices are settled when TensorFlow begins."""
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MIRRORED)], capture_output=True, text=True
    )
    assert "the same on both replicas" in process.stdout, process.stderr[-2000:]
