"""What sums, products and functions of each value do to the channels that flow through them.

They come as layers (`layers.Add`), as operators (`x + y`) and as functions (`keras.ops.relu`), on
features and constants in any order.
"""

import keras
import numpy as np

from tf_tickets.channels.flows import NEVER, Flow, zero_if_all, zero_if_any
from tf_tickets.keras_internals import kind_of

# Functions of each value of one tensor, as `kind_of` calls them.
_OF_ONE = (
    *("Relu", "Relu6", "Sigmoid", "SparseSigmoid", "Softplus", "Softsign", "SoftShrink"),
    *("SparsePlus", "Silu", "Squareplus", "LogSigmoid", "LeakyRelu", "HardSigmoid", "HardSilu"),
    *("Elu", "Selu", "Gelu", "Celu", "TanhShrink", "HardTanh", "HardShrink", "Threshold"),
    *("Absolute", "Fabs", "Negative", "Square", "Sqrt", "Cbrt", "Sign", "Exp", "Exp2", "Expm1"),
    *("Log", "Log1p", "Log2", "Log10", "Sin", "Cos", "Tan", "Sinh", "Cosh", "Tanh", "Arcsin"),
    *("Arccos", "Arctan", "Arcsinh", "Arccosh", "Arctanh", "Reciprocal", "Rsqrt", "Erf", "Erfc"),
    *("Clip", "Round", "Floor", "Ceil", "Trunc", "NanToNum", "Cast", "StopGradient", "Copy"),
)
# Functions of the values at one place of several tensors, constants among them.
_OF_SEVERAL = ("Add", "Subtract", "Maximum", "Minimum", "Fmax", "Fmin", "Power", "Hypot")
_QUOTIENTS = ("Divide", "TrueDivide", "DivideNoNan")
_OVER_POSITIONS = ("Mean", "Sum", "Max", "Min", "Amax", "Amin")


def elementwise(walk, operation, call, inputs) -> Flow:
    """Return the channels of what is made of tensors position by position."""
    combined = _combined(walk, operation, call, inputs)
    if isinstance(combined, Flow):
        return combined
    channels, full, spread = combined
    if spread or not _zero_of_zeros(operation, call):
        return Flow(channels, [NEVER] * len(channels), _lifts(operation))
    zeros = [zero_if_all(each) for each in zip(*(flow.zeros for flow in full), strict=True)]
    return Flow(channels, zeros, _why_of_sum(operation, full))


def product(walk, operation, call, inputs) -> Flow:
    """Return the channels of a product, which is zero where one of its factors is."""
    combined = _combined(walk, operation, call, inputs)
    if isinstance(combined, Flow):
        return combined
    channels, full, _ = combined
    zeros = [zero_if_any(each) for each in zip(*(flow.zeros for flow in full), strict=True)]
    why = next((flow.why for flow in full if flow.why), "")
    return Flow(channels, zeros, why, is_product=len(inputs) > 1)


def quotient(walk, operation, call, inputs) -> Flow:
    """Return the channels of a quotient, which is zero where only what is divided is."""
    combined = _combined(walk, operation, call, inputs)
    if isinstance(combined, Flow):
        return combined
    channels, full, _ = combined
    divided, divisor = _operands(call)[:2]
    if len(full) == 1 and divided is call.inputs[0] and _is_not_zero(divisor):
        return Flow(channels, full[0].zeros, full[0].why)
    return Flow(channels, [NEVER] * len(channels), f"{operation.name} divides by it")


def concatenate(walk, operation, call, inputs) -> Flow:
    """Return the channels of tensors that are put beside each other."""
    ndim = len(call.outputs[0].shape)
    if operation.axis not in (-1, ndim - 1):
        return elementwise_but_for_places(walk, operation, call, inputs)
    flows = iter(inputs)
    reason = f"it is a constant that {operation.name} adds to the features"
    parts = [
        next(flows) if _is_tensor(each) else walk.fixed(np.shape(each), reason)
        for each in _operands(call)
    ]
    channels = np.concatenate([flow.channels for flow in parts])
    why = next((flow.why for flow in parts if flow.why), "")
    return Flow(channels, [each for flow in parts for each in flow.zeros], why)


def elementwise_but_for_places(walk, operation, call, inputs) -> Flow:
    """Return the channels of tensors that are put one after another, along another axis."""
    combined = _combined(walk, operation, call, inputs)
    if isinstance(combined, Flow):
        return combined
    channels, full, _ = combined
    if any(np.any(each) for each in _constants(call)):
        why = f"{operation.name} puts it beside a constant"
        return Flow(channels, [NEVER] * len(channels), why)
    zeros = [zero_if_all(each) for each in zip(*(flow.zeros for flow in full), strict=True)]
    return Flow(channels, zeros, next((flow.why for flow in full if flow.why), ""))


def over_positions(walk, operation, call, inputs) -> Flow | None:
    """Return the channels of a mean, sum or extreme over all axes but the last, else None."""
    ndim = len(call.inputs[0].shape)
    axes = range(ndim) if operation.axis is None else np.atleast_1d(operation.axis)
    return inputs[0] if all(axis % ndim != ndim - 1 for axis in axes) else None


def pad(walk, operation, call, inputs) -> Flow | None:
    """Return the channels of images with wider borders, else None."""
    if np.any(operation.pad_width[-1]):  # of the channels, too
        return None
    if any(np.any(each) for each in _constants(call)):
        return inputs[0].never_zero(_lifts(operation))
    return inputs[0]


def _combined(walk, operation, call, inputs):
    """Join the channels of what is as wide as the result, and keep what is spread over it whole.

    Returns:
        The result's channels, the flows that are as wide as it, and those that are narrower. A Flow
        that stays whole if there is a constant with a number for each channel, or only such.
    """
    width = call.outputs[0].shape[-1] or 0 if call.outputs[0].shape else 0
    full = [flow for flow in inputs if len(flow.channels) == width]
    spread = [flow for flow in inputs if len(flow.channels) != width]
    walk.protect_all(spread, f"{operation.name} spreads it over all channels")
    for flow in full[1:]:
        walk.join(full[0].channels, flow.channels)
    if not full or any(np.ndim(c) and np.shape(c)[-1] > 1 for c in _constants(call)):
        reason = f"{operation.name} combines it with a constant as wide as it"
        walk.protect_all(full, reason)
        return full[0].never_zero(reason) if full else walk.fixed(call.outputs[0].shape, reason)
    return full[0].channels, full, spread


def _lifts(operation) -> str:
    return f"{operation.name} ({type(operation).__name__}) makes something else than zero of zeros"


def _why_of_sum(operation, terms) -> str:
    """Return why a sum is not zero by any scales, as far as one can tell."""
    if any(flow.is_product for flow in terms) and not all(flow.is_product for flow in terms):
        return (
            f"{operation.name} shifts a product of features, as AdaIN and FiLM modulate them: no "
            "scale of a normalisation makes both the product and the shift zero"
        )
    return next((flow.why for flow in terms if flow.why), "")


def _zero_of_zeros(operation, call) -> bool:
    """Return whether an operation gives zero if each of its tensors is, its constants as given."""

    def zero(each):
        if not _is_tensor(each):
            return each
        return keras.ops.zeros((1,) * len(each.shape), each.dtype)

    args, kwargs = keras.tree.map_structure(zero, (call.args, call.kwargs))
    try:
        return not np.any(keras.ops.convert_to_numpy(operation.call(*args, **kwargs)))
    except Exception:  # not made for one position alone
        return False


def _is_not_zero(divisor) -> bool:
    return _is_tensor(divisor) or bool(np.all(keras.ops.convert_to_numpy(divisor)))


def _operands(call) -> list:
    """Return the tensors and constants that a call is given, in order."""
    return [each for each in keras.tree.flatten(list(call.arguments.values())) if each is not None]


def _constants(call) -> list:
    """Return the constants that a call is given; a variable is one, whatever its value."""
    return [keras.ops.convert_to_numpy(each) for each in _operands(call) if not _is_tensor(each)]


def _is_tensor(operand) -> bool:
    return isinstance(operand, keras.KerasTensor)


_HANDLERS = {
    **dict.fromkeys((*_OF_ONE, *_OF_SEVERAL), elementwise),
    **dict.fromkeys(_QUOTIENTS, quotient),
    **dict.fromkeys(_OVER_POSITIONS, over_positions),
    "Multiply": product,
    "Concatenate": concatenate,
    "Pad": pad,
}


def handler_of_operation(operation):
    """Return how an operation that is no layer treats channels; None if that is not known.

    Args:
        operation: a `keras.Operation`, such as `x + y` and `keras.ops.relu` make one.
    """
    return _HANDLERS.get(kind_of(operation))
