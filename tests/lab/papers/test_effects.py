"""Effects by hand: curves of two seeds, of which every number is known."""

import math
import types

import pytest

from tf_tickets.lab.papers import effects
from tf_tickets.runs.records import Records

SEEDS = (0, 1)


def run_of(curves, metric="fcd", curve=None):
    """A run of arm -> sparsity -> metric, which seed 1 has twice as large."""
    made = [
        {
            "seed": seed,
            "round": number,
            "arm": arm,
            "weight_sparsity": sparsity,
            "network_sparsity": sparsity,
            "metrics": {} if value is None else {metric: value * (1 + seed)},
            "collapsed": "the loss is NaN" if value is None else None,
            "curve": curve(value) if curve else [],
        }
        for seed in SEEDS
        for arm, points in curves.items()
        for number, (sparsity, value) in enumerate(points.items(), start=arm != "dense")
    ]
    return types.SimpleNamespace(records=Records(made), metric=metric)


def test_the_logarithm_of_the_ratio_is_averaged_over_the_rounds_between_two_sparsities():
    run = run_of(
        {"winning": {0.2: 1.0, 0.5: 1.0, 0.8: 1.0}, "random": {0.2: 9.0, 0.5: 2.0, 0.8: 8.0}}
    )
    found = effects.worse_by((run, "random"), (run, "winning"), "fid", (0.4, 0.9))
    assert found == pytest.approx(dict.fromkeys(SEEDS, (math.log(2) + math.log(8)) / 2))
    back = effects.worse_by((run, "winning"), (run, "random"), "fid", (0.4, 0.9))
    assert back == pytest.approx({seed: -value for seed, value in found.items()})


def test_a_metric_that_is_better_when_higher_is_turned_round():
    run = run_of({"winning": {0.5: 0.8}, "random": {0.5: 0.4}}, "classifier_accuracy")
    found = effects.worse_by((run, "random"), (run, "winning"), "classifier_accuracy", (0, 1))
    assert found == pytest.approx(dict.fromkeys(SEEDS, math.log(2)))


def test_between_the_rounds_of_the_other_curve_it_is_read_in_between():
    both = run_of({"winning": {0.2: 2.0, 0.6: 4.0}})
    one = run_of({"winning": {0.3: 5.0}})
    found = effects.worse_by((one, "winning"), (both, "winning"), "fid", (0, 1))
    assert found == pytest.approx(dict.fromkeys(SEEDS, math.log(5 / 2.5)))


def test_dense_is_the_same_at_every_sparsity():
    run = run_of({"dense": {0.0: 2.0}, "winning": {0.5: 3.0, 0.8: 3.0}})
    found = effects.worse_by((run, "winning"), (run, "dense"), "fid", (0.4, 0.9))
    assert found == pytest.approx(dict.fromkeys(SEEDS, math.log(1.5)))


def test_a_training_that_collapsed_is_twice_as_bad_as_the_worst_that_is_known():
    run = run_of({"winning": {0.5: 1.0, 0.8: 3.0}, "random": {0.5: 4.0, 0.8: None}})
    found = effects.worse_by((run, "random"), (run, "winning"), "fid", (0.7, 0.9))
    worst = 2 * 2 * 4.0  # of seed 1
    assert found == pytest.approx({0: math.log(worst / 3), 1: math.log(worst / 6)})


def test_a_ticket_that_collapsed_does_not_match_dense():
    run = run_of({"dense": {0.0: 2.0}, "winning": {0.8: None}})
    found = effects.worse_by((run, "winning"), (run, "dense"), "fid", (0.7, 0.9))
    assert found == pytest.approx({0: math.log(8 / 2), 1: math.log(8 / 4)})
    accuracies = run_of({"dense": {0.0: 0.2}, "winning": {0.8: None}}, "classifier_accuracy")
    sides = (accuracies, "winning"), (accuracies, "dense")
    found = effects.worse_by(*sides, "classifier_accuracy", (0.7, 0.9))
    assert found == pytest.approx({0: math.log(0.2 / 0.1), 1: math.log(0.4 / 0.1)})


def test_a_training_that_collapsed_is_beyond_the_worst_where_values_may_be_negative():
    run = run_of({"winning": {0.5: -1.0}, "random": {0.5: None}}, "discriminator_loss")
    found = effects.worse_by((run, "random"), (run, "winning"), "discriminator_loss", (0, 1))
    assert found == pytest.approx({0: 1 / 1.5, 1: 2 / 1.5})  # at 0, as the values are -1 and -2


def test_nothing_is_said_where_all_trainings_collapsed():
    run = run_of({"winning": {0.5: None}, "random": {0.5: None}})
    assert effects.worse_by((run, "random"), (run, "winning"), "fid", (0, 1)) == {}


def test_values_of_zero_or_less_are_compared_by_their_difference():
    run = run_of({"winning": {0.5: -1.0}, "random": {0.5: 2.0}}, "discriminator_loss")
    found = effects.worse_by((run, "random"), (run, "winning"), "discriminator_loss", (0, 1))
    assert found == pytest.approx({0: 3 / 1.5, 1: 6 / 1.5})


def test_a_training_that_never_came_near_dense_needed_all_its_steps():
    def curve(value):  # the loss falls to twice the value, and then to it
        return [{"step": step, "metrics": {"loss": value * f}} for step, f in ((10, 2), (20, 1))]

    run = run_of({"dense": {0.0: 1.0}, "winning": {0.5: 0.5}, "random": {0.5: 9.0}}, "loss", curve)
    for record in run.records:  # the same for both seeds
        record["metrics"] = {"loss": record["curve"][-1]["metrics"]["loss"]}

    def later(arm):
        sides = (run, arm), (run, "dense")
        return effects.worse_by(*sides, "early_stopping_step", (0, 1))

    assert later("winning") == pytest.approx(dict.fromkeys(SEEDS, math.log(10 / 20)))
    assert later("random") == pytest.approx(dict.fromkeys(SEEDS, 0.0))


def test_an_arm_is_steadier_if_its_seeds_lie_nearer_to_their_median():
    run = run_of({"winning": {0.5: 1.0}, "random": {0.5: 1.0}})
    for record in run.records.where(arm="winning"):
        record["metrics"]["fcd"] = 1.0
    sides = (run, "winning"), (run, "random")
    # Of random the logarithms are 0 and ln 2, whose median is half of it.
    assert effects.steadier_by(*sides, "fid", (0, 1)) == pytest.approx(
        dict.fromkeys(SEEDS, math.log(2) / 2)
    )
    assert effects.steadier_by(*sides, "fid", (0.6, 1)) == {}


def test_what_stays_within_a_tolerance_has_a_positive_effect():
    within = effects.at_most_worse_by(0.1, {0: math.log(1.05), 1: math.log(1.2)})
    assert within == pytest.approx({0: math.log(1.1 / 1.05), 1: math.log(1.1 / 1.2)})
    assert effects.least({0: 1.0, 1: 5.0}, {1: 2.0, 0: 3.0, 7: 0.0}) == {0: 1.0, 1: 2.0}


def row(method, sparsity, flops, values=(), arm="winning"):
    return {
        "method": method,
        "arm": arm,
        "asked_sparsity": sparsity,
        "flops": {"0": flops, "1": flops / 2},  # as JSON has it
        "values": {str(seed): value for seed, value in enumerate(values)},
    }


def test_costs_are_compared_with_those_of_the_unpruned_network():
    rows = [
        row("unpruned", 0.0, 100.0, (4.0, 4.0), "dense"),
        row("early-bird", 0.8, 25.0, (2.0, 8.0)),
        row("early-bird", 0.8, 1.0, (1.0, 1.0), "random"),
        row("early-bird", 0.5, 50.0, (9.0, 9.0)),
    ]
    assert effects.saved(rows, "early-bird", "flops") == {0: 0.75, 1: 0.75}
    assert effects.falling(rows, "early-bird", "flops") == pytest.approx(
        {0: math.log(2), 1: math.log(2)}
    )
    assert effects.worse_way(rows, "early-bird", "unpruned") == pytest.approx(
        {0: math.log(0.5), 1: math.log(2)}
    )
