"""CycleGAN: its counts, its step against a plain reference, and its replay buffer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import copy_layer, copy_network
from tf_tickets.lab import models
from tf_tickets.lab.models.families.cyclegan import augmented, split_domains

SHAPE = (8, 8, 2)
TINY = {"width": 2, "num_blocks": 1, "halvings": 1}


def tiny(**options):
    keras.utils.set_random_seed(0)
    return models.build("cyclegan", SHAPE, **{**TINY, **options})


def images(count, seed=0):
    return tf.random.stateless_uniform((count, *SHAPE), (seed, 1), -1, 1)


@pytest.mark.parametrize(
    ("side", "options", "generator", "discriminator"),
    [
        (256, {}, 11_383_555, 2_766_529),
        (128, {}, 7_841_539, 2_766_529),
        (32, {"width": 16}, 273_091, 43_057),
        (32, {"width": 16, "num_blocks": 6}, 495_043, 43_057),
        (32, {"width": 32}, 1_080_707, 168_033),
        (64, {"halvings": 2}, 7_841_539, 663_745),
    ],
)
def test_the_counts_are_the_papers(side, options, generator, discriminator):
    model = models.build("cyclegan", (side, side, 6), **options)
    counts = [network.count_params() for network in model.components.values()]
    assert counts == [generator] * 2 + [discriminator] * 2


def test_a_scale_is_where_a_channel_may_go():
    model = tiny(num_blocks=2)
    scales = [v.path for v in model.generator_a2b.trainable_variables if v.name == "gamma"]
    names = [path.split("/")[-2] for path in scales]
    own = ("conv1", "conv2", "block1_conv1", "block2_conv1", "conv4", "conv5")
    assert names == [f"generator_a2b_{name}_norm" for name in own]


def test_kernels_begin_by_a_normal_distribution_and_scales_at_one():
    model = models.build("cyclegan", (16, 16, 2), width=16)
    kernel = model.generator_a2b.get_layer("generator_a2b_block1_conv1").kernel
    assert np.std(kernel) == pytest.approx(0.02, rel=0.02)
    gamma = model.generator_a2b.get_layer("generator_a2b_conv1_norm").gamma
    assert np.all(np.asarray(gamma) == 1.0)


def test_images_of_one_domain_or_of_odd_sides_are_refused():
    with pytest.raises(SettingError, match=r"channels lie on top of each other\. Received: 3 ch"):
        models.build("cyclegan", (32, 32, 3))
    with pytest.raises(SettingError, match="multiples of 4"):
        models.build("cyclegan", (30, 30, 2))
    with pytest.raises(SettingError, match=r"leave at least 3 of the 16 pixels.*halvings=3"):
        models.build("cyclegan", (16, 16, 2), halvings=3)


# --- a step


def plain_losses(model, batch):
    """Return the objective of the generators and the losses of the discriminators, spelled out."""
    a, b = batch[..., :1], batch[..., 1:]
    to_b, to_a = model.generator_a2b, model.generator_b2a
    fake_b, fake_a = to_b(a), to_a(b)

    def far(x, y):
        return tf.reduce_mean(tf.abs(x - y))

    def off(x, target):
        return tf.reduce_mean((x - target) ** 2)

    fooled = off(model.discriminator_a(fake_a), 1) + off(model.discriminator_b(fake_b), 1)
    cycle = far(to_a(fake_b), a) + far(to_b(fake_a), b)
    same = far(to_a(a), a) + far(to_b(b), b)
    fake_a, fake_b = tf.stop_gradient(fake_a), tf.stop_gradient(fake_b)
    of_a = (off(model.discriminator_a(a), 1) + off(model.discriminator_a(fake_a), 0)) / 2
    of_b = (off(model.discriminator_b(b), 1) + off(model.discriminator_b(fake_b), 0)) / 2
    return fooled + 10 * cycle + 5 * same, of_a, of_b, (fooled, cycle, same)


def in_float64(model):
    """The same model, of which every layer computes in float64."""

    parts = {}
    for name, network in model.components.items():
        parts[name] = copy_network(network, lambda layer: copy_layer(layer, dtype="float64"))
        parts[name].set_weights(network.get_weights())
    return model.with_networks(**parts)


def trained_together(model):
    """The variables of each optimizer."""
    return [
        [*model.generator_a2b.trainable_variables, *model.generator_b2a.trainable_variables],
        model.discriminator_a.trainable_variables,
        model.discriminator_b.trainable_variables,
    ]


def test_a_step_follows_the_gradients_of_a_plain_reference_in_float64():
    model, batch = tiny(), images(3)
    reference = in_float64(model)
    with tf.GradientTape(persistent=True) as tape:
        objective, *of_discriminators, parts = plain_losses(reference, tf.cast(batch, tf.float64))
    # The discriminators learn from the images of before the generators' update.
    losses = [objective, *of_discriminators]
    expected = [
        tape.gradient(loss, variables)
        for loss, variables in zip(losses, trained_together(reference), strict=True)
    ]
    trained = trained_together(model)
    before = [[v.numpy() for v in group] for group in trained]
    rates = (0.1, 0.2, 0.3)
    model.compile(*(keras.optimizers.SGD(rate) for rate in rates))
    logs = model.train_on_batch(batch, return_dict=True)
    for rate, group, old, gradients in zip(rates, trained, before, expected, strict=True):
        for variable, value, gradient in zip(group, old, gradients, strict=True):
            found = (value - variable.numpy()) / rate
            most = max(1e-4 * np.abs(gradient).max(), 3e-5)  # float32 against float64
            np.testing.assert_allclose(found, gradient, atol=most, err_msg=variable.path)
    assert logs["generator_loss"] == pytest.approx(float(parts[0]), rel=1e-5)
    assert logs["cycle_loss"] == pytest.approx(float(parts[1]), rel=1e-5)
    assert logs["identity_loss"] == pytest.approx(float(parts[2]), rel=1e-5)
    assert logs["discriminator_loss"] == pytest.approx(float(sum(of_discriminators)), rel=1e-5)


def test_which_images_are_on_top_of_each_other_changes_no_loss():
    model = tiny()
    model.compile()
    batch = images(4)
    a, b = split_domains(batch)
    other = tf.concat([a, tf.reverse(b, axis=[0])], axis=-1)
    first, second = (model.evaluate(x, verbose=0, return_dict=True) for x in (batch, other))
    assert first == pytest.approx(second, rel=1e-5)


def test_weights_of_losses_are_options():
    model = tiny(cycle_weight=2.0, identity_weight=0.0)
    model.compile()
    variables, loss = model.scoring_losses[0]
    batch = images(3)
    *_, (fooled, cycle, _) = plain_losses(model, batch)
    assert float(loss(batch)) == pytest.approx(float(fooled + 2 * cycle), rel=1e-5)
    assert len(variables) == len(
        model.generator_a2b.trainable_variables + model.generator_b2a.trainable_variables
    )


def test_the_losses_that_score_weights_are_those_that_are_trained():
    model = tiny()
    batch = images(3)
    objective, of_a, of_b, _ = plain_losses(model, batch)
    found = [float(loss(batch)) for _, loss in model.scoring_losses]
    assert found == pytest.approx([float(objective), float(of_a), float(of_b)], rel=1e-5)


def test_three_optimizers_are_needed():
    with pytest.raises(SettingError, match=r"needs three optimizers.*Received: 1"):
        tiny().compile("adam")
    same = keras.optimizers.Adam()
    with pytest.raises(SettingError, match=r"needs three optimizers.*Received: 2"):
        tiny().compile(same, same, "adam")


def test_flops_of_a_step_are_those_of_its_passes():
    from tf_tickets.costs.flops import count_flops

    model = tiny()
    a2b, b2a, of_a, of_b = map(count_flops, model.components.values())
    passes = 3 * (a2b.forward + a2b.backward) + 3 * (b2a.forward + b2a.backward)
    for each in (of_a, of_b):
        passes += 2 * each.forward + 2 * (each.forward + each.backward)
    assert model.step_flops() == passes
    # next to nothing is left out: a backward pass takes about two forward ones
    assert passes == pytest.approx(18 * a2b.forward + 16 * of_a.forward, rel=0.1)


# --- translation


def test_both_generators_translate_in_inference():
    model = tiny()
    batch = images(3)
    a, b = split_domains(batch)
    translation = model.inference_model()
    found = translation({"a": a, "b": b})
    np.testing.assert_allclose(found["a2b"], model.translate(a, "a2b"), atol=1e-6)
    np.testing.assert_allclose(found["b2a"], model.translate(b, "b2a"), atol=1e-6)
    both = model(batch)
    np.testing.assert_allclose(both[..., :1], found["a2b"], atol=1e-6)
    np.testing.assert_allclose(both[..., 1:], found["b2a"], atol=1e-6)
    assert not {id(v) for v in translation.weights} & {id(v) for v in model.weights}


def test_each_direction_is_a_signature_of_the_export(tmp_path):
    model = tiny()
    path = tmp_path / "saved_model"
    tt.export_saved_model(model.inference_model(), path)
    signatures = tf.saved_model.load(path).signatures
    a, b = split_domains(images(2))
    (found,) = signatures["a2b"](a).values()
    np.testing.assert_allclose(found, model.translate(a, "a2b"), atol=1e-5)
    both = signatures["serving_default"](a=a, b=b)
    np.testing.assert_allclose(both["b2a"], model.translate(b, "b2a"), atol=1e-5)


def test_a_saved_model_goes_on_with_the_same_bits(tmp_path):
    model = tiny(replay_size=3)
    model.compile()
    model.fit(images(4), verbose=0)
    model.save(tmp_path / "model.keras")
    other = keras.saving.load_model(tmp_path / "model.keras")
    assert int(other.replays[0].filled) == 3
    for each in (model, other):
        each.fit(images(4, seed=1), verbose=0)
    for one, two in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(one, two, err_msg=one.path)


# --- augmentation


def test_a_crop_is_a_part_of_the_image_and_every_other_one_is_mirrored():
    ramp = np.broadcast_to(np.linspace(-1, 1, 32, dtype="float32")[:, None], (200, 32, 32, 1))
    found = np.asarray(augmented(tf.constant(ramp), keras.random.SeedGenerator(0)))[..., 0]
    columns = found[:, 0]
    slopes = np.diff(columns, axis=1)
    expected = 2 / 31 / 1.12
    np.testing.assert_allclose(np.abs(slopes), expected, rtol=0.01)
    is_mirrored = slopes[:, 0] < 0
    assert np.all((slopes < 0) == is_mirrored[:, None])
    assert is_mirrored.mean() == pytest.approx(0.5, abs=0.1)
    starts = np.where(is_mirrored, columns[:, -1], columns[:, 0])
    room = 2 - 2 / 1.12  # how far a crop can lie
    assert -1 <= starts.min() < -1 + 0.1 * room and -1 + 0.9 * room < starts.max() <= -1 + room


def test_images_are_augmented_in_training_alone():
    model, plain = tiny(augment=True), tiny()
    plain.set_weights(model.get_weights())
    for each in (model, plain):
        each.compile()
    batch = images(4)
    assert model.evaluate(batch, verbose=0) == pytest.approx(plain.evaluate(batch, verbose=0))
    losses = [each.train_on_batch(batch, return_dict=True) for each in (model, plain)]
    assert losses[0]["cycle_loss"] != pytest.approx(losses[1]["cycle_loss"], rel=1e-3)


def test_settling_empties_the_buffers():
    model = tiny(replay_size=3)
    model.compile()
    model.fit(images(2), verbose=0)
    assert int(model.replays[1].filled) == 2 and np.any(model.replays[1].images)
    model.settle()
    assert int(model.replays[1].filled) == 0 and not np.any(model.replays[1].images)
