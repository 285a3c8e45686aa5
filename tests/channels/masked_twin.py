"""A slim model, and its masked twin: the whole model, whose weights are zero where channels went.

Both have to answer alike, in inference and in training.
"""

import contextlib

import keras
import numpy as np

import tf_tickets as tt

MODES = (False, True)


def shake(model, seed=0):
    """Give a model's normalisations and biases values that a training might."""
    rng = np.random.default_rng(seed)
    draw = {
        "gamma": lambda shape: rng.uniform(0.5, 1.5, shape),
        "beta": lambda shape: rng.normal(0, 0.2, shape),
        "bias": lambda shape: rng.normal(0, 0.1, shape),
        "alpha": lambda shape: rng.uniform(0, 0.5, shape),
        "moving_mean": lambda shape: rng.normal(0, 0.1, shape),
        "moving_variance": lambda shape: rng.uniform(0.5, 1.5, shape),
    }
    for variable in model.variables:
        if variable.name in draw:
            variable.assign(draw[variable.name](tuple(variable.shape)))
    return model


def inputs_of(model, batch=4, seed=1):
    """Return a random batch of what a model takes: an array, or a list where it has several."""
    rng = np.random.default_rng(seed)
    made = [
        rng.normal(size=(batch, *x.shape[1:])).astype(keras.config.floatx()) for x in model.inputs
    ]
    return made if len(made) > 1 else made[0]


def answers(model, inputs, training) -> list[np.ndarray]:
    """Return all that a model gives, whose state is left as it was."""
    # Training mode moves the statistics: the next question must find them as they were.
    state = [np.array(variable.numpy()) for variable in model.variables]
    made = keras.tree.flatten(model(inputs, training=training))
    for variable, value in zip(model.variables, state, strict=True):
        variable.assign(value)
    return [keras.ops.convert_to_numpy(each) for each in made]


def mask_scales(model, masks):
    """Set masked scales and their shifts to zero, by hand."""
    for path, mask in masks.items():
        for name, variable in tt.variable_names(model).items():
            if name in (path, path.replace("gamma", "beta")):
                variable.assign(variable.numpy() * mask)


def mask_weights(model, masks):
    """Set to zero all that channel masks make useless, as `hold` would."""
    for name, mask in tt.weight_masks(model, masks).items():
        variable = tt.variable_names(model)[name]
        variable.assign(variable.numpy() * mask)


def check_alike(masked, slimmed, inputs, tolerance, least_scale=0.0, modes=MODES):
    """Assert that two models answer alike.

    Args:
        masked, slimmed: the models.
        inputs: a batch for both.
        tolerance: of each answer, as a fraction of the largest magnitude in it.
        least_scale: what that magnitude is taken for where it is less.
        modes: whether to ask in training mode, one or both.
    """
    for training in modes:
        pairs = zip(*(answers(each, inputs, training) for each in (masked, slimmed)), strict=True)
        for expected, received in pairs:
            assert expected.shape == received.shape
            scale = max(np.abs(expected).max(initial=0), least_scale)
            np.testing.assert_allclose(received, expected, rtol=0, atol=tolerance * scale)


def check_slim(
    model, masks, inputs=None, tolerance=1e-10, mask=mask_weights, round_to=1, **comparison
):
    """Slim a model, mask the whole one, and hold their answers against each other.

    Args:
        model: it is masked afterwards.
        masks: as `tt.channel_masks` returns them.
        inputs: a batch; a random one by default.
        tolerance, **comparison: as `check_alike` takes them.
        mask: how the model is masked: `mask_weights`, or `mask_scales` where the masks are of
            scales alone, which asks the package for nothing.
        round_to: as `tt.slim` takes it.

    Returns:
        The slim model.
    """
    slimmed = tt.slim(model, masks, round_to=round_to)
    mask(model, slimmed.slim_report.masks)
    inputs = inputs_of(model) if inputs is None else inputs
    check_alike(model, slimmed, inputs, tolerance, **comparison)
    return slimmed


@contextlib.contextmanager
def in_float64():
    """Make what is built here compute in float64, where rounding says nothing."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")
