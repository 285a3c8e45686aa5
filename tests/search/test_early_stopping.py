import pytest

from tf_tickets.errors import SettingError
from tf_tickets.search.early_stopping import (
    early_stopping_steps,
    followed_metric,
    watched_metrics,
)


def record(arm, seed, values, metric="loss", **last):
    points = [{"step": 10 * n, "metrics": {metric: v}} for n, v in enumerate(values, 1)]
    if points:
        points[-1]["metrics"] |= last
    return {
        "seed": seed,
        "arm": arm,
        "round": int(arm != "dense"),
        "curve": points,
        "metrics": points[-1]["metrics"] if points else {},
        "collapsed": None if points else "a weight is NaN",
    }


def test_the_target_is_that_of_the_dense_training_of_the_same_seed():
    made = [
        record("dense", 0, [4.0, 2.0, 1.0]),
        record("dense", 1, [8.0, 4.1, 4.0]),
        record("winning", 0, [1.2, 1.05, 0.5]),  # within 5 % of 1.0 at 20
        record("winning", 1, [4.2, 3.0, 3.0]),  # within 5 % of 4.0 at once
        record("random", 0, [1.1, 1.06, 1.06]),  # stalls just above
        record("random", 1, [4.3, 4.3, 4.19]),
    ]
    assert early_stopping_steps(made, "loss") == [30, 20, 20, 10, None, 30]
    assert early_stopping_steps(made[::-1], "loss") == [30, None, 10, 20, 20, 30]
    assert early_stopping_steps(made, "loss", margin=0.5)[4] == 10


@pytest.mark.parametrize(
    ("dense", "higher", "values", "step"),
    [
        (100.0, True, [94.9, 95.1, 99.0], 20),
        (-1.0, False, [0.0, -0.94, -0.951], 30),  # 5 % of a negative value lies above it, too
        (-1.0, True, [-3.0, -1.06, -1.04], 30),
        (0.0, False, [1e-9, 0.0, 0.0], 20),  # of zero only zero is
    ],
)
def test_the_margin_is_a_fraction_of_the_targets_size(dense, higher, values, step):
    made = [record("dense", 0, [dense]), record("winning", 0, values)]
    assert early_stopping_steps(made, "loss", higher)[1] == step


def test_a_training_that_collapsed_or_whose_dense_did_has_no_step():
    made = [record("dense", 0, []), record("winning", 0, [1.0]), record("dense", 1, [1.0])]
    made += [record("winning", 1, []), record("random", 2, [1.0])]
    assert early_stopping_steps(made, "loss") == [None, None, 10, None, None]


def test_what_is_measured_only_at_the_end_was_not_watched():
    made = [record("dense", 0, [2.0, 1.0], fcd=5.0), record("winning", 0, [2.0, 1.0], fcd=4.0)]
    made.append(record("random", 0, []))
    assert watched_metrics(made) == ("loss",)
    assert followed_metric(made, "loss", {"loss": False}) == "loss"
    assert followed_metric(made, "fcd", {"loss": False, "fcd": False}) == "loss"
    with pytest.raises(SettingError, match="watched"):
        followed_metric(made, "fcd", {"loss": None, "fcd": False})
    assert watched_metrics([]) == ()
