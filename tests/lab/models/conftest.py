import keras
import pytest


@pytest.fixture(autouse=True)
def float32_after_each_test():
    keras.utils.set_random_seed(1)
    yield
    keras.mixed_precision.set_global_policy("float32")
