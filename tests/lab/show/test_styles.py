import pytest

from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.show import styles
from tf_tickets.lab.ways import WAYS


def test_a_metric_of_the_users_own_has_a_title_of_its_name():
    card = styles.metric_card("my_own_score")
    assert (card.title, card.unit) == ("My own score", "my own score")
    assert card.higher_is_better is None
    assert styles.metric_card("early_stopping_step").unit == "optimizer steps"


def test_metrics_are_told_as_on_their_cards():
    assert all(styles.metric_card(name) is card for name, card in METRICS.items())


def test_methods_are_drawn_as_on_their_cards_and_others_in_spare_colours():
    found = styles.method_styles(["unpruned", *WAYS, "mine", "yours"])
    card = METHODS["imp"]
    assert found["imp"] == {"label": "imp", "color": card.color, "marker": card.marker}
    assert found["early-bird-mixed"]["color"] == WAYS["early-bird-mixed"].color
    assert found["unpruned"]["marker"] == "*"
    assert len({(style["color"], style["marker"]) for style in found.values()}) == len(found)


@pytest.mark.parametrize(
    ("sparsity", "text"),
    [(0.2, "20"), (0.8999, "90"), (0.956, "95.6"), (0.98847, "98.8"), (0.995, "99.50")],
)
def test_sparser_networks_have_more_digits(sparsity, text):
    assert styles.percent(sparsity) == text
