from tf_tickets.lab.show.stopping import stops_of, was_watched


def record(arm, losses, last):
    points = [{"step": 10 * n, "metrics": dict(values)} for n, values in enumerate(losses, 1)]
    points[-1]["metrics"] |= last
    return {"seed": 0, "arm": arm, "curve": points, "metrics": points[-1]["metrics"]}


def made(name="loss"):
    return [
        record("dense", [{name: 2.0}, {name: 1.0}], {"fcd": 5.0}),
        record("winning", [{name: 1.04}, {name: 1.0}], {"fcd": 5.0}),
    ]


def test_a_metric_that_is_measured_at_the_end_alone_is_followed_by_the_loss():
    stops = stops_of(made(), "fcd")
    assert stops == ("loss", [20, 10])
    assert stops.target == "within 5 % of dense's last loss"


def test_a_metric_of_the_users_own_that_decides_is_better_when_lower():
    assert stops_of(made("my_error"), "my_error") == ("my_error", [20, 10])


def test_losses_without_a_direction_stop_nothing():
    assert was_watched(made(), "fcd")
    assert not was_watched(made("generator_loss"), "fcd")
    once = [{**record, "curve": record["curve"][-1:]} for record in made()]
    assert not was_watched(once, "fcd")
    assert not was_watched([{"seed": 0, "arm": "dense", "metrics": {}}], "fcd")
