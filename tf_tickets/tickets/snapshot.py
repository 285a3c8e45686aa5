"""A model's whole state at one step: what rewinding returns to."""

import hashlib
import re
from collections.abc import Iterator

import keras
import numpy as np

from tf_tickets.errors import SettingError, check_mapping
from tf_tickets.keras_internals import (
    adapted_state,
    check_model,
    layers_of,
    retrace,
    update_constants,
)
from tf_tickets.names import under_names, variable_names
from tf_tickets.optimizers import optimizers_of
from tf_tickets.pruning.masks import as_array


def take_snapshot(model: keras.Model, optimizer: bool = False) -> dict[str, np.ndarray]:
    """Return a copy of the model's state: variable name -> array.

    Weights, moving statistics and the states of random generators; not the metrics. What a layer
    has adapted to and keeps in no weight, such as a vocabulary, is not in it: only its SHA-256 is,
    under names that begin with "adapted/".

    Args:
        model: a built Keras model.
        optimizer: whether to add the optimizers' state, under names that begin with "optimizer/".

    Raises:
        SettingError: if there is no optimizer.
    """
    state = {name: np.array(variable.numpy()) for name, variable in _named_state(model, optimizer)}
    return {**state, **_adapted(model)}


def restore_snapshot(model: keras.Model, snapshot: dict[str, np.ndarray]) -> None:
    """Set a model's state, and the optimizer's where the snapshot holds it, bit for bit.

    Args:
        model: a built Keras model with the same variables.
        snapshot: variable name -> array, as `take_snapshot` returns it.

    Raises:
        SettingError: if the snapshot maps no names to arrays of real numbers; if it is of another
            model, or of one whose layers have adapted to something else, or a value has no equal in
            the type of its variable; the message names the first difference.
    """
    check_model(model)
    check_mapping("snapshot", snapshot, "names of variables to arrays, as tt.take_snapshot does")
    snapshot = under_names(model, snapshot)
    snapshot = {name: check_real(name, value) for name, value in snapshot.items()}
    _check_adapted(model, snapshot)
    snapshot = {name: value for name, value in snapshot.items() if not _is_adapted(name)}
    optimizer = any(name.startswith("optimizer/") for name in snapshot)
    variables = dict(_named_state(model, optimizer))
    check_same_shapes(
        {name: tuple(variable.shape) for name, variable in variables.items()},
        {name: np.shape(value) for name, value in snapshot.items()},
        model.name,
    )
    for name, variable in variables.items():
        _check_same_bits(name, snapshot[name], variable.dtype)
    for name, variable in variables.items():
        variable.assign(snapshot[name])
    if update_constants(model):
        retrace(model, answers=True)  # a trace holds constants as they were


def check_real(name: str, value) -> np.ndarray:
    """Return the value of a variable as an array; SettingError if it is not one of real numbers."""
    array = as_array(value)
    if not np.can_cast(array.dtype, np.float64):  # bfloat16 can be, text and complex cannot
        raise SettingError(
            f"Weights must be arrays of real numbers. Received for {name}: {array.dtype}"
        )
    return array


def _check_same_bits(name, value, dtype):
    """Refuse a value that another type would change: float64 in float32, or float32 in 16 bits."""
    value = np.asarray(value)
    if value.dtype.name == dtype:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        kept = value.astype(dtype).astype(value.dtype)
    same = (kept == value) | ((kept != kept) & (value != value))  # NaN is kept as NaN
    if not same.all():
        raise SettingError(
            f"These weights are for a model of another precision: {name} is {dtype} in the model "
            f"and {value.dtype.name} in the weights, whose bits it cannot hold. Build the model "
            f"with the dtype {value.dtype.name}."
        )


def check_same_shapes(expected: dict, received: dict, model_name: str) -> None:
    """Raise SettingError, naming the first variable that is absent or has another shape."""
    for name in {**expected, **received}:
        if expected.get(name) != received.get(name):
            raise SettingError(
                f"These weights are for another network than {model_name}: {name} is "
                f"{expected.get(name, 'absent')} in the model and "
                f"{received.get(name, 'absent')} in the weights."
            )


def _adapted(model) -> dict[str, np.ndarray]:
    """Return the SHA-256 of what each layer has adapted to, and keeps in no variable."""
    found = {}
    for layer in layers_of(model):
        state = adapted_state(layer)
        if state:
            name = f"adapted/{len(found)}/{type(layer).__name__}"
            found[name] = np.frombuffer(hashlib.sha256(state).digest(), np.uint8)
    return found


def _is_adapted(name) -> bool:
    return name.startswith("adapted/")


def _check_adapted(model, snapshot):
    """Raise SettingError unless the layers have adapted to the same as those of the snapshot."""
    here = _adapted(model)
    there = {name: value for name, value in snapshot.items() if _is_adapted(name)}
    for name in {**here, **there}:
        if name not in here or name not in there or not np.array_equal(here[name], there[name]):
            kind = name.split("/")[-1]
            raise SettingError(
                f"A {kind} of {model.name} has adapted to something else than where these weights "
                "are from, or not at all: weights hold neither a vocabulary nor bins. Call adapt() "
                "on the same data first, or load the model that the weights are from."
            )


def _named_state(model, optimizer) -> Iterator[tuple]:
    """Yield what a snapshot holds: name, variable."""
    check_model(model)
    weights = {id(variable) for variable in model.weights}
    names = variable_names(model)
    for name, variable in names.items():
        if id(variable) in weights:
            yield name, variable
    states = [variable for variable in model.variables if id(variable) not in weights]
    for number, variable in enumerate(states):
        yield f"random_state/{number}", variable
    if optimizer:
        states = [variable for each in optimizers_of(model) for variable in each.variables]
        stems = {}
        for name, variable in names.items():
            stems.setdefault(_joined(variable.path), _joined(name))
        for number, variable in enumerate(states):
            yield f"optimizer/{number}/{_slot_name(variable.name, stems)}", variable


def _joined(path):
    return path.replace("/", "_")


def _slot_name(name, stems) -> str:
    """Return the name of an optimizer's variable, which Keras begins with a weight's path.

    That path is of this process alone where Keras numbered the weight's layer.

    Args:
        name: such as "dense_7_kernel_momentum".
        stems: how such names begin -> how they are to begin.
    """
    for end in reversed([match.start() for match in re.finditer("_", name)]):
        if name[:end] in stems:
            return stems[name[:end]] + name[end:]
    return name
