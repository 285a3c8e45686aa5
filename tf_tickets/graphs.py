"""A Keras model's graph: what calls what, in an order in which it can be computed."""

import keras


def graph_of(model) -> keras.Model | None:
    """Return the Functional model that a model is or, if Sequential and built, holds; else None."""
    if isinstance(model, keras.Sequential):
        return model._functional
    return model if hasattr(model, "_nodes_by_depth") else None


def calls_of(graph: keras.Model) -> list:
    """Return the calls of layers and operations in a Functional model, less its inputs.

    Each is a Keras node, with `operation`, `input_tensors` and `outputs`; a shared layer has one
    for every call. None comes before what it needs. Keras has no public way to ask this.
    """
    depths = sorted(graph._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in graph._nodes_by_depth[depth]]
    return [node for node in nodes if not node.is_input]
