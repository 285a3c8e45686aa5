"""Keeping pruned weights at zero while anything trains the model."""

import contextlib

import keras

from tf_tickets.pruning.masks import Masks


class MaskConstraint(keras.constraints.Constraint):
    """Sets to zero what a mask removes; Keras applies it after every optimizer update.

    Args:
        mask: `keras.Variable` of the weight's shape and dtype, 1 where the weight is kept and 0
            where not. Assigning to it changes the constraint without a new trace.
        inner: the constraint that the variable had before, applied first, or `None`.
    """

    def __init__(self, mask: keras.Variable, inner=None):
        self.mask = mask
        self.inner = inner

    def __call__(self, weights):
        if self.inner is not None:
            weights = self.inner(weights)
        return weights * self.mask


class HeldMasks:
    """The masks that a model is held to; `assign` replaces them while training goes on.

    Attributes:
        pairs: list of (variable, mask variable); the mask variables are what TF-MOT's `Pruning`
            updates.
    """

    def __init__(self, model: keras.Model, masks: Masks):
        masks.check_fits(model.variables)
        variables = {variable.path: variable for variable in model.variables}
        self.pairs = [(variables[path], _mask_variable(variables[path])) for path in masks]
        self.assign(masks)

    @property
    def masks(self) -> Masks:
        """The masks held at this moment."""
        return Masks(
            {v.path: keras.ops.convert_to_numpy(mask.value) != 0 for v, mask in self.pairs}
        )

    def assign(self, masks: Masks) -> None:
        """Hold the model to other masks of the same variables from now on.

        Raises:
            SettingError: if the masks are not of these variables; the message names the first.
        """
        masks.check_covers([variable for variable, _ in self.pairs])
        for variable, mask in self.pairs:
            mask.assign(masks[variable.path].astype(variable.dtype))
        self.apply()

    def apply(self) -> None:
        """Set to zero now what the masks remove."""
        for variable, mask in self.pairs:
            variable.assign(variable.value * mask.value)

    def attach(self) -> None:
        """Make the masks the variables' constraints, on top of those that they have."""
        for variable, mask in self.pairs:
            variable.constraint = MaskConstraint(mask, variable.constraint)

    def detach(self) -> None:
        """Give the variables back the constraints that they had."""
        for variable, _ in self.pairs:
            variable.constraint = variable.constraint.inner


def _mask_variable(variable):
    return keras.Variable("ones", shape=variable.shape, dtype=variable.dtype, trainable=False)


@contextlib.contextmanager
def hold(model: keras.Model, masks: Masks):
    """Keep the weights that `masks` removes at exactly zero while anything trains the model.

    The masks are applied at once. On leaving the zeros stay, but nothing holds them any more. A
    constraint that a kernel has of its own goes on being applied. Holds may be nested.

    Args:
        model: a built Keras model, compiled or not.
        masks: masks of some of its variables.

    Yields:
        HeldMasks, whose `assign(masks)` changes the masks without a new trace.

    Raises:
        SettingError: if a mask has no variable, or another shape than its variable.
    """
    held = HeldMasks(model, masks)
    held.attach()
    _make_train_function_anew(model)
    try:
        yield held
    finally:
        held.detach()
        _make_train_function_anew(model)


def _make_train_function_anew(model):
    # A step that was traced before goes on without the constraints that were set since.
    if getattr(model, "train_function", None) is not None:
        model.make_train_function(force=True)
