"""What a reproduction takes, counted by hand."""

import itertools

import pytest

from tf_tickets.lab.config import Data
from tf_tickets.lab.papers import Scale, Study
from tf_tickets.lab.papers.plan import plan
from tf_tickets.lab.show.planned import plan_table

SCALE = Scale(
    "tiny",
    "for tests",
    {"mnist": Data("digits", 8, limit=100)},
    seeds=(0, 1, 2),
    rounds=4,
    compared=(1,),
    sizes={"linear-ae": {"epochs": 2, "batch_size": 25}},
)


def test_trainings_steps_flops_and_bytes_are_those_of_the_runs():
    (planned,) = plan([Study("linear-ae", "mnist")], SCALE)
    assert planned.num_trainings == 3 * (1 + 4 * 2)
    assert planned.num_steps == 2 * 100 // 25
    widths = (64, 116, 64, 12, 3, 12, 64, 116, 64)
    layers = list(itertools.pairwise(widths))
    weights = sum(a * b + b for a, b in layers)
    # Forward, and the gradients of weights and inputs; of the first layer's inputs none is taken.
    each = sum(3 * (2 * a * b) for a, b in layers) - 2 * 64 * 116
    expected = planned.num_trainings * planned.num_steps * 25 * each
    assert planned.flops == pytest.approx(expected, rel=0.02)  # biases on top
    assert planned.num_bytes == planned.num_trainings * weights * 4 * 2


def test_studies_that_are_one_run_are_counted_once():
    study = Study("linear-ae", "mnist")
    both = plan([study, study.but(component="all")], SCALE)
    assert len(both) == 1
    assert len(plan([study, study.but(component="encoder")], SCALE)) == 2


def test_the_sum_stands_below_with_hours_at_the_speed_that_was_given():
    planned = plan([Study("linear-ae", "mnist")], SCALE)
    *rows, total = plan_table(planned, planned[0].flops / 7200).rows
    assert [row[0] for row in rows] == ["linear-ae on mnist, imp"]
    assert total[:2] == ("in all", "27") and total[4] == "2.0"
