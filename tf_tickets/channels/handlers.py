"""What each Keras layer does to the channels that flow through it."""

import math

import numpy as np
from keras import layers

from tf_tickets.channels import operations
from tf_tickets.channels.activations import is_elementwise, keeps_zero, name_of
from tf_tickets.channels.flows import NEVER, Flow, Zeros, zero_if_all
from tf_tickets.keras_internals import why_not_cut
from tf_tickets.protocols import HasChannelVectors, has_ability

# weight name -> axis -> whose channels lie along it
_CONV = {"kernel": {-2: "in", -1: "out"}, "bias": {-1: "out"}}
_TRANSPOSE = {"kernel": {-1: "in", -2: "out"}, "bias": {-1: "out"}}
_DEPTHWISE = {"kernel": {-2: "in"}, "bias": {-1: "out"}}
_SEPARABLE = {
    "depthwise_kernel": {-2: "in"},
    "pointwise_kernel": {-2: "mid", -1: "out"},
    "bias": {-1: "out"},
}
_VECTORS = {
    name: {-1: "out"}
    for name in (
        *("gamma", "beta", "moving_mean", "moving_variance", "alpha"),
        *("mean", "variance"),  # what a Normalization has adapted to
    )
}


def _mix(walk, layer, flow, axes, units) -> Flow:
    """Return the new channels of a layer that mixes all of its inputs."""
    walk.read(flow, layer.name)
    known = walk.known(layer)
    out = known.channels["out"] if known else walk.new_channels(units)
    sides = {"in": flow.channels, "out": out}
    if "pointwise_kernel" in axes:
        sides["mid"] = np.repeat(flow.channels, layer.depth_multiplier)
    walk.own(layer, axes, makes=True, **sides)
    name = walk.add_kernel(getattr(layer, kernel_of(axes)), out)
    if not is_elementwise(layer.activation):
        activation = name_of(layer.activation)
        walk.protect(out, f"the activation of {layer.name}, {activation}, may mix them")
    elif keeps_zero(layer.activation):
        return Flow(out, [Zeros(None, frozenset({(name, i)})) for i in range(len(out))])
    return Flow(out, [NEVER] * len(out), _lifts(layer.activation, layer))


def kernel_of(axes: dict) -> str | None:
    """Return the name of the weight that has a filter for each channel that a layer makes."""
    return next(
        (name for name, sides in axes.items() if len(sides) > 1 and "out" in sides.values()), None
    )


def _lifts(activation, layer):
    return f"{name_of(activation)} of {layer.name} makes something else than zero of zeros"


def _conv(walk, layer, call, inputs):
    return _mix(walk, layer, inputs[0], _CONV, layer.filters)


def _conv_transpose(walk, layer, call, inputs):
    return _mix(walk, layer, inputs[0], _TRANSPOSE, layer.filters)


def _separable(walk, layer, call, inputs):
    return _mix(walk, layer, inputs[0], _SEPARABLE, layer.filters)


def _dense(walk, layer, call, inputs):
    return _mix(walk, layer, inputs[0], _CONV, layer.units)


def _depthwise(walk, layer, call, inputs):
    (flow,) = inputs
    out = flow.read_as(np.repeat(np.arange(len(flow.channels)), layer.depth_multiplier))
    walk.own(layer, _DEPTHWISE, **{"in": flow.channels, "out": out.channels})
    if not keeps_zero(layer.activation):
        return out.never_zero(_lifts(layer.activation, layer))
    return out.not_by_scales() if layer.use_bias else out


def _batch_norm(walk, layer, call, inputs):
    return _scaled(walk, layer, inputs[0])


def _group_norm(walk, layer, call, inputs):
    # A group's statistics are of all its channels: they go together.
    for group in inputs[0].channels.reshape(layer.groups, -1):
        walk.join(group[:1].repeat(len(group)), group)
    return _scaled(walk, layer, inputs[0])


def _adapted_norm(walk, layer, call, inputs):
    walk.own(layer, _VECTORS, out=inputs[0].channels)
    return inputs[0].never_zero(f"{layer.name} shifts each channel by its mean")


def _scaled(walk, layer, flow):
    walk.own(layer, _VECTORS, out=flow.channels)
    if not layer.scale:
        return flow.not_by_scales()
    name = walk.add_scale(layer.gamma, flow.channels)
    zeros = [Zeros(frozenset({(name, i)}), each.kernels) for i, each in enumerate(flow.zeros)]
    return Flow(flow.channels, zeros, flow.why)


def _pass(walk, layer, call, inputs):
    return inputs[0]


def _activation(walk, layer, call, inputs):
    return inputs[0] if keeps_zero(layer) else inputs[0].never_zero(_lifts(layer, layer))


def _prelu(walk, layer, call, inputs):
    walk.own(layer, _VECTORS, out=inputs[0].channels)
    return inputs[0]


def _reshape(walk, layer, call, inputs):
    """Return the channels of a tensor whose positions are arranged anew."""
    before, after = call.inputs[0].shape[1:], call.outputs[0].shape[1:]
    positions = np.arange(len(inputs[0].channels))
    # (positions that share the new last axis, new last axis)
    places = np.broadcast_to(positions, before).reshape(-1, after[-1])
    places = np.unique(places, axis=0)
    for place in places[1:]:
        walk.join(inputs[0].channels[places[0]], inputs[0].channels[place])
    flows = [inputs[0].read_as(place) for place in places]
    zeros = [zero_if_all(each) for each in zip(*(flow.zeros for flow in flows), strict=True)]
    walk.note_shape(layer, flows[0].channels)
    return Flow(flows[0].channels, zeros, inputs[0].why)


_HANDLERS = {
    **dict.fromkeys((layers.Conv1D, layers.Conv2D, layers.Conv3D), _conv),
    **dict.fromkeys(
        (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose),
        _conv_transpose,
    ),
    **dict.fromkeys((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise),
    **dict.fromkeys((layers.SeparableConv1D, layers.SeparableConv2D), _separable),
    layers.Dense: _dense,
    layers.BatchNormalization: _batch_norm,
    layers.GroupNormalization: _group_norm,
    layers.Normalization: _adapted_norm,
    layers.PReLU: _prelu,
    **dict.fromkeys((layers.Add, layers.Average, layers.Subtract), operations.elementwise),
    **dict.fromkeys((layers.Maximum, layers.Minimum), operations.elementwise),
    layers.Multiply: operations.product,
    layers.Concatenate: operations.concatenate,
    **dict.fromkeys((layers.Reshape, layers.Flatten), _reshape),
    **dict.fromkeys(
        (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Rescaling),
        _activation,
    ),
    **dict.fromkeys(
        (
            *(layers.Dropout, layers.GaussianDropout, layers.Identity, layers.RepeatVector),
            *(layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D),
            *(layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D),
            *(layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D),
            *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D),
            *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
            layers.GlobalAveragePooling3D,
            *(layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D),
            *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D),
            *(layers.Cropping1D, layers.Cropping2D, layers.Cropping3D),
        ),
        _pass,
    ),
}


# Kinds that take several tensors.
_MERGES = (
    *(layers.Add, layers.Average, layers.Subtract, layers.Maximum, layers.Minimum),
    *(layers.Multiply, layers.Concatenate),
)


def handler_of(operation, call) -> tuple:
    """Return how a layer treats channels, or None and why that is not known.

    A handler is a function of the walk, the layer, its call and the flows into it, and returns the
    flow out of it; None if this call is one that cannot be followed.
    """
    kind = type(operation)
    if not isinstance(operation, layers.Layer):
        handler = operations.handler_of_operation(operation)
        return handler, None if handler else _UNKNOWN
    if kind not in _HANDLERS and has_ability(operation, HasChannelVectors):
        kind = next((base for base in kind.__mro__ if base in _HANDLERS), kind)
    if kind not in _HANDLERS:
        return None, _UNKNOWN
    obstacle = _obstacle(operation, kind, call)
    return (None, obstacle) if obstacle else (_HANDLERS[kind], None)


_UNKNOWN = "is of a kind that cannot be slimmed"


def _obstacle(layer, kind, call):
    """Return why a layer of a known kind cannot be looked into, or None."""
    shape = call.inputs[0].shape
    if kind not in _MERGES and len(call.inputs) > 1:
        return "is called with more than one tensor"
    if getattr(layer, "data_format", "channels_last") not in ("channels_last", None):
        return "has its channels first"
    if why_not_cut(layer):
        return why_not_cut(layer)
    if getattr(layer, "groups", 1) != 1 and kind is not layers.GroupNormalization:
        return "convolves in groups"
    passes_on = (layers.Activation, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    if kind in passes_on and not is_elementwise(layer.activation):
        return f"has an activation, {name_of(layer.activation)}, that may mix channels"
    if kind is layers.Rescaling and np.ndim(layer.scale) + np.ndim(layer.offset):
        return "rescales each channel by itself"
    norms = (layers.BatchNormalization, layers.GroupNormalization, layers.Normalization)
    if kind in norms and np.ravel(layer.axis).tolist() not in ([-1], [len(shape) - 1]):
        return f"normalises along axis {layer.axis}"
    if kind is layers.Normalization and layer.input_mean is not None:
        return "normalises by a mean and a variance that it was given"
    if kind in (layers.Reshape, layers.Flatten):
        return _obstacle_to_reshaping(shape[1:], call.outputs[0].shape[1:])
    return _obstacle_in_weights(layer, kind)


def _obstacle_to_reshaping(before, after):
    if None in before or None in after or not before or not after:
        return "reshapes images of a size that is not known"
    return None if math.prod(after) else "reshapes what has no values"


def _obstacle_in_weights(layer, kind):
    """Return which of a layer's weights its kind does not have, as those of LoRA; or None."""
    if has_ability(layer, HasChannelVectors):  # it answers for its other weights
        return None
    known = _AXES.get(_HANDLERS[kind], {})
    strange = sorted({variable.name for variable in layer.weights} - set(known))
    return f"has weights that its kind has not: {', '.join(strange)}" if strange else None


_AXES = {
    **dict.fromkeys((_conv, _dense), _CONV),
    _conv_transpose: _TRANSPOSE,
    _separable: _SEPARABLE,
    _depthwise: _DEPTHWISE,
    **dict.fromkeys((_batch_norm, _group_norm, _prelu), _VECTORS),
    _adapted_norm: {**_VECTORS, "count": {}},  # of the batches that it has seen
}
