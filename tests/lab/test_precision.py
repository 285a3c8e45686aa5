import keras
import pytest
import tensorflow as tf

from tf_tickets.lab.precision import POLICIES, dtype_policy, resolve_mixed


@pytest.mark.parametrize(("gpus", "policy"), [([], "mixed_bfloat16"), (["one"], "mixed_float16")])
def test_mixed_is_that_of_the_hardware(gpus, policy, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: gpus)
    assert resolve_mixed("mixed") == policy
    assert [resolve_mixed(name) for name in POLICIES if name != "mixed"] == [
        name for name in POLICIES if name != "mixed"
    ]


def test_the_policy_of_keras_is_another_within_the_block():
    with pytest.raises(KeyError), dtype_policy("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"
