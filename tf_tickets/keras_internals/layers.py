"""What a layer is made of, and what Keras notes of it."""

import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator, Mapping

import keras

# What Keras keeps of a layer's parts, besides the attributes that hold them.
_BOOKKEEPING = {
    *("_trainable_variables", "_non_trainable_variables", "_seed_generators", "_layers"),
    *("_metrics", "_tracker", "_functional", "_operations", "_operations_by_depth"),
    *("_nodes", "_nodes_by_depth", "_inbound_nodes", "_outbound_nodes"),
}
_OF_TRAINING = {
    *("history", "optimizer", "train_function", "test_function", "predict_function"),
    *("train_multi_step_on_iterator", "_compile_config", "_compiled_trainable_state"),
    *("stop_training", "stop_evaluating", "stop_predicting"),
    *("_eval_epoch_iterator", "slim_report"),
    *("_auto_config", "_auto_config_error_args"),
}
OF_TENSORFLOW = ("_self_", "_tf_")  # how the names of its own bookkeeping begin


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
        if name not in _BOOKKEEPING and not name.startswith(OF_TENSORFLOW)
    ]


def flattened(value) -> Iterator:
    """Yield what is in lists, tuples and dicts, however they are nested; anything else as it is.

    `keras.tree.flatten` sorts the keys of dicts, and some of Keras's own have layers for keys.
    """
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from flattened(item)
    else:
        yield value


def own_attributes(model: keras.Model, copied: keras.Model) -> list[tuple]:
    """Return name and value of what a user has set on a model, and its copy does not have.

    What Keras notes of a model or of its training is not among it, nor are symbolic tensors.

    Args:
        model: of any kind, compiled or not.
        copied: a model of the same class.
    """
    missing = [(name, value) for name, value in attributes_of(model) if name not in vars(copied)]
    return [
        (name, value)
        for name, value in missing
        if name not in _OF_TRAINING and not isinstance(value, keras.KerasTensor)
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


def update_constants(model: keras.layers.Layer) -> bool:
    """Bring up to date what layers have made of their variables once; return whether anything was.

    A Normalization computes with constants that it made of its adapted mean and variance, and not
    with these variables: whoever sets them from outside calls this.
    """
    adapted = [
        layer
        for layer in layers_of(model)
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None
    ]
    for layer in adapted:
        layer.finalize_state()
    return bool(adapted)


def adapted_state(layer: keras.layers.Layer) -> bytes:
    """Return what a layer has adapted to, and keeps in no variable; empty if there is nothing.

    Such as the vocabulary of a StringLookup, and the boundaries of a Discretization's bins.
    """
    if isinstance(layer, keras.layers.Discretization):
        return str(layer.bin_boundaries).encode() if layer.bin_boundaries is not None else b""
    if not hasattr(layer, "save_assets"):
        return b""
    if hasattr(layer, "get_vocabulary"):  # `save_assets` leaves out what the config holds
        return "\n".join(map(str, layer.get_vocabulary())).encode()
    with tempfile.TemporaryDirectory() as folder:
        layer.save_assets(folder)
        files = sorted(file for file in pathlib.Path(folder).rglob("*") if file.is_file())
        return b"".join(file.read_bytes() for file in files)


def why_not_cut(layer: keras.layers.Layer) -> str:
    """Return why no channel can be cut out of a layer whose class allows it; empty if one can.

    A quantised kernel has scales beside it, and may be packed; LoRA adds two further kernels.
    """
    if getattr(layer, "quantization_mode", None):
        return f"is quantised ({layer.quantization_mode}): slim the model before it is quantised"
    if getattr(layer, "lora_enabled", False):
        return "has weights of LoRA beside its kernel: slim the model before enable_lora"
    return ""


@dataclasses.dataclass(frozen=True)
class Attention:
    """The parts of an attention layer that take time.

    Attributes:
        query, key, value, output: its dense layers.
        num_heads: of the queries.
        key_dim, value_dim: sizes of a head.
        axes: along which queries meet keys; the batch is axis 0.
    """

    query: keras.layers.Layer
    key: keras.layers.Layer
    value: keras.layers.Layer
    output: keras.layers.Layer
    num_heads: int
    key_dim: int
    value_dim: int
    axes: tuple[int, ...]


def attention_of(layer: keras.layers.Layer) -> Attention | None:
    """Return the parts of a built attention layer; None of a layer of another kind.

    None too where it multiplies its output by a gate, which has weights of its own.
    """
    if isinstance(layer, keras.layers.GroupQueryAttention) and not layer.use_gate:
        dense = (layer._query_dense, layer._key_dense, layer._value_dense, layer._output_dense)
        return Attention(*dense, layer.num_query_heads, layer.head_dim, layer.head_dim, (1,))
    if isinstance(layer, keras.layers.MultiHeadAttention) and not layer._use_gate:
        dense = (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
        axes = tuple(layer.attention_axes)
        return Attention(*dense, layer.num_heads, layer.key_dim, layer.value_dim, axes)
    return None
