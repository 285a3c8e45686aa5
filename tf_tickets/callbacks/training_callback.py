"""Beginning a callback's work once the model that `fit` trains has its weights."""

import textwrap
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model, layers_of


class TrainingCallback(keras.callbacks.Callback):
    """A callback that begins each training anew, as soon as the model is built.

    `fit` builds a subclassed model, or a Sequential one without an Input, as it traces its first
    step, when callbacks have been told already that the training and its first batch begin. Here
    they are told again just before that step makes an update. In a loop of one's own, which calls
    no `train_function`, a model has to be built before.
    """

    def set_model(self, model):
        """Note the model that is trained.

        Raises:
            SettingError: if it is no model of Keras 3. Keras 2 asks callbacks here, too, before it
                asks for what those of Keras 3 do not have.
        """
        check_model(model)
        super().set_model(model)

    def begin(self) -> None:
        """Begin with a training, once in each, when the model has its weights."""

    def before_batch(self) -> None:
        """Do what is due before each batch; all that callbacks restore is there by now."""

    def let_go(self) -> None:
        """Let go of what a training has set in the model, or of what one left that broke off."""

    def on_train_begin(self, logs=None):
        """Begin, or wait for the first batch where that builds the model."""
        self.let_go()
        _forget_waiting(self.model)
        self._has_begun = self.model.train_function is None or not lacks_weights(self.model)
        if self._has_begun:
            self.begin()

    def on_train_batch_begin(self, batch, logs=None):
        """Do what is due before this batch."""
        if self._has_begun:
            self.before_batch()
        else:
            before_first_step(self.model, self._begin_late)

    def on_train_end(self, logs=None):
        """Let go of the model."""
        self.let_go()

    def _begin_late(self):
        self._has_begun = True
        self.begin()
        self.before_batch()


def lacks_weights(model: keras.Model) -> bool:
    """Return whether a model, or a layer in it, has weights to come that its first call makes.

    A model that is never called, as a GAN of two built networks, has all of its own.
    """
    if not model.built and not model.variables:
        return True
    return any(not layer.built and _makes_weights(layer) for layer in layers_of(model))


def _makes_weights(layer):
    return type(layer).build not in (keras.layers.Layer.build, keras.Model.build)


def before_first_step(model: keras.Model, function: Callable[[], None]) -> None:
    """Call a function when the training step that comes next has built the model, and not begun.

    Args:
        model: one that `fit` trains, about to make its next step.
        function: several are called in the order in which they came.
    """
    if not isinstance(model.train_function, _FirstStep):
        model.train_function = _FirstStep(model)
    model.train_function.waiting.append(function)


class _FirstStep:
    """Takes the place of a model's training function until it is called."""

    def __init__(self, model):
        self.model = model
        self.function = model.train_function
        self.waiting = []

    def __call__(self, iterator):
        self.model.train_function = self.function
        _build_for(self.model, iterator)
        for function in self.waiting:
            function()
        return self.model.train_function(iterator)  # which may have been made anew meanwhile


def _forget_waiting(model):
    # Of a training that ended before its first step.
    if isinstance(model.train_function, _FirstStep):
        model.train_function = model.train_function.function


def _build_for(model, iterator) -> None:
    """Build a model as `fit` does, by tracing its training step, but without making that step.

    Raises:
        SettingError: if a step that is to run eagerly cannot be traced. What fails in another one
            is raised as it is, as it would be by `fit`.
    """

    @tf.function(autograph=False)
    def step(data):
        data = keras.tree.map_structure(_none_if_absent, data)
        model.distribute_strategy.run(model.train_step, args=(data,))

    try:
        step.get_concrete_function(iterator.element_spec)
    except Exception as error:
        if not model.run_eagerly:
            raise
        raise SettingError(
            f"{model.name} has no weights before its first batch, and its step, which runs "
            f"eagerly, cannot be traced to make them ({textwrap.shorten(str(error), 100)}): call "
            "the model on a batch of inputs before fit()."
        ) from error


def _none_if_absent(value):
    """Return a part of a batch as a training step is given it: None where there is none."""
    return None if isinstance(value, tf.experimental.Optional) else value
