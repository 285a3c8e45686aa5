import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import IterativeSparsity, SettingError
from tf_tickets.interop import PruningSchedule, sparsity
from tf_tickets.pruning.schedules import ListedSparsity

# K3, as paper K's section 4 and Table 1 give it.
PAPER = [20, 36, 48.8, 59.04, 67.23, 73.79, 79.03, 83.22, 86.58, 89.26]
PAPER += [91.41, 93.13, 94.50, 95.60, 96.48, 97.19, 97.75, 98.20, 98.56, 98.85]


def test_the_papers_twenty_rounds():
    schedule = IterativeSparsity()
    found = [100 * float(schedule(number)[1]) for number in range(1, 21)]
    np.testing.assert_allclose(found, PAPER, atol=0.006)
    assert all(bool(schedule(number)[0]) for number in range(1, 21))


def test_prunes_in_its_rounds_only():
    schedule = IterativeSparsity(0.5, 2)
    assert [bool(schedule(number)[0]) for number in (0, 1, 2, 3)] == [False, True, True, False]
    assert float(schedule(0)[1]) == 0.0


def test_float64_places_every_weight_of_a_large_pool():
    _, target = IterativeSparsity(0.2, 20)(tf.constant(20, tf.int64))
    assert target.dtype == tf.float64
    assert abs(float(target) - (1 - 0.8**20)) < 1e-15


def test_works_within_a_compiled_function():
    schedule = IterativeSparsity(0.2, 3)
    due, target = tf.function(schedule)(tf.constant(2))
    assert bool(due)
    assert float(target) == pytest.approx(0.36)


def test_is_a_tf_mot_schedule_that_its_config_repeats():
    schedule = IterativeSparsity(0.3, 7)
    assert isinstance(schedule, PruningSchedule)
    config = schedule.get_config()
    assert config == {"class_name": "IterativeSparsity", "config": {"rate": 0.3, "rounds": 7}}
    again = IterativeSparsity.from_config(config["config"])
    assert again.get_config() == config
    # As TF-MOT's own schedules lay theirs out.
    own = sparsity.ConstantSparsity(0.5, 0)
    assert own.get_config().keys() == config.keys()


@pytest.mark.parametrize("rate", [0, 1, -0.2, 20, float("nan")])
def test_rate_is_a_fraction(rate):
    with pytest.raises(SettingError, match=r"`rate` must be in \(0, 1\)"):
        IterativeSparsity(rate)


def test_at_least_one_round():
    with pytest.raises(SettingError, match=r"`rounds` must be at least 1\. Received: rounds=0"):
        IterativeSparsity(rounds=0)


def test_listed_sparsities_come_back_exactly_and_in_their_rounds_only():
    listed = [0.0, 1 / 3, 1 / 3, 1 - 0.8**20]
    schedule = ListedSparsity(listed)
    assert isinstance(schedule, PruningSchedule)
    found = [schedule(tf.constant(number)) for number in range(6)]
    assert [bool(due) for due, _ in found] == [False, True, True, True, True, False]
    assert [float(target) for _, target in found[1:5]] == listed
    due, target = tf.function(schedule)(tf.constant(2))
    assert bool(due) and float(target) == 1 / 3


def test_listed_sparsities_are_repeated_by_their_config():
    config = ListedSparsity((0.25, 0.5)).get_config()
    assert config == {"class_name": "ListedSparsity", "config": {"sparsities": [0.25, 0.5]}}
    assert ListedSparsity.from_config(config["config"]).get_config() == config


@pytest.mark.parametrize("listed", [[], [0.5, 0.4], [0.5, 1.0], [-0.1], [float("nan")], [20]])
def test_listed_sparsities_neither_fall_nor_leave_their_range(listed):
    with pytest.raises(SettingError, match=r"in \[0, 1\) and never fall. Received: \["):
        ListedSparsity(listed)
