import pathlib

import pytest
import tensorflow as tf

from tf_tickets.lab.precision import resolve_precision


def hardware(monkeypatch, gpu, flags):
    devices = ["a GPU"] if gpu else []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: devices)
    monkeypatch.setattr(pathlib.Path, "read_text", lambda path: f"flags\t\t: fpu sse {flags}\n")


@pytest.mark.parametrize(
    ("gpu", "flags", "policy"),
    [
        (True, "", "mixed_float16"),
        (True, "avx512_bf16", "mixed_float16"),
        (False, "avx512_bf16", "mixed_bfloat16"),
        (False, "amx_bf16", "mixed_bfloat16"),
        (False, "avx512f", "float32"),
    ],
)
def test_auto_asks_the_hardware(gpu, flags, policy, monkeypatch):
    hardware(monkeypatch, gpu, flags)
    assert resolve_precision("auto") == policy


def test_a_policy_that_is_named_is_taken(monkeypatch):
    hardware(monkeypatch, True, "")
    assert resolve_precision("float32") == "float32"


def test_where_the_cpu_tells_nothing_it_is_float32(monkeypatch):
    def refuse(path):
        raise OSError

    hardware(monkeypatch, False, "")
    monkeypatch.setattr(pathlib.Path, "read_text", refuse)
    assert resolve_precision("auto") == "float32"
