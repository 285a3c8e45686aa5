from tf_tickets import search
from tf_tickets.lab.arms import ARMS


def test_every_arm_of_a_search_has_a_card_dense_first():
    arms = (search.Winning, search.Transferred, search.Random, search.Shuffled)
    assert tuple(ARMS) == ("dense", *(arm.name for arm in arms))


def test_arms_are_told_apart_by_colour_and_by_shape():
    assert len({card.color for card in ARMS.values()}) == len(ARMS)
    assert len({card.marker for card in ARMS.values()}) == len(ARMS)


def test_a_label_begins_with_what_it_is_of_and_slim_models_have_their_own():
    for card in ARMS.values():
        assert card.label.startswith(f"{card.name}:")
    assert ARMS["winning"].label_of(slim=True) == "early-bird: slim, trained on"
    assert ARMS["winning"].label_of(slim=False) == "winning: rewound weights"
    assert ARMS["dense"].label_of(slim=True) == ARMS["dense"].label
