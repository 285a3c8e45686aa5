import numpy as np
import pytest
import scipy.stats

from tf_tickets.search.paired_tests import p_above_zero, seeds_for, upper_bound

ROWS = np.random.default_rng(0).normal(0.1, 0.2, (4, 5))


def test_bounds_and_p_values_are_those_of_scipy():
    one_sided = scipy.stats.ttest_1samp(ROWS, 0, axis=1, alternative="less")
    np.testing.assert_allclose(upper_bound(ROWS, 0.04), one_sided.confidence_interval(0.96).high)
    expected = scipy.stats.ttest_1samp(ROWS, 0, axis=1, alternative="greater").pvalue
    np.testing.assert_allclose(p_above_zero(ROWS), expected)


def test_one_seed_has_neither_bound_nor_p():
    assert np.isnan(upper_bound(ROWS[:, :1], 0.04)).all()
    assert np.isnan(p_above_zero(ROWS[:, :1])).all()
    assert np.isnan(p_above_zero(ROWS[:, :0])).all()


def test_differences_that_are_the_same_are_certain():
    rows = np.array([[0.0] * 3, [1.0] * 3, [-1.0] * 3])
    assert p_above_zero(rows).tolist() == [1, 0, 1]
    assert upper_bound(rows, 0.04).tolist() == [0, 1, -1]


@pytest.mark.parametrize(("effect", "level"), [(0.5, 0.04), (1.0, 0.04), (1.5, 0.005)])
def test_as_many_seeds_as_needed_succeed_in_four_of_five_searches(effect, level):
    seeds = seeds_for([(effect, 1.0, level)])
    random = np.random.default_rng(1)
    shares = [
        np.mean(p_above_zero(random.normal(effect, 1.0, (20_000, n))) <= level)
        for n in (seeds - 1, seeds)
    ]
    assert shares[0] < 0.81 and shares[1] > 0.79


def test_the_hardest_of_several_tests_decides_how_many_seeds_are_needed():
    hard, easy = (0.5, 1.0, 0.04), (3.0, 1.0, 0.04)
    assert seeds_for([easy, hard]) == seeds_for([hard]) > seeds_for([easy]) >= 2
    assert seeds_for([easy, (-0.1, 1.0, 0.04)]) is None
    assert seeds_for([(1e-4, 1.0, 0.04)]) is None
    assert seeds_for([(1.0, 0.0, 0.04)]) == 2 and seeds_for([(0.0, 0.0, 0.04)]) is None
