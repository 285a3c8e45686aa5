"""The dtype policies of Keras that a run can ask for."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf

# "mixed" is that of 16 bits that suits the hardware; "auto" is the faster one of it and float32.
POLICIES = ("auto", "mixed", "float32", "mixed_float16", "mixed_bfloat16")


def resolve_mixed(policy: str) -> str:
    """Return a policy, and for "mixed" that of 16 bits which suits the hardware.

    Args:
        policy: one of POLICIES. "mixed" is mixed_float16 where there is a GPU, and mixed_bfloat16
            elsewhere; any other name is returned as it is.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, train early-bird tickets in 16 bits; Keras's
    policies are the analogue.
    """
    if policy != "mixed":
        return policy
    return "mixed_float16" if tf.config.list_physical_devices("GPU") else "mixed_bfloat16"


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Let Keras build layers by a dtype policy within a `with` block.

    Args:
        name: of the policy, such as "mixed_bfloat16".
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
