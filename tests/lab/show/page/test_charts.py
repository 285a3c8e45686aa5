import json

import altair
import pytest

from tests.lab.show.small_run import make_records
from tf_tickets.errors import SettingError
from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.show.page import charts
from tf_tickets.lab.show.page.charts import look
from tf_tickets.runs.records import Records


def curves_of(records):
    records = Records(records)
    return [
        charts.Curve(card.name, card.label, card.color, card.marker, records.where(arm=card.name))
        for card in ARMS.values()
        if card.name in records.arms
    ]


def marks(spec):
    return [layer["mark"]["type"] for layer in spec["layer"]]


def checked(spec):
    """Return a specification that Vega-Lite's schema allows."""
    altair.Chart.from_dict(spec, validate=True)
    return spec


def test_points_are_means_over_the_seeds_with_what_is_known_of_their_spread():
    records = [r for r in make_records(2, 3) if (r["arm"], r["seed"]) != ("dense", 0)]
    records[1]["metrics"] = {}
    points = charts.metric_points(curves_of(records), ["fcd"], marked=("winning", 2))
    (dense,) = [p for p in points if p["curve"] == "dense"]
    assert dense["level"] and (dense["known"], dense["seeds"]) == (2, 2)
    values = [r["metrics"]["fcd"] for r in records if (r["arm"], r["round"]) == ("winning", 2)]
    (marked,) = [p for p in points if p["marked"]]
    assert marked["mean"] == pytest.approx(sum(values) / 3, rel=1e-5)
    assert marked["sparsity"] == pytest.approx(0.36) and marked["kept"] == pytest.approx(0.64)
    few = [p for p in points if p["known"] < p["seeds"]]
    assert [(p["curve"], p["round"], p["known"]) for p in few] == [("random", 1, 2)]


def test_a_metric_that_nobody_has_or_that_is_not_finite_has_no_point():
    records = make_records(1, 1)
    for record in records:
        record["metrics"]["fcd"] = float("nan")
    assert charts.metric_points(curves_of(records), ["fcd", "other"]) == []


def test_one_seed_has_no_spread():
    points = charts.metric_points(curves_of(make_records(1, 1)), ["fcd"])
    assert {p["spread"] for p in points} == {None}


def test_points_may_lie_by_another_sparsity():
    records = [{**r, "network_sparsity": r["weight_sparsity"] / 2} for r in make_records(1, 1)]
    points = charts.metric_points(curves_of(records), ["fcd"], sparsity="network_sparsity")
    assert {p["sparsity"] for p in points if not p["level"]} == {0.1}


def test_the_metric_is_chosen_from_a_list_and_each_curve_has_a_switch():
    records = [{**r, "metrics": {**r["metrics"], "kcd": 1.0}} for r in make_records(3, 2)]
    curves = curves_of(records)
    points = charts.metric_points(curves, ["fcd", "kcd"], marked=("winning", 2))
    spec = checked(charts.metric_chart(curves, points, "kcd", "candidate", description="It shows."))
    parameters = {each["name"]: each for each in spec["params"]}
    assert parameters["metric"]["value"] == "kcd"
    assert parameters["metric"]["bind"]["options"] == ["fcd", "kcd"]
    assert "bind" not in parameters["images"]  # there are no test images
    switches = [p["bind"]["name"] for name, p in parameters.items() if name.startswith("show_")]
    assert switches == [curve.label for curve in curves]
    assert [e["sign"] for e in spec["usermeta"]["legend"]] == ["┅", "●", "■"]
    assert spec["description"] == "It shows." and spec["width"] == "container"
    assert "candidate: 36 %" in json.dumps(spec)


def test_a_text_says_where_seeds_are_missing_and_only_there():
    records = make_records(2, 2)
    curves = curves_of(records)
    whole = charts.metric_chart(curves, charts.metric_points(curves, ["fcd"]), "fcd")
    records[-1]["metrics"] = {}
    few = charts.metric_chart(curves, charts.metric_points(curves, ["fcd"]), "fcd")
    assert marks(few) == [*marks(whole), "text"]


def test_trainings_are_thinned_and_keep_their_end():
    (record, *_) = make_records(1, 1)
    record["curve"] = [
        {"step": s, "metrics": {"fcd": 1 / s, "x": float("inf")}} for s in range(1, 101)
    ]
    points = charts.training_points(curves_of([record]), most=10)
    assert len(points) == 10 and (points[0]["step"], points[-1]["step"]) == (1, 100)
    assert points[-1]["values"] == {"fcd": 0.01}


@pytest.mark.parametrize(("rounds", "slides"), [(1, False), (3, True)])
def test_a_slider_chooses_the_round_if_there_are_several(rounds, slides):
    records = make_records(rounds, 2)
    for record in records:
        record["curve"] = [{"step": s, "metrics": record["metrics"]} for s in (1, 2)]
    curves = curves_of(records)
    sparsities = {number: 1 - 0.8**number for number in range(1, rounds + 1)}
    points = charts.training_points(curves)
    spec = checked(charts.training_chart(curves, points, "fcd", sparsities, chosen=rounds))
    (parameter,) = [each for each in spec["params"] if each["name"] == "round"]
    assert ("bind" in parameter) == slides and parameter["value"] == rounds


def test_layers_have_a_bar_each_without_a_word_that_all_share(tmp_path):
    import numpy as np

    masks = {"a/one/kernel": np.array([True, False]), "b/two/kernel": np.array([True] * 8)}
    points = charts.layer_points(masks)
    assert [(p["layer"], p["sparsity"], p["kept"]) for p in points] == [
        ("a/one", 0.5, 1),
        ("b/two", 0.0, 8),
    ]
    spec = checked(charts.layer_chart(points))
    assert marks(spec) == ["bar", "rule"]
    assert spec["layer"][1]["encoding"]["x"]["datum"] == pytest.approx(0.1)


def test_distances_begin_where_there_is_something_to_compare_with():
    steps = [{"step": 1, "distances": []}, {"step": 2, "distances": [0.2, 0.4]}]
    record = {"seed": 0, "channel_sparsity": 0.3, "distances": steps, "settled": True}
    points = charts.distance_points([record, {"seed": 0}])
    assert [(p["step"], p["distance"], p["drawn"]) for p in points] == [(2, 0.4, True)]
    checked(charts.distance_chart(points, 0.1))


@pytest.mark.parametrize("color", [card.color for card in ARMS.values()])
def test_colours_are_seen_in_the_light_and_in_the_dark(color):
    assert look.contrast(color, "#ffffff") >= 2.9  # WCAG 2.1 asks for 3, and for shapes besides
    assert look.contrast(look.in_the_dark(color), look.DARK) >= 4.5


def test_contrast_is_that_of_wcag():
    assert look.contrast("#000000", "#ffffff") == look.contrast("#ffffff", "#000000") == 21
    with pytest.raises(SettingError, match="as #0072B2"):
        look.contrast("red", "#ffffff")
