"""What a layer is made of, and what Keras notes of it."""

from collections.abc import Iterator

import keras

# What Keras keeps of a layer's parts, besides the attributes that hold them.
_BOOKKEEPING = {
    *("_trainable_variables", "_non_trainable_variables", "_seed_generators", "_layers"),
    *("_metrics", "_tracker", "_functional", "_operations", "_operations_by_depth"),
    *("_nodes", "_nodes_by_depth", "_inbound_nodes", "_outbound_nodes"),
}
_OF_TENSORFLOW = ("_self_", "_tf_")  # how the names of its own bookkeeping begin


def layers_of(model: keras.Model) -> list[keras.layers.Layer]:
    """Return a model and all layers in it, at any depth; each comes after one that holds it."""
    return model._flatten_layers()


def parts_of(layer: keras.layers.Layer) -> list:
    """Return the variables, seed generators and layers right within a layer, not those in these."""
    variables = layer._trainable_variables + layer._non_trainable_variables
    return [*variables, *layer._seed_generators, *layer._layers]


def attributes_of(layer: keras.layers.Layer) -> list[tuple]:
    """Return name and value of a layer's attributes, except for what Keras itself notes of it."""
    return [
        (name, value)
        for name, value in vars(layer).items()
        if name not in _BOOKKEEPING and not name.startswith(_OF_TENSORFLOW)
    ]


def holders_of(model: keras.Model) -> dict[int, list[keras.layers.Layer]]:
    """Return the layers that have a variable as an attribute, by the variable's `id`.

    Args:
        model: built.

    Returns:
        For each variable that is some layer's attribute these layers, the outermost first.
    """
    holders = {}
    for layer in layers_of(model):
        attributes = {id(value) for value in vars(layer).values()}
        for variable in layer.variables:
            if id(variable) in attributes:
                holders.setdefault(id(variable), []).append(layer)
    return holders


def constraints_of(model: keras.Model) -> Iterator[tuple]:
    """Yield the constraints that layers have: the layer, its attribute's name, the constraint."""
    for layer in layers_of(model):
        for name, value in list(vars(layer).items()):
            if isinstance(value, keras.constraints.Constraint):
                yield layer, name, value


def built_shapes(layer: keras.layers.Layer) -> dict[str, tuple]:
    """Return the shapes of the inputs that a layer or model was built for, by argument.

    Returns:
        "input_shape" -> its shape, or structure of shapes, if it takes one argument; if it takes
        several, "<argument>_shape" -> likewise for each. Empty if it is not known.
    """
    config = (layer.get_build_config() or {}) if layer.built else {}
    if "shapes_dict" in config:
        return dict(config["shapes_dict"])
    return {"input_shape": config["input_shape"]} if "input_shape" in config else {}


def has_gate(attention: keras.layers.MultiHeadAttention) -> bool:
    """Return whether an attention layer multiplies its output by a gate, which has weights too."""
    return getattr(attention, "_use_gate", False)
