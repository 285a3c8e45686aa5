"""A claim agrees, does not, or is undecided, by the interval of its effect over the seeds."""

import numpy as np
import pytest
import scipy.stats

from tf_tickets.lab.papers.claims import AGREES, DISAGREES, UNDECIDED, Claim, finding


def effects(*values):
    return dict(enumerate(values))


@pytest.mark.parametrize(
    ("values", "margin", "answer"),
    [
        ((0.3, 0.4, 0.35), 0.0, AGREES),
        ((0.3, 0.4, 0.35), 0.6, DISAGREES),
        ((0.3, 0.4, 0.35), 0.33, UNDECIDED),
        ((-0.3, -0.4, -0.35), 0.0, DISAGREES),
        ((0.5, -0.4, 0.1), 0.0, UNDECIDED),
        ((0.5, 0.5, 0.5), 0.5, UNDECIDED),
    ],
)
def test_the_whole_interval_has_to_lie_on_one_side(values, margin, answer):
    found = finding(effects(*values), "of each seed", margin)
    assert found.answer == answer
    assert found.mean == pytest.approx(np.mean(values))
    assert found.seeds == (0, 1, 2)


def test_the_interval_is_students():
    values = np.array([0.1, 0.4, 0.2, 0.35, 0.15])
    found = finding(effects(*values), "of each seed")
    expected = scipy.stats.t.interval(0.95, 4, values.mean(), scipy.stats.sem(values))
    assert (found.low, found.high) == pytest.approx(expected)


def test_one_seed_decides_nothing_and_has_no_interval():
    found = finding({3: 5.0}, "of each seed")
    assert (found.answer, found.low, found.high, found.seeds_needed) == (UNDECIDED, *[None] * 3)
    assert finding({}, "of each seed").answer == UNDECIDED


def test_what_is_undecided_says_how_many_seeds_would_decide_it():
    near, far = (finding(effects(*np.array([-1.0, 0.0, 1.0]) + m), "") for m in (2.0, 0.5))
    assert near.answer == far.answer == UNDECIDED
    assert 3 < near.seeds_needed < far.seeds_needed
    assert finding(effects(-1.0, 0.0, 1.0), "").seeds_needed is None  # no number would
    assert finding(effects(3.0, 3.1, 3.2), "").seeds_needed is None  # it is decided


def test_without_an_effect_one_claim_in_forty_agrees():
    random = np.random.default_rng(0)
    answers = [finding(effects(*random.normal(size=5)), "").answer for _ in range(2000)]
    for answer in (AGREES, DISAGREES):
        assert 0.015 < answers.count(answer) / len(answers) < 0.035


def test_a_claim_measures_the_effect_of_its_runs():
    claim = Claim("steep", "It rises.", "Figure 1", "rise", lambda runs: runs["x"], margin=1.0)
    assert claim.judge({"x": effects(2.0, 2.1, 2.2)}).answer == AGREES
    assert claim.judge({"x": effects(0.0, 0.1, 0.2)}).answer == DISAGREES
