import itertools
import subprocess
import sys

import numpy as np
import pytest

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics import kernel_distance


def reference(real, generated):
    """The unbiased estimate of one block, pair by pair, in Python's own float64."""

    def kernel(x, y):
        products = [float(a) * float(b) for a, b in zip(x, y, strict=True)]
        return (sum(products) / len(products) + 1) ** 3

    def within(features):
        count = len(features)
        pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
        return sum(kernel(features[i], features[j]) for i, j in pairs) / len(pairs)

    across = [kernel(x, y) for x in real for y in generated]
    return within(real) + within(generated) - 2 * sum(across) / len(across)


def test_by_hand():
    """Kernels: (1 + 1)^3 = 8 within the real ones, 1 within the generated and across."""
    assert kernel_distance([[1.0], [1.0]], [[0.0], [0.0]]) == 8 + 1 - 2 * 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_agrees_with_a_slow_reference(dtype):
    """Means of 30 make kernels of about 1e9, of which float32 would keep no digit of the result."""
    generator = np.random.default_rng(0)
    real = generator.normal(30, 1, size=(40, 9)).astype(dtype)
    generated = generator.normal(30.01, 1.1, size=(40, 9)).astype(dtype)
    expected = reference(real, generated)
    assert kernel_distance(real, generated) == pytest.approx(expected, rel=1e-7)


def test_many_images_are_compared_in_blocks():
    """2050 images are three blocks: 1024 is the most, and sizes differ by one."""
    generator = np.random.default_rng(1)
    real, generated = generator.normal(size=(2, 2050, 3))
    generated = 1.2 * generated + 0.3

    def block(first, second):
        def sums(x, y):
            return (x @ y.T / 3 + 1) ** 3

        count = len(first)
        within = sum(
            (sums(x, x).sum() - np.trace(sums(x, x))) / (count * (count - 1))
            for x in (first, second)
        )
        return within - 2 * sums(first, second).mean()

    bounds = [0, 683, 1366, 2050]
    blocks = [
        block(real[start:stop], generated[start:stop]) for start, stop in itertools.pairwise(bounds)
    ]
    assert kernel_distance(real, generated) == pytest.approx(np.mean(blocks), rel=1e-10)


def test_equal_distributions_are_at_zero_on_average_and_so_below_it_at_times():
    generator = np.random.default_rng(2)
    distances = [kernel_distance(*generator.normal(size=(2, 50, 4))) for _ in range(100)]
    assert min(distances) < 0 < max(distances)
    assert abs(np.mean(distances)) < 3 * np.std(distances) / np.sqrt(100)


def test_it_grows_with_what_is_wrong():
    generator = np.random.default_rng(3)
    real, generated = generator.normal(size=(2, 500, 4))
    equal = kernel_distance(real, generated)
    shifted, far = (kernel_distance(real, generated + shift) for shift in (0.5, 2))
    assert abs(equal) < shifted / 10 < far / 10
    assert abs(equal) < kernel_distance(real, 2 * generated) / 10


def test_the_same_features_give_the_same_bits():
    real, generated = np.random.default_rng(4).normal(size=(2, 1500, 64)).astype(np.float32)
    assert len({kernel_distance(real, generated) for _ in range(3)}) == 1


@pytest.mark.slow
def test_nothing_is_said_of_what_tf_gan_does_in_an_old_way():
    """In a process of its own, as TensorFlow warns of a deprecated call once."""
    code = """if True:
        import numpy, tensorflow
        from tf_tickets.lab.metrics import kernel_distance
        level = tensorflow.get_logger().level
        kernel_distance(numpy.eye(4), numpy.eye(4))
        assert tensorflow.get_logger().level == level
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr


@pytest.mark.parametrize("shapes", [((1, 3), (1, 3)), ((5, 3), (4, 3)), ((5, 3), (5, 2))])
def test_sets_that_cannot_be_compared(shapes):
    first, second = (np.zeros(shape) for shape in shapes)
    with pytest.raises(SettingError, match=r"as many real as generated.*Received: \(\d, 3\) and"):
        kernel_distance(first, second)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_named(value):
    good = np.zeros((5, 3))
    bad = good.copy()
    bad[3, 1] = value
    with pytest.raises(DivergedError, match="features of the generated images hold NaN"):
        kernel_distance(good, bad)
    with pytest.raises(DivergedError, match="features of the real images hold NaN"):
        kernel_distance(bad, good)


@pytest.mark.filterwarnings("error")
def test_features_whose_kernel_overflows_have_no_distance():
    with pytest.raises(DivergedError, match="features are too large"):
        kernel_distance(np.full((3, 2), 1e120), np.zeros((3, 2)))


def test_features_without_rows_are_refused():
    with pytest.raises(
        SettingError, match=r"`real` must have a row for each image.* Received: shape \(4,\)"
    ):
        kernel_distance(np.zeros(4), np.zeros(4))
