"""The optimizers of a model, however many it has and wherever it keeps them."""

import copy
from collections.abc import Iterator

import keras

from tf_tickets.errors import SettingError


def optimizers_of(model: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Return the model's `optimizers`, where it names several, or else its one optimizer.

    Raises:
        SettingError: if the model is not compiled.
    """
    if getattr(model, "optimizer", None) is None:
        raise SettingError(f"{model.name} has no optimizer yet: call compile() first.")
    return getattr(model, "optimizers", [model.optimizer])


def nested_optimizers(owner) -> Iterator[keras.optimizers.Optimizer]:
    """Yield the optimizers that a model or an optimizer has, however they are nested."""
    for value in vars(owner).values():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, keras.optimizers.Optimizer):
                yield item
                yield from nested_optimizers(item)


def num_updates(optimizers) -> int:
    """Return how many updates a model has seen: the fewest that any of its optimizers made.

    One that made none does not count: a model that brings optimizers of its own, under names of its
    own, is compiled with one that it never uses.

    Args:
        optimizers: of one model, as `nested_optimizers` yields them.
    """
    made = [int(keras.ops.convert_to_numpy(each.iterations)) for each in optimizers]
    return min((count for count in made if count), default=0)


def reset_optimizer(optimizer: keras.optimizers.Optimizer, config: dict) -> None:
    """Return an optimizer to the state that it had before its first update.

    Args:
        optimizer: with state or without.
        config: what its `get_config()` returned then.
    """
    if optimizer.built:
        fresh = type(optimizer).from_config(copy.deepcopy(config))  # which it may consume
        fresh.build(optimizer._trainable_variables)
        for variable, initial in zip(optimizer.variables, fresh.variables, strict=True):
            variable.assign(initial.value)
