import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats

from tf_tickets.errors import SettingError
from tf_tickets.runs.records import Records
from tf_tickets.search.decision import MATCH_LEVEL, RANDOM_LEVEL
from tf_tickets.search.verdict import (
    follow_curve,
    judge,
    last_round_to_ask,
    mean_metrics,
    sparsest,
)

SEEDS = np.array([-1.0, 0.5, 0.0, 1.0, -0.5])  # deviations of mean 0


def around(value, spread=0.02):
    """Return a value for each of five seeds, whose logarithms have this value's as their mean."""
    return value * np.exp(spread * SEEDS)


# Alike but for a scatter of their own, so that no pair is equal to the bit.
DENSE, GOOD, BAD = around(10.0), around(10.0, 0.03), around(14.0, -0.02)


def records(dense, rounds, **fields):
    """Make records of `{round: (winning values, random values)}`; None is a collapse."""
    made = [record(seed, 0, "dense", value) for seed, value in enumerate(dense)]
    for number, arms in rounds.items():
        for arm, values in zip(("winning", "random"), arms, strict=True):
            made += [record(seed, number, arm, value) for seed, value in enumerate(values)]
    return [{**each, **fields} for each in made]


def record(seed, number, arm, value):
    metrics = {} if value is None else {"loss": float(value), "accuracy": 1 / float(value)}
    return {
        "seed": seed,
        "round": number,
        "arm": arm,
        "weight_sparsity": 1 - 0.8**number,
        "metrics": metrics,
        "collapsed": "a weight is NaN" if value is None else None,
    }


def collapsed(values, seed):
    return [None if number == seed else value for number, value in enumerate(values)]


def test_the_sparsest_round_that_matches_dense_and_beats_random_wins():
    verdict = judge(records(DENSE, {1: (GOOD, BAD), 2: (GOOD, BAD), 3: (BAD, 2 * BAD)}), "loss")
    assert (verdict.kind, verdict.winner.round, verdict.candidate) == ("winning ticket", 2, None)
    assert [comparison.matches for comparison in verdict.comparisons] == [True, True, False]
    assert verdict.seeds == (0, 1, 2, 3, 4) and verdict.tolerance == 0.1


def test_bound_and_p_are_those_of_paired_t_tests_on_logarithms_of_ratios():
    noisy = BAD * np.exp([0.1, -0.2, 0.05, 0.0, 0.1])
    (comparison,) = judge(records(DENSE, {1: (GOOD, noisy)}), "loss").comparisons
    gaps = np.log(GOOD / DENSE)
    expected = scipy.stats.ttest_1samp(gaps, 0, alternative="less").confidence_interval(0.96)
    assert comparison.gap == pytest.approx(gaps.mean())
    assert comparison.gap_bound == pytest.approx(expected.high)
    assert comparison.advantage == pytest.approx(np.log(noisy / GOOD).mean())
    paired = scipy.stats.ttest_rel(np.log(noisy), np.log(GOOD), alternative="greater")
    assert comparison.p == pytest.approx(paired.pvalue)
    assert comparison.level == 0.8 * RANDOM_LEVEL and MATCH_LEVEL + RANDOM_LEVEL == 0.05


def test_a_mean_within_the_tolerance_does_not_match_if_its_bound_is_not():
    wide = around(10.0, 0.15)
    (comparison,) = judge(records(DENSE, {1: (wide, 3 * BAD)}), "loss").comparisons
    assert comparison.within and not comparison.matches
    assert comparison.gap < math.log(1.1) < comparison.gap_bound


def test_the_asking_stops_at_the_first_round_that_does_not_match():
    rounds = {1: (GOOD, BAD), 2: (around(12.0), 2 * BAD), 3: (GOOD, 2 * BAD)}
    verdict = judge(records(DENSE, rounds), "loss")
    assert [comparison.matches for comparison in verdict.comparisons] == [True, False, False]
    assert [comparison.level for comparison in verdict.comparisons] == [
        0.8 * RANDOM_LEVEL,
        None,
        None,
    ]
    assert verdict.winner.round == 1


def test_from_the_sparsest_round_down_random_is_asked_at_what_is_left_of_the_level():
    alike = around(10.0, 0.025)
    rounds = {1: (GOOD, BAD), 2: (GOOD, BAD), 3: (GOOD, alike), 4: (GOOD, alike)}
    verdict = judge(records(DENSE, rounds), "loss")
    levels = [comparison.level for comparison in verdict.comparisons]
    assert levels[0] is None
    assert levels[1:] == pytest.approx([0.00032, 0.0016, 0.008])
    assert verdict.winner.round == 2


def test_a_random_ticket_that_does_as_well_leaves_nothing():
    verdict = judge(records(DENSE, {1: (GOOD, GOOD)}), "loss")
    assert (verdict.kind, verdict.comparison) == ("none", None)
    assert verdict.comparisons[0].matches


def test_means_that_the_seeds_do_not_bear_out_are_a_candidate_with_the_seeds_it_needs():
    wide = around(10.2, 0.12)
    rounds = {1: (GOOD, BAD), 2: (wide, 2 * BAD), 3: (wide, 2 * BAD)}
    first = judge(records(DENSE, rounds), "loss")
    assert (first.kind, first.winner.round) == ("winning ticket", 1), "a claim goes first"
    verdict = judge(records(DENSE, {1: (wide, 2 * BAD), 2: (wide, 2 * BAD)}), "loss")
    assert (verdict.kind, verdict.candidate.round, verdict.winner) == ("candidate", 2, None)
    # With so many seeds, the rounds would be shown to match in 80 % of searches.
    room = math.log(1.1) - np.log(wide / DENSE)
    seeds = verdict.seeds_needed
    assert seeds > 5
    shift = room.mean() / room.std(ddof=1)
    powers = [
        scipy.stats.nct.sf(scipy.stats.t.isf(0.04, n - 1), n - 1, shift * math.sqrt(n))
        for n in (seeds - 1, seeds)
    ]
    assert powers[0] < 0.8 <= powers[1]


def test_seeds_without_end_are_not_counted():
    hopeless = around(11.0 * 0.9999, 0.3)
    verdict = judge(records(DENSE, {1: (hopeless, 3 * BAD)}), "loss")
    assert (verdict.kind, verdict.seeds_needed) == ("candidate", None)


def test_one_seed_can_only_give_a_candidate():
    verdict = judge(records([10.0], {1: ([10.0], [15.0]), 2: ([12.0], [30.0])}), "loss")
    assert (verdict.kind, verdict.candidate.round) == ("candidate", 1)
    assert verdict.seeds_needed is None
    assert (verdict.candidate.gap_bound, verdict.candidate.p) == (None, None)


def test_tolerance_is_a_fraction_of_dense():
    found = records([10.0], {1: ([10.9], [15.0]), 2: ([11.1], [15.0])})
    verdict = judge(found, "loss")
    assert [comparison.within for comparison in verdict.comparisons] == [True, False]
    assert verdict.fraction(verdict.comparisons[0].gap) == pytest.approx(0.09)
    assert judge(found, "loss", tolerance=0.12).candidate.round == 2


def test_a_metric_whose_higher_values_are_better():
    accuracy = records([1 / 0.5], {1: ([1 / 0.46], [1 / 0.3]), 2: ([1 / 0.44], [1 / 0.3])})
    verdict = judge(accuracy, "accuracy", higher_is_better=True)
    assert [comparison.within for comparison in verdict.comparisons] == [True, False]
    assert verdict.candidate.round == 1
    assert verdict.fraction(verdict.comparisons[0].gap) == pytest.approx(0.08)
    assert verdict.comparisons[0].advantage == pytest.approx(math.log(0.46 / 0.3))
    assert judge(accuracy, "accuracy", higher_is_better=True, tolerance=1.0).candidate.round == 2


def test_a_metric_that_can_be_negative_is_compared_by_differences():
    found = records(DENSE, {1: (GOOD, BAD), 2: (BAD, 2 * BAD)})
    for each in found:
        each["metrics"]["loss"] -= 12.0
    verdict = judge(found, "loss", tolerance=0.2)
    assert verdict.winner.round == 1
    unit = abs(np.mean(DENSE) - 12)
    assert verdict.comparisons[1].gap == pytest.approx((BAD - DENSE).mean() / unit)
    assert verdict.fraction(verdict.comparisons[1].gap) == verdict.comparisons[1].gap


def test_without_a_random_arm_nothing_wins_and_nothing_is_a_candidate():
    found = [r for r in records(DENSE, {1: (GOOD, BAD)}) if r["arm"] != "random"]
    verdict = judge(found, "loss")
    (comparison,) = verdict.comparisons
    assert (verdict.kind, comparison.random, comparison.p, comparison.level) == (
        "none",
        *[None] * 3,
    )
    assert comparison.matches


def test_seeds_that_agree_to_the_bit_are_judged_without_a_warning():
    found = records([1.0] * 3, {1: ([1.0] * 3, [2.0] * 3), 2: ([1.0] * 3, [1.0] * 3)})
    first, second = judge(found, "loss").comparisons
    assert (first.gap_bound, first.p, second.p) == (0, 0, 1)
    assert judge(found, "loss").winner.round == 1


def test_seeds_are_paired_by_their_number_and_the_order_of_records_does_not_matter():
    found = records(DENSE, {1: (GOOD, BAD), 2: (GOOD, BAD)})
    verdict = judge(found, "loss")
    for other in (
        found[::-1],
        Records(found[::-1]),
        sorted(found, key=lambda r: r["seed"] * 7 % 5),
    ):
        for one, two in zip(judge(other, "loss").comparisons, verdict.comparisons, strict=True):
            assert dataclasses.astuple(one)[3:] == pytest.approx(dataclasses.astuple(two)[3:])


def test_a_ticket_that_collapsed_counts_as_the_worst_value_and_its_round_cannot_match():
    lost = collapsed(GOOD, 2)
    verdict = judge(records(DENSE, {1: (GOOD, BAD), 2: (lost, BAD), 3: (GOOD, BAD)}), "loss")
    second = verdict.comparisons[1]
    worst = max(BAD)
    gaps = np.log(np.where(np.arange(5) == 2, worst, GOOD) / DENSE)
    assert second.gap == pytest.approx(gaps.mean())
    assert second.mean == pytest.approx(np.mean([v for v in lost if v is not None]))
    assert second.gap < math.log(1.1) and not second.within, "though the worst is mild here"
    assert verdict.winner.round == 1


def test_a_random_ticket_that_collapsed_counts_as_the_worst_value():
    verdict = judge(records(DENSE, {1: (GOOD, collapsed(BAD, 0)), 2: (BAD, 9 * BAD)}), "loss")
    random = np.where(np.arange(5) == 0, max(9 * BAD), BAD)
    assert verdict.comparisons[0].advantage == pytest.approx(np.log(random / GOOD).mean())
    nan = [math.nan if value is None else value for value in collapsed(BAD, 0)]
    same = judge(records(DENSE, {1: (GOOD, nan), 2: (BAD, 9 * BAD)}), "loss")
    assert same.comparisons[0].advantage == verdict.comparisons[0].advantage


def test_a_seed_whose_dense_training_collapsed_is_left_out_and_named():
    verdict = judge(records(collapsed(DENSE, 3), {1: (GOOD, BAD)}), "loss")
    assert (verdict.seeds, verdict.left_out) == ((0, 1, 2, 4), (3,))
    kept = [seed for seed in range(5) if seed != 3]
    assert verdict.comparisons[0].gap == pytest.approx(np.log(GOOD / DENSE)[kept].mean())
    nothing = judge(records([None] * 5, {1: (GOOD, BAD)}), "loss")
    assert (nothing.kind, nothing.seeds, nothing.comparisons[0].gap) == ("none", (), None)


def test_a_round_that_lacks_a_seed_is_not_judged():
    found = records(DENSE, {1: (GOOD, BAD), 2: (GOOD[:4], BAD), 3: (GOOD, BAD)})
    verdict = judge(found, "loss")
    assert [comparison.gap is None for comparison in verdict.comparisons] == [False, True, False]
    assert verdict.winner.round == 1
    verdict = judge(records(DENSE, {1: (GOOD, BAD), 2: (GOOD, BAD[:4])}), "loss")
    assert verdict.comparisons[1].matches and verdict.comparisons[1].p is None
    assert verdict.winner.round == 1 and verdict.winner.level == 0.8 * RANDOM_LEVEL


def test_rounds_are_asked_in_the_order_of_sparsity():
    found = records(DENSE, {1: (BAD, BAD), 2: (GOOD, BAD)})
    for each in found:
        each["weight_sparsity"] = {0: 0.0, 1: 0.7, 2: 0.3}[each["round"]]
    verdict = judge(found, "loss")
    assert [comparison.round for comparison in verdict.comparisons] == [2, 1]
    assert verdict.winner.round == 2


def test_the_verdict_says_which_dense_trainings_had_settled():
    found = records(DENSE, {1: (GOOD, BAD)})
    assert judge(found, "loss").converged == (None,) * 5
    for each in found:
        each["converged"] = {"loss": each["seed"] != 2}
    assert judge(found, "loss").converged == (True, True, False, True, True)
    assert judge(found, "accuracy").converged == (True, True, False, True, True), "by the loss"
    found[0]["converged"]["accuracy"] = False
    assert judge(found, "accuracy").converged[0] is False


def test_test_metrics_are_judged_by_themselves_for_showing():
    found = records(DENSE, {1: (GOOD, BAD), 2: (GOOD, BAD)})
    for each in found:
        each["test_metrics"] = {"loss": each["metrics"]["loss"] * (1 + (each["round"] == 2))}
    tested = judge(found, "loss", of="test_metrics")
    assert tested.comparisons[1].mean == pytest.approx(2 * np.mean(GOOD))
    assert [comparison.matches for comparison in tested.comparisons] == [True, False]
    assert mean_metrics(found, 2, "winning", "test_metrics")["loss"] == pytest.approx(
        2 * np.mean(GOOD)
    )


def test_where_nothing_is_found_the_sparsest_whose_mean_is_within_the_tolerance_is_kept():
    found = records([10.0], {1: ([9.0], [9.0]), 2: ([10.5], [10.5]), 3: ([20.0], [20.0])})
    assert sparsest(judge(found, "loss").comparisons).round == 2
    assert sparsest(judge(found[:1] + found[3:], "loss", 0.01).comparisons).round == 2, "the first"


def test_without_a_dense_network_there_is_nothing_to_compare_with():
    found = [r for r in records(DENSE, {1: (GOOD, BAD)}) if r["arm"] != "dense"]
    with pytest.raises(SettingError, match="no record of the dense arm"):
        judge(found, "loss")


def test_neither_keras_nor_tensorflow_is_imported_with_the_module():
    code = (
        "import sys, tf_tickets.search.verdict; print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr


def test_an_absent_metric_is_named_with_those_there_are():
    with pytest.raises(SettingError, match=r"'fid'.*loss, accuracy"):
        judge(records(DENSE, {1: (GOOD, BAD)}), "fid")


def test_mean_metrics_are_of_the_trainings_that_have_them():
    found = records(DENSE, {1: (GOOD, collapsed(BAD, 0))})
    assert mean_metrics(found, 1, "winning")["loss"] == pytest.approx(np.mean(GOOD))
    assert mean_metrics(found, 1, "random")["loss"] == pytest.approx(np.mean(BAD[1:]))
    assert mean_metrics(found, 7, "random") == {}


def transferred(found, number, values):
    return found + [record(seed, number, "transferred", v) for seed, v in enumerate(values)]


def test_another_arm_is_judged_against_the_same_dense_and_random():
    found = transferred(records(DENSE, {1: (BAD, BAD), 2: (BAD, BAD)}), 2, GOOD)
    verdict = judge(found, "loss", arm="transferred")
    (comparison,) = verdict.comparisons
    assert (comparison.arm, comparison.round, verdict.kind) == ("transferred", 2, "winning ticket")
    assert comparison.mean == pytest.approx(np.mean(GOOD))
    assert comparison.random == pytest.approx(np.mean(BAD))
    assert {c.arm for c in judge(found, "loss").comparisons} == {"winning"}


def test_transferred_tickets_are_on_par_with_own_ones_if_the_bound_says_so():
    found = records(DENSE, {1: (GOOD, BAD), 2: (GOOD, BAD), 3: (GOOD, BAD)})
    found = transferred(transferred(found, 1, DENSE), 2, around(11.0, 0.1))
    found = transferred(found, 3, DENSE)
    comparisons = judge(found, "loss", arm="transferred").comparisons
    assert [c.on_par for c in comparisons] == [True, False, False]
    own = scipy.stats.ttest_1samp(np.log(DENSE / GOOD), 0, alternative="less")
    assert comparisons[0].own_bound == pytest.approx(own.confidence_interval(0.96).high)
    assert comparisons[0].own_gap == pytest.approx(np.log(DENSE / GOOD).mean())
    assert {c.on_par for c in judge(found, "loss").comparisons} == {None}


def test_chains_can_end_once_the_mean_of_a_whole_round_is_beyond_every_tolerance_shown():
    assert (
        last_round_to_ask(records(DENSE, {1: (GOOD, BAD), 2: (around(11.9), BAD)}), "loss") is None
    )
    beyond = records(DENSE, {1: (GOOD, BAD), 2: (around(12.1), BAD)})
    assert last_round_to_ask(beyond, "loss") == 2
    assert last_round_to_ask(beyond, "loss", tolerance=0.3) is None
    assert last_round_to_ask(beyond, "accuracy", higher_is_better=True, tolerance=0.15) == 2
    assert last_round_to_ask(beyond, "loss", higher_is_better=True) is None, "then it is better"


def test_only_whole_rounds_end_chains_and_later_records_change_no_end():
    beyond = records(DENSE, {1: (GOOD, BAD), 2: (around(12.1)[:4], BAD)})
    assert last_round_to_ask(beyond, "loss") is None, "a seed is missing"
    whole = [*beyond, record(4, 2, "winning", 12.1 * np.exp(-0.01))]
    assert last_round_to_ask(whole, "loss") == 2
    assert last_round_to_ask(whole, "loss", seeds=range(6)) is None, "seed 5 has not begun"
    assert last_round_to_ask(whole, "loss", seeds=range(5)) == 2
    assert last_round_to_ask([], "loss") is last_round_to_ask(whole[5:], "loss") is None
    more = [*whole, *(record(seed, 3, "winning", 5.0) for seed in range(5))]
    assert last_round_to_ask(more, "loss") == 2
    # What ends a chain is no ticket at any tolerance that is shown.
    assert judge(more, "loss", tolerance=0.2).comparisons[2].matches is False


def test_a_collapse_ends_a_chain_only_by_its_worst_value_up_to_then():
    lost = records(DENSE, {1: (GOOD, BAD), 2: (collapsed(GOOD, 0), BAD)})
    assert last_round_to_ask(lost, "loss") is None
    assert last_round_to_ask([*lost, record(0, 3, "winning", 1e6)], "loss") is None
    lost = records(DENSE, {1: ([*GOOD[:4], 30.0], BAD), 2: (collapsed(GOOD, 0), BAD)})
    assert last_round_to_ask(lost, "loss") == 1


def curve(**values):
    """Return evaluations after 10, 20, ... steps, of each metric's values."""
    return [
        {"step": 10 * number, "metrics": dict(zip(values, point, strict=True))}
        for number, point in enumerate(zip(*values.values(), strict=True), 1)
    ]


def test_the_best_value_of_every_metric_is_followed_by_itself():
    followed = follow_curve(curve(loss=[3.0, 1.0, 2.0], score=[1.0, 3.0, 2.0]), {"score": True})
    assert followed == {"loss": 1.0, "score": 3.0}


def test_what_has_no_direction_has_no_best_value():
    assert follow_curve(curve(fcd=[3.0, 1.0], g_loss=[1.0, 2.0]), {"g_loss": None}) == {"fcd": 1.0}


def test_points_on_the_way_may_hold_fewer_metrics():
    seen = [*curve(loss=[3.0, 1.0]), {"step": 30, "metrics": {"loss": 2.0, "fcd": 9.0}}]
    assert follow_curve(seen) == {"loss": 1.0, "fcd": 9.0}
