import numpy as np
import pytest

from tf_tickets.search.pairs import largest_gap, metric_of, pair_up, worse_by


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("unit", [None, 2.0])
def test_the_largest_gap_is_that_of_a_ticket_that_is_worse_by_the_tolerance(higher, unit):
    dense = np.array([2.0])
    ticket = dense * (0.9 if higher else 1.1)
    gap = worse_by(ticket, dense, higher, unit)
    assert gap == pytest.approx(largest_gap(0.1, higher, unit is None))
    assert worse_by(dense, ticket, higher, unit) < 0


def test_pairs_are_rows_of_rounds_and_columns_of_seeds():
    records = [
        {"seed": seed, "round": r, "arm": arm, "weight_sparsity": s, "metrics": {"loss": value}}
        for seed in (7, 3)
        for r, s, arm, value in (
            (0, 0.0, "dense", 1.0 * seed),
            (1, 0.5 + seed / 100, "winning", 2.0 * seed),
            (1, 0.5 + seed / 100, "random", 6.0 * seed),
            (2, 0.8, "winning", 4.0 * seed),
        )
    ]
    pairs = pair_up(records, "loss")
    assert (pairs.rounds, pairs.seeds, pairs.ratios) == ((1, 2), (3, 7), True)
    assert pairs.sparsities == pytest.approx((0.55, 0.8))
    np.testing.assert_allclose(pairs.gaps, np.log([[2, 2], [4, 4]]))
    np.testing.assert_allclose(pairs.advantages, [np.log([3, 3]), [np.nan, np.nan]])
    assert np.isnan(pairs.own_gaps).all() and not pairs.lost.any()
    assert pairs.fraction(pairs.gaps[0, 0]) == pytest.approx(1.0)


def test_a_value_that_is_not_finite_is_a_collapse():
    assert metric_of({"metrics": {"loss": float("inf")}}, "loss") is None
    assert metric_of({"metrics": {}, "collapsed": "NaN"}, "loss") is None
    assert metric_of({"test_metrics": {"loss": 2.0}}, "loss", of="test_metrics") == 2.0
