import dataclasses
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from tf_tickets.errors import SettingError
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import (
    choose_winning_ticket,
    compare_arms,
    follow_curve,
    mean_metrics,
    sparsest,
)


def records(dense, rounds):
    """Make records of `{round: (winning values, random values)}`, one value per seed."""
    made = [record(seed, 0, "dense", value) for seed, value in enumerate(dense)]
    for number, arms in rounds.items():
        for arm, values in zip(("winning", "random"), arms, strict=True):
            made += [record(seed, number, arm, value) for seed, value in enumerate(values)]
    return made


def record(seed, number, arm, value):
    return {
        "seed": seed,
        "round": number,
        "arm": arm,
        "weight_sparsity": 1 - 0.8**number,
        "metrics": {"loss": value, "accuracy": -value},
    }


GOOD, BAD = [10.0, 10.2, 9.9], [14.0, 14.3, 13.8]


def test_the_sparsest_round_that_matches_dense_and_beats_random_wins():
    found = records(GOOD, {1: (GOOD, BAD), 2: (GOOD, BAD), 3: (BAD, [20.0, 21.0, 22.0])})
    compared = compare_arms(found, "loss", tolerance=0.1)
    assert [comparison.wins for comparison in compared] == [True, True, False]
    assert choose_winning_ticket(compared).round == 2


def test_a_random_ticket_that_does_as_well_leaves_no_winner():
    found = records(GOOD, {1: (GOOD, GOOD)})
    assert choose_winning_ticket(compare_arms(found, "loss", 0.1)) is None


def test_p_is_that_of_welch():
    (comparison,) = compare_arms(records(GOOD, {1: (GOOD, BAD)}), "loss", 0.1)
    mean, variance = np.mean, lambda values: np.var(values, ddof=1) / len(values)
    t = (mean(GOOD) - mean(BAD)) / np.sqrt(variance(GOOD) + variance(BAD))
    freedom = (variance(GOOD) + variance(BAD)) ** 2 / (
        variance(GOOD) ** 2 / 2 + variance(BAD) ** 2 / 2
    )
    assert comparison.p == pytest.approx(2 * scipy.stats.t.sf(abs(t), freedom))


def test_three_seeds_have_to_be_significant_and_two_need_not():
    noisy = [8.0, 11.0, 16.0]
    (three,) = compare_arms(records(GOOD, {1: (GOOD, noisy)}), "loss", 0.1)
    assert three.p > 0.05 and not three.wins
    (two,) = compare_arms(records(GOOD[:2], {1: (GOOD[:2], noisy[1:])}), "loss", 0.1)
    assert two.p is None and two.wins


def test_tolerance_is_a_fraction_of_dense():
    found = records([10.0], {1: ([10.9], [15.0]), 2: ([11.1], [15.0])})
    compared = compare_arms(found, "loss", tolerance=0.1)
    assert [comparison.within_tolerance for comparison in compared] == [True, False]


def test_a_metric_whose_higher_values_are_better():
    found = records([10.0], {1: ([10.0], [15.0]), 2: ([12.0], [15.0])})
    compared = compare_arms(found, "accuracy", tolerance=0.1, higher_is_better=True)
    assert [comparison.wins for comparison in compared] == [True, False]


def test_without_a_random_arm_nothing_is_said_to_win():
    found = [r for r in records(GOOD, {1: (GOOD, BAD)}) if r["arm"] != "random"]
    (comparison,) = compare_arms(found, "loss", 0.1)
    assert comparison.random is None and comparison.within_tolerance and not comparison.wins


def test_seeds_that_agree_to_the_bit_are_compared_without_a_warning():
    (comparison,) = compare_arms(records(GOOD, {1: ([1.0] * 3, [2.0] * 3)}), "loss", 0.1)
    assert comparison.p == 0 and comparison.wins


def test_where_nothing_wins_the_sparsest_that_matches_is_kept():
    found = records([10.0], {1: ([9.0], [15.0]), 2: ([10.5], [10.5]), 3: ([20.0], [30.0])})
    comparisons = compare_arms(found, "loss", 0.1)
    assert sparsest(comparisons).round == 2
    assert sparsest(compare_arms(found, "loss", 0.0)[1:]).round == 3


def test_the_order_of_records_does_not_matter_nor_whether_they_are_a_list():
    found = records(GOOD, {1: (GOOD, BAD), 2: (GOOD, BAD)})
    expected = compare_arms(found, "loss", 0.1)
    assert compare_arms(Records(found[::-1]), "loss", 0.1) == [
        dataclasses.replace(c, mean=pytest.approx(c.mean), random=pytest.approx(c.random))
        for c in expected
    ]


def test_without_a_dense_network_there_is_nothing_to_compare_with():
    found = [r for r in records(GOOD, {1: (GOOD, BAD)}) if r["arm"] != "dense"]
    with pytest.raises(SettingError, match="no record of the dense arm"):
        compare_arms(found, "loss", 0.1)


def test_neither_keras_nor_tensorflow_is_imported_with_the_module():
    code = (
        "import sys, tf_tickets.search.verdict; print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr


def test_an_absent_metric_is_named_with_those_there_are():
    with pytest.raises(SettingError, match=r"'fid'.*loss, accuracy"):
        compare_arms(records(GOOD, {1: (GOOD, BAD)}), "fid", 0.1)


def test_mean_metrics():
    found = records(GOOD, {1: (GOOD, BAD)})
    assert mean_metrics(found, 1, "random") == pytest.approx(
        {"loss": np.mean(BAD), "accuracy": -np.mean(BAD)}
    )


def test_another_arm_is_compared_with_the_same_dense_and_random():
    found = records(GOOD, {1: (BAD, BAD), 2: (BAD, BAD)})
    found += [record(seed, 2, "transferred", value) for seed, value in enumerate(GOOD)]
    (comparison,) = compare_arms(found, "loss", 0.1, arm="transferred")
    assert (comparison.arm, comparison.round, comparison.wins) == ("transferred", 2, True)
    assert comparison.mean == pytest.approx(np.mean(GOOD))
    assert comparison.random == pytest.approx(np.mean(BAD))
    assert {c.arm for c in compare_arms(found, "loss", 0.1)} == {"winning"}


def curve(**values):
    """Return evaluations after 10, 20, ... steps, of each metric's values."""
    return [
        {"step": 10 * number, "metrics": dict(zip(values, point, strict=True))}
        for number, point in enumerate(zip(*values.values(), strict=True), 1)
    ]


@pytest.mark.parametrize(
    ("values", "higher", "best", "step"),
    [
        ([5.0, 1.0, 3.0], False, 1.0, 20),
        ([5.0, 1.0, 3.0], True, 5.0, 10),
        ([2.0, 1.0099, 1.0], False, 1.0, 20),  # within 1 % of the best
        ([2.0, 1.0101, 1.0], False, 1.0, 30),
        ([50.0, 99.1, 100.0], True, 100.0, 20),
        ([50.0, 98.9, 100.0], True, 100.0, 30),
        ([0.5, -0.98, -1.0], False, -1.0, 30),  # 1 % of a negative best lies above it, too
        ([0.5, -0.995, -1.0], False, -1.0, 20),
        ([-3.0, -1.005, -1.0], True, -1.0, 20),
        ([1e-3, 0.0, 0.0], False, 0.0, 20),  # of zero only zero is
        ([7.0], False, 7.0, 10),
    ],
)
def test_one_could_have_stopped_at_the_first_value_near_the_best(values, higher, best, step):
    followed = follow_curve(curve(it=values), {"it": higher})
    assert followed == {"best": {"it": best}, "early_stopping_step": {"it": step}}


def test_every_metric_is_followed_by_itself():
    followed = follow_curve(curve(loss=[3.0, 1.0, 2.0], score=[1.0, 2.0, 3.0]), {"score": True})
    assert followed == {
        "best": {"loss": 1.0, "score": 3.0},
        "early_stopping_step": {"loss": 20, "score": 30},
    }


def test_what_has_no_direction_has_no_best_value():
    followed = follow_curve(
        curve(fcd=[3.0, 1.0], generator_loss=[1.0, 2.0]), {"generator_loss": None}
    )
    assert followed == {"best": {"fcd": 1.0}, "early_stopping_step": {"fcd": 20}}
