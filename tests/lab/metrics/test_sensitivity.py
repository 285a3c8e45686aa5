"""The fcd of real images, made worse little by little: a small version of the benchmark."""

import importlib.util
import itertools
import pathlib

import pytest

FILE = pathlib.Path(__file__).parents[3] / "benchmarks" / "fcd_sensitivity.py"
STRENGTHS = (0.0, 0.3, 0.6, 0.9)


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("fcd_sensitivity", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def yardstick(benchmark, cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_TICKETS_CACHE", str(cache))
        return benchmark.Yardstick("digits", 8)


@pytest.fixture(scope="module")
def found(benchmark, yardstick):
    return benchmark.measure(yardstick, STRENGTHS)


def test_unharmed_images_are_the_floor_away(found, yardstick):
    floors = [values[0] for values in found.values()]
    assert floors == pytest.approx([floors[0]] * 4, rel=1e-6)
    assert yardstick.fcd(yardstick._there[0]) == pytest.approx(floors[0], rel=1e-6)
    assert 0 < floors[0] < yardstick.fcd(yardstick.noise_alone()) / 20


@pytest.mark.parametrize("way", ["blur", "noise", "dropped classes", "repeated images"])
def test_the_worse_the_images_the_higher_it_is(found, way):
    values = found[way]
    assert values == sorted(values) and values[-1] > 5 * values[0]
    assert min(b - a for a, b in itertools.pairwise(values)) > 0.1 * values[0]


def test_each_way_keeps_the_number_of_images(benchmark, yardstick):
    shape = yardstick._there[0].shape
    for way in benchmark.STYLES:
        worse = yardstick.worse(way, 0.5)
        assert worse.shape == shape and worse.dtype == "float32", way
        assert worse.min() >= -1 and worse.max() <= 1


def test_so_many_images_are_repeated_and_so_many_classes_left(benchmark, yardstick):
    repeated = yardstick.worse("repeated images", 0.8)
    assert len({image.tobytes() for image in repeated}) == 70  # of 350
    some = yardstick.worse("dropped classes", 0.5)
    assert len({image.tobytes() for image in some}) == 350, "other images take the place"
