"""How sparse to be, and when."""

from collections.abc import Sequence

import tensorflow as tf

from tf_tickets.errors import SettingError, check_count, check_number
from tf_tickets.interop import PruningSchedule


def check_schedule(schedule: PruningSchedule) -> None:
    """Raise SettingError unless this is a TF-MOT `PruningSchedule`."""
    if not isinstance(schedule, PruningSchedule):
        raise SettingError(
            "`schedule` must be a PruningSchedule of TF-MOT, such as tt.PolynomialDecay(0, 0.8, "
            f"begin_step=0, end_step=1000). Received: schedule={schedule!r}"
        )


def check_rounds(schedule: PruningSchedule, rounds: int) -> None:
    """Refuse a round in which nothing is due: it would train the masks of the one before again.

    Raises:
        SettingError: if there is such a round, the last one leaves nothing, or `schedule` is no
            `PruningSchedule`.
    """
    check_schedule(schedule)
    _check_leaves_some(schedule, rounds)
    if isinstance(schedule, IterativeSparsity) and rounds <= schedule.rounds:
        return  # which is due in each
    for number in range(1, rounds + 1):
        if not schedule(number)[0]:
            raise SettingError(
                f"`schedule` must prune in each of the {rounds} rounds, which are its steps. "
                f"Received one that prunes nothing in round {number}. Choose its first and last "
                "step and its frequency so that all rounds are due, or other `rounds`."
            )


def _check_leaves_some(schedule, rounds):
    sparsity = float(schedule(rounds)[1])
    if sparsity >= 1:
        raise SettingError(
            f"`rounds` must be so few that the last leaves a weight. Received: rounds={rounds}, "
            f"at whose end the schedule has a sparsity of {sparsity:g}."
        )


class IterativeSparsity(PruningSchedule):
    """Each round removes the same fraction of what is left: 1 - (1 - rate)^round.

    A TF-MOT `PruningSchedule` whose step is the round; any other TF-MOT schedule works in its
    place. With the paper's rate of 0.2: 0.2, 0.36, 0.488, ... 0.9885 after 20 rounds.

    Args:
        rate: fraction of the remaining weights that a round removes, in (0, 1).
        rounds: number of rounds, at least 1.

    Raises:
        SettingError: if either is out of range.

    Example:
        >>> [round(float(IterativeSparsity(0.2, 20)(k)[1]), 3) for k in (1, 2, 3, 20)]
        [0.2, 0.36, 0.488, 0.988]
    """

    def __init__(self, rate: float = 0.2, rounds: int = 20):
        check_number("rate", rate)
        if not 0 < rate < 1:
            hint = f" Did you mean {rate / 100:g}?" if 1 < rate < 100 else ""
            raise SettingError(f"`rate` must be in (0, 1). Received: rate={rate}.{hint}")
        check_count("rounds", rounds)
        self.rate = rate
        self.rounds = rounds
        self.begin_step, self.end_step = 1, rounds

    def __call__(self, step):
        """Return (whether to prune at this round, the sparsity then) as scalar tensors.

        The sparsity is float64: in float32 it would misplace whole weights of a large pool.
        """
        step = tf.cast(step, tf.float64)
        due = tf.logical_and(step >= 1, step <= self.rounds)
        return due, 1 - (1 - tf.constant(self.rate, tf.float64)) ** step

    def get_config(self):
        return {
            "class_name": self.__class__.__name__,
            "config": {"rate": self.rate, "rounds": self.rounds},
        }


class ListedSparsity(PruningSchedule):
    """A sparsity for each round, as listed: to follow the rounds of another search.

    Args:
        sparsities: of round 1, 2 and so on; each in [0, 1), none below the one before.

    Raises:
        SettingError: if there is none, or one is out of order or range.
    """

    def __init__(self, sparsities: Sequence[float]):
        self.sparsities = [float(sparsity) for sparsity in sparsities]
        self.begin_step, self.end_step = 1, len(self.sparsities)
        in_order = self.sparsities == sorted(self.sparsities)
        if not self.sparsities or not in_order or not all(0 <= s < 1 for s in self.sparsities):
            raise SettingError(
                f"`sparsities` must be in [0, 1) and never fall. Received: {self.sparsities}"
            )

    def __call__(self, step):
        """Return (whether to prune at this round, the sparsity then) as scalar tensors."""
        step = tf.cast(step, tf.int64)
        due = tf.logical_and(step >= 1, step <= len(self.sparsities))
        listed = tf.constant(self.sparsities, tf.float64)
        return due, listed[tf.clip_by_value(step, 1, len(self.sparsities)) - 1]

    def get_config(self):
        return {"class_name": self.__class__.__name__, "config": {"sparsities": self.sparsities}}
