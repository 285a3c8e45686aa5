import types

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.registry import Registry

A, B = (types.SimpleNamespace(name=name) for name in "ab")


def test_cards_are_found_by_name_in_their_order():
    cards = Registry("letter", [B])
    assert cards.add(A) is A
    assert list(cards) == ["b", "a"] and len(cards) == 2
    assert cards["a"] is A and "c" not in cards


def test_an_unknown_name_and_a_second_card_of_one_name_are_refused():
    cards = Registry("letter", [A, B])
    with pytest.raises(SettingError, match=r"Unknown letter 'c'\. Choose one of: a, b\."):
        cards["c"]
    with pytest.raises(SettingError, match="already a letter 'a'"):
        cards.add(types.SimpleNamespace(name="a"))
    cards.add(A)  # the same one is no second
