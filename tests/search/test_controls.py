import numpy as np
import pytest
import scipy.stats

from tf_tickets.errors import SettingError
from tf_tickets.search.controls import choose_winning_ticket, compare_arms, mean_metrics


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


def test_an_absent_metric_is_named_with_those_there_are():
    with pytest.raises(SettingError, match=r"'fid'.*loss, accuracy"):
        compare_arms(records(GOOD, {1: (GOOD, BAD)}), "fid", 0.1)


def test_mean_metrics():
    found = records(GOOD, {1: (GOOD, BAD)})
    assert mean_metrics(found, 1, "random") == pytest.approx(
        {"loss": np.mean(BAD), "accuracy": -np.mean(BAD)}
    )
