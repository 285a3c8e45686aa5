"""Which Keras dtype policy suits the hardware."""

import contextlib
import pathlib
from collections.abc import Iterator

import keras
import tensorflow as tf

POLICIES = ("auto", "float32", "mixed_float16", "mixed_bfloat16")


def resolve_precision(policy: str) -> str:
    """Return the name of the Keras dtype policy to use.

    Args:
        policy: one of POLICIES. "auto" is mixed_float16 where there is a GPU, mixed_bfloat16 on a
            CPU with bfloat16 instructions, float32 elsewhere; any other name is returned as it is.

    Source: Kalibhat et al., 2021, arXiv:2010.02350, train early-bird tickets in 16 bits; Keras's
    policies are the analogue.
    """
    if policy != "auto":
        return policy
    if tf.config.list_physical_devices("GPU"):
        return "mixed_float16"
    return "mixed_bfloat16" if _cpu_has_bfloat16() else "float32"


def _cpu_has_bfloat16() -> bool:
    try:
        flags = pathlib.Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


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
