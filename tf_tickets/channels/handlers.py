"""What each Keras layer does to the channels that flow through it."""

import dataclasses
import math

import keras
import numpy as np
from keras import layers

from tf_tickets.keras_internals import kind_of, why_not_cut
from tf_tickets.protocols import HasChannelVectors, has_ability


@dataclasses.dataclass(frozen=True)
class Flow:
    """The channels along a tensor's last axis.

    Attributes:
        channels: int array, the number of the channel at each position.
        zeroed_by: for each position the scales that all have to be masked for the tensor to be zero
            there, a frozenset; None where it is not zero whatever is masked.
    """

    channels: np.ndarray
    zeroed_by: list

    def read_as(self, positions) -> "Flow":
        """Return the flow at some of the positions, in that order."""
        return Flow(self.channels[positions], [self.zeroed_by[i] for i in positions])

    def never_zero(self) -> "Flow":
        """Return the same channels, no longer zero where they were."""
        return Flow(self.channels, [None] * len(self.channels))


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
    known = walk.layers.get(id(layer))
    out = known.channels["out"] if known else walk.new_channels(units)
    sides = {"in": flow.channels, "out": out}
    if "pointwise_kernel" in axes:
        sides["mid"] = np.repeat(flow.channels, layer.depth_multiplier)
    walk.own(layer, axes, makes=True, **sides)
    if not _is_elementwise(layer.activation):
        activation = _name_of(layer.activation)
        walk.protect(out, f"the activation of {layer.name}, {activation}, may mix them")
    return Flow(out, [None] * len(out))


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
    return out.never_zero() if layer.use_bias or not _keeps_zero(layer.activation) else out


def _batch_norm(walk, layer, call, inputs):
    return _scaled(walk, layer, inputs[0])


def _group_norm(walk, layer, call, inputs):
    # A group's statistics are of all its channels: they go together.
    for group in inputs[0].channels.reshape(layer.groups, -1):
        walk.join(group[:1].repeat(len(group)), group)
    return _scaled(walk, layer, inputs[0])


def _adapted_norm(walk, layer, call, inputs):
    walk.own(layer, _VECTORS, out=inputs[0].channels)
    return inputs[0].never_zero()


def _scaled(walk, layer, flow):
    walk.own(layer, _VECTORS, out=flow.channels)
    if not layer.scale:
        return flow.never_zero()
    name = walk.add_scale(layer.gamma, flow.channels)
    return Flow(flow.channels, [frozenset({(name, i)}) for i in range(len(flow.channels))])


def _pass(walk, layer, call, inputs):
    return inputs[0]


def _activation(walk, layer, call, inputs):
    return inputs[0] if _keeps_zero(layer) else inputs[0].never_zero()


def _prelu(walk, layer, call, inputs):
    walk.own(layer, _VECTORS, out=inputs[0].channels)
    return inputs[0]


def _sum(walk, layer, call, inputs):
    return _merge(walk, layer, inputs, _zero_if_all)


def _product(walk, layer, call, inputs):
    return _merge(walk, layer, inputs, _zero_if_any)


def _merge(walk, layer, inputs, zero_if):
    """Return the channels of tensors that are combined position by position."""
    width = max(len(flow.channels) for flow in inputs)
    full = [flow for flow in inputs if len(flow.channels) == width]
    spread = [flow for flow in inputs if len(flow.channels) != width]
    walk.protect_all(spread, f"{layer.name} spreads it over all channels")
    for flow in full[1:]:
        walk.join(full[0].channels, flow.channels)
    if spread and zero_if is _zero_if_all:
        return full[0].never_zero()
    return Flow(full[0].channels, [zero_if(sets) for sets in zip(*_zeroed(full), strict=True)])


def _concatenate(walk, layer, call, inputs):
    if layer.axis not in (-1, len(call.outputs[0].shape) - 1):
        return _merge(walk, layer, inputs, _zero_if_all)
    channels = np.concatenate([flow.channels for flow in inputs])
    return Flow(channels, [scales for flow in inputs for scales in flow.zeroed_by])


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
    zeroed_by = [_zero_if_all(sets) for sets in zip(*_zeroed(flows), strict=True)]
    walk.own(layer, {}, out=flows[0].channels)
    return Flow(flows[0].channels, zeroed_by)


def _zeroed(flows):
    return [flow.zeroed_by for flow in flows]


def _zero_if_all(sets):
    """Return what makes a sum zero: all that make its terms zero."""
    return None if None in sets else frozenset().union(*sets)


def _zero_if_any(sets):
    """Return what makes a product zero: what does so with any of its factors."""
    return next((scales for scales in sets if scales is not None), None)


def _keeps_zero(activation) -> bool:
    """Return whether a layer or function gives zero for zero."""
    return not np.any(keras.ops.convert_to_numpy(activation(np.zeros((1, 2), "float32"))))


def _is_elementwise(activation) -> bool:
    """Return whether an activation makes of each channel alone what it makes of it among others.

    Softmax does not; nor does what treats channels by their places, or cannot be tried out here.
    """
    if activation is None:
        return True
    values = np.random.default_rng(0).normal(0, 2, (16, 5)).astype("float32")
    try:
        together = keras.ops.convert_to_numpy(activation(values))
        alone = [
            keras.ops.convert_to_numpy(activation(values[:, i : i + 1]))
            for i in range(values.shape[1])
        ]
    except Exception:  # anybody's code, which may be made for one width or shape only
        return False
    if together.shape != values.shape or any(each.shape != (16, 1) for each in alone):
        return False
    return np.allclose(together, np.concatenate(alone, axis=1), rtol=1e-4, atol=1e-5)


def _name_of(activation) -> str:
    return getattr(activation, "__name__", None) or getattr(activation, "name", repr(activation))


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
    **dict.fromkeys((layers.Add, layers.Average, layers.Subtract), _sum),
    **dict.fromkeys((layers.Maximum, layers.Minimum), _sum),
    layers.Multiply: _product,
    layers.Concatenate: _concatenate,
    **dict.fromkeys((layers.Reshape, layers.Flatten), _reshape),
    **dict.fromkeys(
        (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.ELU, layers.Rescaling),
        _activation,
    ),
    **dict.fromkeys(
        (
            *(layers.Dropout, layers.GaussianDropout, layers.Identity),
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


# What `x + y`, `x * y` and `keras.ops` make of two tensors, as `kind_of` calls it.
_HANDLERS_OF_OPERATIONS = {
    **dict.fromkeys(("Add", "Subtract", "Maximum", "Minimum"), _sum),
    "Multiply": _product,
    "Concatenate": _concatenate,
}


def handler_of(operation, call) -> tuple:
    """Return how a layer treats channels, or None and why that is not known.

    A handler is a function of the walk, the layer, its call and the flows into it, and returns the
    flow out of it.
    """
    kind = type(operation)
    if not isinstance(operation, layers.Layer) and len(call.inputs) > 1:
        handler = _HANDLERS_OF_OPERATIONS.get(kind_of(operation))
        return handler, None if handler else "is of a kind that cannot be slimmed"
    if kind not in _HANDLERS and has_ability(operation, HasChannelVectors):
        kind = next((base for base in kind.__mro__ if base in _HANDLERS), kind)
    if kind not in _HANDLERS:
        return None, "is of a kind that cannot be slimmed"
    obstacle = _obstacle(operation, kind, call)
    return (None, obstacle) if obstacle else (_HANDLERS[kind], None)


def _obstacle(layer, kind, call):
    """Return why a layer of a known kind cannot be looked into, or None."""
    shape = call.inputs[0].shape
    if getattr(layer, "data_format", "channels_last") not in ("channels_last", None):
        return "has its channels first"
    if why_not_cut(layer):
        return why_not_cut(layer)
    if getattr(layer, "groups", 1) != 1 and kind is not layers.GroupNormalization:
        return "convolves in groups"
    passes_on = (layers.Activation, layers.DepthwiseConv1D, layers.DepthwiseConv2D)
    if kind in passes_on and not _is_elementwise(layer.activation):
        return f"has an activation, {_name_of(layer.activation)}, that may mix channels"
    if kind is layers.Rescaling and np.ndim(layer.scale) + np.ndim(layer.offset):
        return "rescales each channel by itself"
    norms = (layers.BatchNormalization, layers.GroupNormalization, layers.Normalization)
    if kind in norms and np.ravel(layer.axis).tolist() not in ([-1], [len(shape) - 1]):
        return f"normalises along axis {layer.axis}"
    if kind is layers.Normalization and layer.input_mean is not None:
        return "normalises by a mean and a variance that it was given"
    if kind in (layers.Reshape, layers.Flatten):
        before, after = shape[1:], call.outputs[0].shape[1:]
        if None in before or None in after or not after or not math.prod(after):
            return "reshapes images of a size that is not known"
    return None
