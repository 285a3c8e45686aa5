"""The graph of a model: which layer calls which."""

import dataclasses
import inspect
from collections.abc import Sequence

import keras
from keras.src.models.functional import Functional

from tf_tickets.errors import SettingError


def check_model(model, kind: type = keras.Model) -> None:
    """Raise SettingError unless this is a model of Keras 3.

    Every public function that takes a model asks here, first of all.

    Args:
        model: what was given.
        kind: `keras.layers.Layer` where a layer will do.
    """
    if isinstance(model, kind):
        return
    if any(base.__module__.partition(".")[0] == "tf_keras" for base in type(model).__mro__):
        raise SettingError(
            f"`model` must be a model of Keras 3. Received: a {type(model).__name__} of tf_keras, "
            'which is Keras 2. Write it by model.save("model.h5"), load it by '
            'keras.models.load_model("model.h5", compile=False), or build it of layers of `keras`.'
        )
    hint = " Load it first, by keras.models.load_model." if isinstance(model, str) else ""
    raise SettingError(f"`model` must be a Keras model. Received: a {type(model).__name__}.{hint}")


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer or an operation in a model's graph; a shared layer has several.

    Attributes:
        operation: what is called: a `keras.layers.Layer`, which may be a model, or a
            `keras.Operation`, such as the sum of two tensors.
        inputs: the Keras tensors that it is given, however its arguments hold them.
        outputs: the Keras tensors that it returns.
        args, kwargs: all that it is given, as it was passed.
    """

    operation: keras.Operation
    inputs: Sequence
    outputs: Sequence
    args: tuple
    kwargs: dict

    @property
    def arguments(self) -> dict:
        """What it is given, by the names that its `call` has for them."""
        return inspect.signature(self.operation.call).bind(*self.args, **self.kwargs).arguments


def graph_of(model) -> keras.Model | None:
    """Return the Functional model that a model is or, if Sequential and built, holds; else None.

    A class of the user's with a `call` of its own may compute something else than its graph says:
    None, too.
    """
    if not is_network(model) or type(model).call not in (Functional.call, keras.Sequential.call):
        return None
    return model._functional if isinstance(model, keras.Sequential) else model


def is_network(model) -> bool:
    """Return whether a model is Functional or Sequential, whatever its class does besides."""
    return isinstance(model, Functional | keras.Sequential)


def calls_of(graph: keras.Model) -> list[Call]:
    """Return the calls of layers and operations in a Functional model, except for its inputs.

    Each comes after those whose outputs it needs.

    Args:
        graph: as `graph_of` returns it.
    """
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth]]
    return [
        Call(
            node.operation,
            node.input_tensors,
            node.outputs,
            node.arguments.args,
            node.arguments.kwargs,
        )
        for node in nodes
        if not node.is_input
    ]


def kind_of(operation: keras.Operation) -> str:
    """Return what an operation of a graph does, such as "Add" for `x + y` and `keras.ops.add`.

    The classes that Keras makes of operators have no public name.
    """
    return type(operation).__name__
