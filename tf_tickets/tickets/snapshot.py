"""A model's whole state at one step: what rewinding returns to."""

import keras
import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.optimizers import optimizers_of
from tf_tickets.pruning.masks import under_own_paths


def take_snapshot(model: keras.Model, optimizer: bool = False) -> dict[str, np.ndarray]:
    """Return a copy of the model's state: variable path -> array.

    Weights, moving statistics and the states of random generators; not the metrics.

    Args:
        model: a built Keras model.
        optimizer: whether to add the optimizers' state, under paths that begin with "optimizer/".

    Raises:
        SettingError: if two variables share a path, so that the paths cannot name them, or if
            there is no optimizer.
    """
    state = {}
    for path, variable in _named_variables(model, optimizer):
        if path in state:
            raise SettingError(f"Two variables of {model.name} are called {path}: name the layers.")
        state[path] = np.array(variable.numpy())
    return state


def restore_snapshot(model: keras.Model, snapshot: dict[str, np.ndarray]) -> None:
    """Set a model's state, and the optimizer's where the snapshot holds it, bit for bit.

    Args:
        model: a built Keras model with the same variables.
        snapshot: variable path -> array, as `take_snapshot` returns it.

    Raises:
        SettingError: if the snapshot is of another model; the message names the first difference.
    """
    snapshot = under_own_paths(snapshot, model)
    optimizer = any(path.startswith("optimizer/") for path in snapshot)
    variables = dict(_named_variables(model, optimizer))
    check_same_shapes(
        {path: tuple(variable.shape) for path, variable in variables.items()},
        {path: np.shape(value) for path, value in snapshot.items()},
        model.name,
    )
    for path, variable in variables.items():
        variable.assign(snapshot[path])


def check_same_shapes(expected: dict, received: dict, model_name: str) -> None:
    """Raise SettingError, naming the first variable that is absent or has another shape."""
    for path in {**expected, **received}:
        if expected.get(path) != received.get(path):
            raise SettingError(
                f"These weights are for another network than {model_name}: {path} is "
                f"{expected.get(path, 'absent')} in the model and "
                f"{received.get(path, 'absent')} in the weights. If it is the same network, name "
                "it and its layers, as Keras numbers those without a name over the whole process."
            )


def _named_variables(model, optimizer):
    for variable in model.weights:
        yield variable.path, variable
    # Keras numbers random generators and optimizers over the whole process, so their own paths do
    # not last.
    weights = {id(variable) for variable in model.weights}
    states = [variable for variable in model.variables if id(variable) not in weights]
    for number, variable in enumerate(states):
        yield f"random_state/{number}", variable
    if optimizer:
        states = [variable for each in optimizers_of(model) for variable in each.variables]
        for number, variable in enumerate(states):
            yield f"optimizer/{number}/{variable.name}", variable
