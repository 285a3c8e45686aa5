"""The optimizers of a model, however many it has and wherever it keeps them."""

import textwrap

import keras

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import (
    build_for,
    nested_optimizers,
    trained_variables,
    unbuilt_copy,
)
from tf_tickets.protocols import HasOptimizers, has_ability


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the model's `optimizers`, where it names several, or else its one optimizer.

    Raises:
        SettingError: if the model is not compiled.
    """
    if getattr(model, "optimizer", None) is None:
        raise SettingError(f"{model.name} has no optimizer yet: call compile() first.")
    return model.optimizers if has_ability(model, HasOptimizers) else [model.optimizer]


# `iterations` of an optimizer counts its updates, the variable behind it every gradient.
_CHANGE_WITH_GRADIENTS = ("iteration", "step_counter", "dynamic_scale")


class UpdateCounter:
    """Counts the updates of a model while it is trained, however many optimizers it has.

    Each time that it is asked, the count grows by the fewest updates that any optimizer has made
    since, of those that made some. So a GAN's step is one, whatever its critic does in it, and what
    stands still, such as an optimizer of another phase, does not count. At first it is what the
    optimizers bring along from trainings before.

    Args:
        model: whose optimizers are its attributes, or within them.
    """

    def __init__(self, model: keras.Model):
        self._optimizers = list(nested_optimizers(model))
        self._seen = [0] * len(self._optimizers)
        self._count = 0
        self._first_gradients = self._gradients()

    def __call__(self) -> int:
        """Return the number of updates so far."""
        made = [int(each.iterations.numpy()) for each in self._optimizers]
        moved = [now - before for now, before in zip(made, self._seen, strict=True)]
        self._seen = made
        self._count += min((change for change in moved if change > 0), default=0)
        return self._count

    @property
    def stands_still(self) -> bool:
        """Whether no optimizer was given gradients since the counter was made.

        One that adds up those of several batches, or whose loss scale lets it leave out an update,
        may have been given some and have made no update yet.
        """
        return self._gradients() == self._first_gradients

    def _gradients(self) -> dict:
        """Return the numbers of the optimizers that change with each gradient, used or not."""
        return {
            id(variable): float(variable.numpy())
            for optimizer in self._optimizers
            for variable in optimizer.variables
            if variable.name in _CHANGE_WITH_GRADIENTS
        }


def without_state(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a copy of an optimizer as it was before its first update, which is not built.

    Raises:
        SettingError: if there is no such copy, as it holds something that cannot be copied.
    """
    try:
        return unbuilt_copy(optimizer)
    except Exception as error:  # it is the user's own code that fails here, in any way
        raise SettingError(
            f"The optimizer {optimizer.name} cannot be made anew for a further training "
            f"({textwrap.shorten(str(error), 100)}). Compile the model with a new one first, or "
            "only within the training."
        ) from error


def reset_optimizer(optimizer: keras.optimizers.Optimizer, unbuilt) -> None:
    """Return an optimizer to the state that it had before its first update.

    Args:
        optimizer: with state or without.
        unbuilt: what `without_state` returned of it; it stays unbuilt.
    """
    if optimizer.built:
        fresh = unbuilt_copy(unbuilt)
        build_for(fresh, trained_variables(optimizer))
        for variable, initial in zip(optimizer.variables, fresh.variables, strict=True):
            variable.assign(initial.value)
