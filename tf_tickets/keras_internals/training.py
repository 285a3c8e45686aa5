"""How a model is trained."""

from collections.abc import Callable

import keras


def retrace(model: keras.Model, answers: bool = False) -> None:
    """Let a model's compiled training step be traced again, if it has been made already.

    Otherwise the step would go on without what was set since, such as a constraint.

    Args:
        model: of any kind.
        answers: whether `evaluate` and `predict` are to be traced again too.
    """
    if answers:
        model.test_function = model.predict_function = None
    if getattr(model, "train_function", None) is not None:
        model.train_function = None
        model.make_train_function()


def train_step_of(model: keras.Model) -> Callable:
    """Return the training step that `fit` compiles: a function of an iterator over batches.

    It takes `steps_per_execution` batches, updates the model and returns the logs, which a device
    that works on its own may not have computed yet.
    """
    # TensorFlow's trainer returns the step only if it was made before.
    return model.make_train_function() or model.train_function


def compile_arguments(model: keras.Model) -> dict:
    """Return the arguments that `compile` was called with, as the very objects.

    `get_compile_config` has names instead, which bring back only what is registered.
    """
    return model._compile_config.config
