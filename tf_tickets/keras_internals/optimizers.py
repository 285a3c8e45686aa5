"""What an optimizer was told, and what it remembers."""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence

import keras

from tf_tickets.keras_internals.layers import OF_TENSORFLOW, flattened


def nested_optimizers(owner) -> Iterator[keras.optimizers.Optimizer]:
    """Yield the optimizers that a model or an optimizer has, each once, however they are nested."""
    yield from _nested(owner, set())


def _nested(owner, seen):
    for value in flattened(list(vars(owner).values())):
        if isinstance(value, keras.optimizers.Optimizer) and id(value) not in seen:
            seen.add(id(value))
            yield value
            yield from _nested(value, seen)


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
    slots = {}
    for each in (optimizer, *nested_optimizers(optimizer)):
        trained = each._trainable_variables
        for variable in trained:
            slots.setdefault(id(variable), [])
        for name, values in vars(each).items():
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


# What an optimizer has made for itself, and not been told.
_OF_ITS_OWN = {
    *("built", "_iterations", "_learning_rate", "_variables", "_tracker", "_trainable_variables"),
    *("_trainable_variables_indices", "_distribution_strategy", "_exclude_from_weight_decay_cache"),
}


def unbuilt_copy(
    optimizer: keras.optimizers.Optimizer, replaced: Sequence[tuple] = ()
) -> keras.optimizers.Optimizer:
    """Return a copy of an optimizer that is told all that it was, and is not built.

    Keras's own copy goes through the config, which need not bring back what a user has written,
    and holds nothing of what was told by methods: which variables have no weight decay, which of
    a MultiOptimizer's parts a variable has.

    Args:
        optimizer: built or not; one that others are in is copied with them.
        replaced: pairs of a variable and the one that the copy has in its place, in lists and
            dicts too, and wherever it goes by the ids of variables. Others stay as they are.
    """
    strategy = optimizer._distribution_strategy
    pairs = [*((variable, variable) for variable in trained_variables(optimizer)), *replaced]
    memo = {id(strategy): strategy, **{id(old): new for old, new in pairs}}
    # Both what Keras calls a variable by, and what Python does.
    keys = {optimizer._var_key(old): optimizer._var_key(new) for old, new in pairs}
    keys |= {id(old): id(new) for old, new in pairs}
    return _told(optimizer, memo, keys, {id(variable) for variable in optimizer.variables})


def _told(optimizer, memo, keys, state):
    """Return an unbuilt copy; `memo` is filled, as `copy.deepcopy` does it.

    Args:
        optimizer: the original.
        memo: `id` of what the original refers to -> what the copy refers to.
        keys: what a variable goes by -> what the one in its place goes by.
        state: ids of the variables that the optimizer, or one around it, remembers things by.
    """
    copied = memo[id(optimizer)] = object.__new__(type(optimizer))
    for inner in nested_optimizers(optimizer):
        if id(inner) not in memo:
            _told(inner, memo, keys, state | {id(variable) for variable in inner.variables})
    rate = schedule_of(optimizer) or float(keras.ops.convert_to_numpy(optimizer._learning_rate))
    with optimizer._distribution_strategy.scope():
        keras.optimizers.Optimizer.__init__(copied, rate, name=optimizer.name)
    for name, value in vars(optimizer).items():
        remembers = any(id(each) in state and id(each) not in memo for each in flattened(value))
        if name not in _OF_ITS_OWN and not name.startswith(OF_TENSORFLOW) and not remembers:
            setattr(copied, name, copy.deepcopy(_by_new_keys(value, keys), memo))
    if isinstance(optimizer, keras.optimizers.MultiOptimizer) and optimizer.built:
        _choose_alike(optimizer, copied, keys)
    return copied


def _by_new_keys(value, keys):
    """Return a set or a dict, which may go by variables, with what the new ones go by.

    It and a list are plain ones then; those of Keras know the original optimizer.
    """
    if isinstance(value, list):
        return list(value)
    if isinstance(value, set):
        return {keys.get(each, each) for each in value}
    if isinstance(value, dict):
        return {keys.get(key, key): each for key, each in value.items()}
    return value


def _choose_alike(optimizer, copied, keys):
    """Let a copied MultiOptimizer choose for each variable the copy of what the original chose.

    A function that chooses knows the originals alone; a map of patterns is copied as it is.
    """
    if inspect.isroutine(optimizer._optimizer_map):
        chosen = {
            keys[key]: copied._inner_optimizers[index]
            for key, index in optimizer._var_to_optimizer_idx.items()
        }
        copied._optimizer_map = lambda variable: chosen[copied._var_key(variable)]


def build_for(optimizer: keras.optimizers.Optimizer, variables: Sequence) -> None:
    """Build an optimizer for some variables, under the strategy that it was made under."""
    with optimizer._distribution_strategy.scope():
        optimizer.build(variables)
