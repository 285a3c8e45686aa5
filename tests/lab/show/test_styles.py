import types

import pytest

from tf_tickets.lab import methods, metrics
from tf_tickets.lab.show import styles


def test_directions_are_those_of_the_metrics():  # to be deleted with `_TITLES`
    directions = {name: styles.metric_card(name).higher_is_better for name in styles._TITLES}
    without = [name for name, higher in directions.items() if higher is None]
    assert {"discriminator_loss", "generator_loss", "sample_deviation"} == set(without)
    assert directions == dict.fromkeys(without) | metrics.HIGHER_IS_BETTER


def test_a_metric_of_the_users_own_has_a_title_of_its_name():
    card = styles.metric_card("my_own_score")
    assert (card.title, card.unit) == ("My own score", "my own score")
    assert card.higher_is_better is None
    assert styles.metric_card("early_stopping_step").unit == "optimizer steps"


def test_metrics_are_told_as_on_their_cards(monkeypatch):
    card = types.SimpleNamespace(name="fcd", title="Distance", unit="m", higher_is_better=True)
    monkeypatch.setattr(metrics, "METRICS", {"fcd": card}, raising=False)
    assert styles.metric_card("fcd") is card


def test_methods_are_drawn_as_on_their_cards_and_others_in_spare_colours(monkeypatch):
    card = types.SimpleNamespace(name="imp", color="#123456", marker="H")
    monkeypatch.setattr(methods, "METHODS", {"imp": card}, raising=False)
    found = styles.method_styles(["unpruned", "imp", "mine", "yours"])
    assert found["imp"] == {"label": "imp", "color": "#123456", "marker": "H"}
    assert found["unpruned"]["marker"] == "*"
    assert len({(style["color"], style["marker"]) for style in found.values()}) == 4


@pytest.mark.parametrize(
    ("sparsity", "text"),
    [(0.2, "20"), (0.8999, "90"), (0.956, "95.6"), (0.98847, "98.8"), (0.995, "99.50")],
)
def test_sparser_networks_have_more_digits(sparsity, text):
    assert styles.percent(sparsity) == text
