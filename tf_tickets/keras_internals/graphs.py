"""The graph of a model: which layer calls which."""

import dataclasses
import inspect
from collections.abc import Sequence

import keras

from tf_tickets.errors import SettingError


def check_model(model) -> None:
    """Raise SettingError unless this is a Keras model."""
    if not isinstance(model, keras.Model):
        hint = " Load it first, by keras.models.load_model." if isinstance(model, str) else ""
        raise SettingError(
            f"`model` must be a Keras model. Received: a {type(model).__name__}.{hint}"
        )


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
    """Return the Functional model that a model is or, if Sequential and built, holds; else None."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


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
