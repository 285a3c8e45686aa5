"""How often an early-bird search draws masks."""

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.methods import EarlyBird


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 8),  # a fiftieth of the training
        ({"draw_every": 3}, 3),
        ({"draw_each_epoch": True}, 40),
    ],
)
def test_masks_are_drawn_every_so_many_steps(options, expected):
    adapted, notes = EarlyBird(**options).adapted(num_steps=400, steps_per_epoch=40)
    assert adapted.draw_every == expected and notes == []
    assert adapted.identity()["draw_every"] == expected


def test_it_is_never_rarer_than_each_epoch():
    adapted, _ = EarlyBird().adapted(num_steps=4000, steps_per_epoch=40)
    assert adapted.draw_every == 40


def test_both_ways_to_say_it_have_one_identity():
    by_epoch, by_steps = EarlyBird(draw_each_epoch=True), EarlyBird(draw_every=40)
    assert by_epoch.adapted(400, 40)[0].identity() == by_steps.adapted(400, 40)[0].identity()


def test_only_one_of_them_may_be_said():
    with pytest.raises(SettingError, match="`draw_every` must not be given beside"):
        EarlyBird(draw_every=2, draw_each_epoch=True)
