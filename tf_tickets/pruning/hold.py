"""Keeping pruned weights at zero while anything trains the model."""

import contextlib
import functools
import warnings
from collections.abc import Callable

import keras
import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model, moving_averages, nested_optimizers, retrace
from tf_tickets.names import NamedVariables, variable_names
from tf_tickets.protocols import averages_of
from tf_tickets.pruning.masks import Masks, masks_for


class MaskConstraint(keras.constraints.Constraint):
    """Sets to zero what a mask removes; Keras applies it after every optimizer update.

    Args:
        mask: `keras.Variable` of the weight's shape and dtype, 1 where the weight is kept and 0
            where not. Assigning to it changes the constraint without a new trace.
        averages: returns the weight's moving averages, which are masked with it. Keras updates
            them just before it applies constraints, and in the end puts them in the weight's place.
        inner: the constraint that the variable had before, applied first, or `None`.
    """

    def __init__(self, mask: keras.Variable, averages: Callable[[], list], inner=None):
        self.mask = mask
        self.averages = averages
        self.inner = inner

    def __call__(self, weights):
        if self.inner is not None:
            weights = self.inner(weights)
        for average in self.averages():
            average.assign(average * self.mask)
        return weights * self.mask


class HeldMasks:
    """The masks that a model is held to; `assign` replaces them while training goes on.

    Attributes:
        variables: the variables that have a mask, which know their names.
        pairs: list of (variable, mask variable); the mask variables are what TF-MOT's `Pruning`
            updates.
    """

    def __init__(self, model: keras.Model, masks, optimizers=()):
        check_model(model)
        _check_optimizers(optimizers)
        masks = masks_for(model, masks)
        variables = variable_names(model)
        self.variables = NamedVariables({name: variables[name] for name in masks})
        with model.distribute_strategy.scope():
            self.pairs = [(variable, _mask_variable(variable)) for variable in self.variables]
        self._model = model
        self._optimizers = optimizers
        self._constraints = []
        self.assign(masks)

    @property
    def masks(self) -> Masks:
        """The masks held at this moment."""
        return Masks({name: mask.numpy() != 0 for name, (_, mask) in self._named_pairs()})

    def assign(self, masks) -> None:
        """Hold the model to other masks of the same variables from now on.

        Raises:
            SettingError: if the masks are not of these variables; the message names the first.
        """
        masks = masks_for(self._model, masks)
        masks.check_covers(self.variables)
        for name, (variable, mask) in self._named_pairs():
            mask.assign(masks[name].astype(variable.dtype))
        self.apply()

    def apply(self) -> None:
        """Set to zero now what the masks remove."""
        for variable, mask in self.pairs:
            for value in (variable, *self._averages(variable)):
                value.assign(value.value * mask.value)

    def check(self) -> None:
        """Warn, and set to zero again, where a removed weight is not zero."""
        revived = [
            name
            for name, (variable, mask) in self._named_pairs()
            if np.any(variable.numpy()[mask.numpy() == 0])
        ]
        if revived:
            self.apply()
            warnings.warn(
                f"{', '.join(revived)}: weights that the masks remove were not zero any more, and "
                "are set to zero now. Something else than an optimizer of Keras changed them, or a "
                "training step that tf.function had traced before the model was held: define it "
                "anew within `hold`. Averages of weights are named in the model's `averages`.",
                stacklevel=4,
            )

    def attach(self) -> None:
        """Make the masks the variables' constraints, on top of those that they have."""
        for variable, mask in self.pairs:
            # The averages are looked up when a step is traced: only then are they sure to exist.
            averages = functools.partial(self._averages, variable)
            variable.constraint = MaskConstraint(mask, averages, variable.constraint)
            self._constraints.append(variable.constraint)

    def detach(self) -> None:
        """Give the variables back the constraints that they had."""
        for (variable, _), constraint in zip(self.pairs, self._constraints, strict=True):
            variable.constraint = _without(variable.constraint, constraint)

    def _named_pairs(self):
        return zip(self.variables.names, self.pairs, strict=True)

    def _averages(self, variable) -> list:
        """Return the moving averages of a variable that the model or its optimizers keep."""
        own = averages_of(self._model)
        return [average for trained, average in own if trained is variable] + [
            average
            for optimizer in (*nested_optimizers(self._model), *self._optimizers)
            for average in moving_averages(optimizer, variable)
        ]


def _check_optimizers(optimizers):
    listed = optimizers if isinstance(optimizers, list | tuple) else [optimizers]
    kind = keras.optimizers.Optimizer
    if listed is not optimizers or not all(isinstance(each, kind) for each in listed):
        raise SettingError(
            "`optimizers` must be a list of Keras optimizers. Received: "
            f"{', '.join(type(each).__name__ for each in listed)}"
        )


def _mask_variable(variable):
    return keras.Variable("ones", shape=variable.shape, dtype=variable.dtype, trainable=False)


def _without(constraint, removed):
    # Not always the outermost: a hold that an exception left open may end after a later one began.
    if constraint is removed:
        return removed.inner
    if isinstance(constraint, MaskConstraint):
        constraint.inner = _without(constraint.inner, removed)
    return constraint


@contextlib.contextmanager
def hold(model: keras.Model, masks, optimizers=()):
    """Keep the weights that `masks` removes at exactly zero while anything trains the model.

    The masks are applied at once. On leaving the zeros stay, but nothing holds them any more. A
    constraint that a kernel has of its own goes on being applied. Holds may be nested. Nothing is
    held before `with` enters the block: the call alone does nothing.

    A training step of your own, compiled by `tf.function`, is to be traced within the hold, as a
    trace does not see constraints that come later; `fit` traces its step anew by itself.

    Args:
        model: a built Keras model, compiled or not.
        masks: `Masks` of some of its variables, or a `Ticket`. The moving averages that its
            optimizers keep of these (`use_ema`), or that the model itself names as pairs of
            (variable, average) in an attribute `averages`, are masked too.
        optimizers: those of a loop of your own that average weights and that the model does not
            have as attributes.

    Yields:
        HeldMasks, whose `assign(masks)` changes the masks without a new trace.

    Warns:
        UserWarning: on leaving, if removed weights are not zero; they are then set to zero.

    Raises:
        SettingError: if a mask has no variable, or another shape than its variable, or `optimizers`
            are none.
    """
    with holding(model, masks, optimizers) as held:
        yield held
        held.check()


@contextlib.contextmanager
def holding(model: keras.Model, masks, optimizers=()):
    """Do as `hold` does, but leave the weights as they are in the end.

    For a training that `fit` steps, which is always traced anew: what else than its optimizer
    changed the weights, such as another callback, meant to.
    """
    held = HeldMasks(model, masks, optimizers)
    held.attach()
    retrace(model)
    try:
        yield held
    finally:
        held.detach()
        retrace(model)
