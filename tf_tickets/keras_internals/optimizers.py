"""What an optimizer was told, and what it remembers."""

import copy
from collections.abc import Callable, Iterator, Sequence

import keras


def nested_optimizers(owner) -> Iterator[keras.optimizers.Optimizer]:
    """Yield the optimizers that a model or an optimizer has, however they are nested."""
    for value in _flattened(list(vars(owner).values())):
        if isinstance(value, keras.optimizers.Optimizer):
            yield value
            yield from nested_optimizers(value)


def _flattened(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _flattened(item)
    else:
        yield value


def innermost(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return the optimizer that updates the weights: the one that a loss scale is put around."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def trained_variables(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the variables that an optimizer was built for, in its order; none before that."""
    return optimizer._trainable_variables


def slots_of(optimizer: keras.optimizers.Optimizer) -> dict[int, list[keras.Variable]]:
    """Return what an optimizer remembers of each variable that it trains, by the variable's `id`.

    Slots are variables of the trained one's shape, such as Adam's two moments, accumulated
    gradients, and the moving average of `use_ema`. What has another shape, as Adafactor's factored
    moments, is left out.
    """
    inner = innermost(optimizer)
    trained = inner._trainable_variables
    slots = {id(variable): [] for variable in trained}
    for name, values in vars(inner).items():
        of_each = isinstance(values, list) and len(values) == len(trained)
        if of_each and name not in ("_trainable_variables", "_variables"):
            for variable, slot in zip(trained, values, strict=True):
                if getattr(slot, "shape", None) == variable.shape:
                    slots[id(variable)].append(slot)
    return slots


def moving_averages(optimizer: keras.optimizers.Optimizer, variable) -> list[keras.Variable]:
    """Return the moving average of a variable that an optimizer keeps (`use_ema`), or no element.

    An optimizer within this one is not looked into.
    """
    if not (optimizer.use_ema and optimizer.built):
        return []
    averages = optimizer._model_variables_moving_average
    pairs = zip(optimizer._trainable_variables, averages, strict=True)
    return [average for trained, average in pairs if trained is variable]


def schedule_of(optimizer: keras.optimizers.Optimizer) -> Callable | None:
    """Return the function that gives an optimizer its learning rate; None if that is a number.

    `optimizer.learning_rate` is the number of the moment in both cases.
    """
    return optimizer._learning_rate if callable(optimizer._learning_rate) else None


def unbuilt_copy(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Return a copy of an optimizer that is not built, part by part.

    Keras's own copy goes through the config, which need not bring back what a user has written.
    """
    copied = object.__new__(type(optimizer))
    inner = {id(each): unbuilt_copy(each) for each in nested_optimizers(optimizer)}
    strategy = optimizer._distribution_strategy
    memo = {id(optimizer): copied, id(strategy): strategy, **inner}
    vars(copied).update(copy.deepcopy(vars(optimizer), memo))
    return copied


def build_for(optimizer: keras.optimizers.Optimizer, variables: Sequence) -> None:
    """Build an optimizer for some variables, under the strategy that it was made under."""
    with optimizer._distribution_strategy.scope():
        optimizer.build(variables)
