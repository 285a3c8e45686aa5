"""Had a training settled? By hand, and on curves whose future is known."""

import numpy as np
import pytest

from tf_tickets.search.convergence import GAIN, converged_metrics, has_converged


@pytest.mark.parametrize(
    ("values", "higher_is_better", "expected"),
    [
        ([1.0, 1.0, 1.0], False, None),  # too few to tell
        ([], False, None),
        ([4.0, 3.0, 2.0, 1.0], False, False),
        ([4.0, 3.0, 2.0, 1.0], True, True),  # it gets worse
        ([9.0, 9.0, 1.0, 0.981], False, True),
        ([9.0, 9.0, 1.0, 0.979], False, False),
        ([0.0, 0.0, 1.0, 1.019], True, True),
        ([0.0, 0.0, 1.0, 1.021], True, False),
        # Means of two each, of the last four of eight.
        ([9.0] * 4 + [1.0, 1.1, 1.2, 0.9], False, True),
        ([9.0] * 4 + [1.0, 1.1, 1.0, 0.9], False, False),
        # Of nine, a quarter is two.
        ([9.0] * 5 + [2.0, 2.0, 2.0, 2.0], False, True),
        # Below zero, as a kernel distance may be.
        ([0.0, 0.0, -1.0, -1.01], False, True),
        ([0.0, 0.0, -1.0, -1.03], False, False),
        ([0.0, 0.0, 0.0, 0.0], False, True),
    ],
)
def test_by_hand(values, higher_is_better, expected):
    assert has_converged(values, higher_is_better) is expected


def test_a_training_that_has_settled_gains_little_by_twice_the_steps():
    """Of losses that fall as a power of the steps, the rule tells those that are worth going on."""
    for power in np.linspace(0.01, 0.5, 50):
        loss = 8**power * np.arange(1, 9.0) ** -power
        gain_of_twice_the_steps = 1 - 2**-power
        if has_converged(loss):
            assert gain_of_twice_the_steps < 0.05
        else:
            assert gain_of_twice_the_steps > 0.03


def test_noise_alone_does_not_hide_that_a_training_has_settled():
    noise = np.random.default_rng(0).normal(1, GAIN / 4, (200, 16))
    settled = [has_converged(values) for values in noise]
    assert np.mean(settled) > 0.99


CURVE = [
    {"step": step, "metrics": {"loss": loss, "score": 1.0 + step, "other": 1.0}}
    for step, loss in enumerate([4.0, 2.0, 1.0, 1.0])
]


def test_each_metric_by_its_direction_and_none_without():
    directions = {"score": True, "other": None}
    assert converged_metrics(CURVE, directions) == {"loss": True, "score": False}
    assert converged_metrics(CURVE) == {"loss": True, "score": True, "other": True}


def test_metrics_that_are_taken_at_the_end_alone_are_left_out():
    last = {"step": 4, "metrics": {**CURVE[-1]["metrics"], "fcd": 7.0}}
    assert set(converged_metrics([*CURVE, last])) == {"loss", "score", "other"}


def test_few_evaluations_cannot_tell():
    assert converged_metrics(CURVE[:3]) == {}
