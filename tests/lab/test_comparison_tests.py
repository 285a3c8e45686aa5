"""Paired tests of ways of pruning, beside scipy's and by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from tf_tickets.lab.comparison_tests import holm, paired

DENSE = {0: 10.0, 1: 20.0, 2: 12.0, 3: 15.0}
WAY = {0: 11.0, 1: 23.0, 2: 12.5, 3: 18.0}


def logs(values):
    return np.log(list(values.values()))


def test_ratios_are_compared_seed_by_seed_on_their_logarithms():
    found = paired(WAY, DENSE)
    expected = scipy.stats.ttest_rel(logs(WAY), logs(DENSE))
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((math.exp(interval.low), math.exp(interval[1])))
    assert found.change == pytest.approx(math.exp(np.mean(logs(WAY) - logs(DENSE))))
    assert found.is_ratio and found.num_seeds == 4


def test_what_a_seed_adds_to_both_goes_out():
    """The seeds differ by far more than the arms: unpaired, nothing would be seen."""
    dense = {seed: 10.0 * 3**seed for seed in range(5)}
    way = {seed: value * (1.10 + 0.01 * (seed % 2)) for seed, value in dense.items()}
    assert paired(way, dense).p < 1e-4
    assert scipy.stats.ttest_ind(list(way.values()), list(dense.values())).pvalue > 0.5


def test_differences_where_values_can_be_negative():
    found = paired({0: -1.0, 1: 0.5}, {0: -2.0, 1: 0.0}, as_ratio=False)
    assert found.change == 0.75 and not found.is_ratio
    assert found.p == pytest.approx(scipy.stats.ttest_rel([-1.0, 0.5], [-2.0, 0.0]).pvalue)


def test_only_the_seeds_of_both_are_compared():
    found = paired({**WAY, 9: 1e9}, {**DENSE, 8: 1e-9})
    assert found == paired(WAY, DENSE)
    assert paired({0: 1.0}, {1: 1.0}) is None


def test_one_seed_tells_the_change_alone():
    found = paired({0: 3.0}, {0: 2.0})
    assert found.change == pytest.approx(1.5) and found.num_seeds == 1
    assert (found.low, found.high, found.p) == (None, None, None)


def test_seeds_that_change_by_the_very_same_have_no_p():
    found = paired({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0})
    assert (found.change, found.low, found.high, found.p) == (1.0, 1.0, 1.0, None)


def test_the_smallest_p_counts_for_all_tests_and_the_order_stays():
    assert holm([0.01, 0.04, None, 0.03]) == pytest.approx([0.03, 0.06, None, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == [] and holm([None]) == [None]
