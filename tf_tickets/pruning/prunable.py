"""Which weights may be pruned."""

import math
from collections.abc import Collection

import keras

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model
from tf_tickets.names import NamedVariables, names_of
from tf_tickets.protocols import averages_of, named_components
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.zeros import mask_of_zeros


def prunable(model: keras.Model, scope=None) -> NamedVariables:
    """Return the kernels of a model that may be pruned, in the model's order.

    Only kernels: the trainable variables of two axes or more whose name ends in "kernel". Never a
    bias, nor a normalisation's gamma or beta: they are few, and without them a layer is broken. Nor
    the average of a weight that the model names in `averages`: it follows that weight's mask.

    Args:
        model: a built Keras model of any kind.
        scope: `None` for the whole model; the name of one of `model.components`; a layer or a
            model within the model; a predicate that is given each kernel and says whether it may be
            pruned; or a list of these, in which a kernel has to fit all predicates.

    Returns:
        A list of Keras variables, which knows their places in the model: masks and scores go by
        its `names`, and `items()` are the pairs of both.

    Raises:
        SettingError: if no kernel is left, as in a model that is not built yet, or the scope is
            none of these; the message says what there is.
    """
    check_model(model)
    parts = _parts_in_scope(model, scope)
    for part in parts:
        if not part.variables and not part.built:
            raise SettingError(
                f"{part.name} has no variables yet, so nothing can be pruned: call it on a batch "
                "of inputs first, or build() it."
            )
    inside = {id(variable) for part in parts for variable in part.trainable_variables}
    averages = {id(average) for _, average in averages_of(model)}
    kernels = [v for v in model.trainable_variables if id(v) in inside - averages and _is_kernel(v)]
    predicates = [each for each in _listed(scope) if _is_predicate(each)]
    kernels = [kernel for kernel in kernels if all(fits(kernel) for fits in predicates)]
    if not kernels:
        quantised = any(_is_kernel(v) and _is_quantised(v) for v in model.variables)
        hint = " Its kernels are quantised: prune it before that." if quantised else ""
        if inside & averages:
            hint += " Moving averages follow the masks of what they average."
        raise SettingError(
            f"There is no kernel to prune: scope={scope!r} matches none of the "
            f"{len(model.trainable_variables)} trainable variables of {model.name}.{hint}"
        )
    names = names_of(model)
    return NamedVariables({names[id(kernel)]: kernel for kernel in kernels})


def why_not_prunable(variable: keras.Variable) -> str:
    """Return why `prunable` leaves a variable of a model out; empty where it does not."""
    if _is_kernel(variable):
        if _is_quantised(variable):
            return "quantised: prune it before it is quantised, and its zeros stay zeros"
        return "" if variable.trainable else "frozen: it is not trainable"
    if variable.name.endswith("bias"):
        return "a bias: few weights, each of which shifts a whole channel"
    if variable.name in ("gamma", "beta", "scale"):
        return "of a normalisation: a layer is broken without it"
    if variable.name.endswith("embeddings"):
        return "an embedding: a table of rows, each read by itself"
    return "not called a kernel" if variable.trainable else "state, which no gradient trains"


def masks_of_zeros(model: keras.Model, scope=None) -> Masks:
    """Return the masks that a pruned model's own zeros are: `True` where a weight is not zero.

    A pruned weight is exactly zero, so masks need no file of their own. Whatever keeps the weights
    (a `.keras` or `.weights.h5` file, a `tf.train.Checkpoint`, `BackupAndRestore`) keeps them:

        model = keras.models.load_model("pruned.keras")
        model.fit(images, callbacks=[tt.callbacks.HoldMasks(tt.masks_of_zeros(model))])

    A kernel that is zero everywhere was not pruned, which leaves each a weight at least, but has
    yet to learn: its mask keeps all of it. Other zeros cannot be told from pruned weights, be they
    by chance or of an initializer such as "identity": hold these models by their masks.

    Args:
        model: a built Keras model of any kind.
        scope: as `prunable` takes it.

    Returns:
        Masks of all kernels that `prunable` finds, those without a zero included.

    Raises:
        SettingError: as `prunable` does.
    """
    kernels = prunable(model, scope)
    return Masks({name: mask_of_zeros(kernel.numpy()) for name, kernel in kernels.items()})


def num_values(variables) -> int:
    """Return how many numbers the given Keras variables hold together."""
    return sum(math.prod(variable.shape) for variable in variables)


def _parts_in_scope(model, scope) -> list:
    """Return the layers and models whose kernels are in a scope, before a predicate chooses."""
    if scope is None:
        return [model]
    given = _listed(scope)
    named = [each for each in given if not _is_predicate(each)]
    return [part_of(model, each) for each in named] if named or not given else [model]


def part_of(model: keras.Model, scope):
    """Return a layer or model within a model, given as such or as the name of a component.

    Raises:
        SettingError: if it is neither; the message says what there is.
    """
    if isinstance(scope, keras.layers.Layer):
        return scope
    components = named_components(model)
    if isinstance(scope, str) and scope in components:
        return components[scope]
    hint = ""
    if any(layer.name == scope for layer in model.layers):
        hint = f" Did you mean model.get_layer({scope!r})?"
    raise SettingError(
        f"`scope` must be None, the name of a component ({', '.join(components) or 'none here'}), "
        f"a layer or a model within {model.name}, a list of these, or a predicate of a kernel. "
        f"Received: {scope!r}.{hint}"
    )


def _listed(scope):
    several = isinstance(scope, Collection) and not isinstance(scope, str)
    return list(scope) if several else [scope]


def _is_predicate(scope):
    return callable(scope) and not isinstance(scope, keras.layers.Layer | type)


def _is_quantised(variable):
    return "int" in variable.dtype


def _is_kernel(variable):
    return variable.name.endswith("kernel") and len(variable.shape) >= 2
