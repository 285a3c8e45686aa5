import dataclasses

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.options import Options, carried, option


@dataclasses.dataclass(frozen=True)
class Sizes(Options):
    """Some options."""

    width: int | None = option(None, "filters", at_least=1)
    rate: float = option(0.5, "fraction", above=0, below=1)
    share: float = option(1.0, "fraction", at_most=1)
    names: tuple[str, ...] = option(("a",), "letters", choices=("a", "b"))
    place: str = option("here", "a folder")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 0}, r"^`width` must be at least 1\. Received: width=0$"),
        ({"rate": 0}, "`rate` must be above 0"),
        ({"rate": 1}, "`rate` must be below 1"),
        ({"share": 1.1}, "`share` must be at most 1"),
        ({"rate": float("nan")}, "`rate` must be a finite number"),
        ({"width": "3"}, r"`width` must be int \| None\. Received: width='3'"),
        ({"width": True}, "`width` must be int"),
        ({"width": 2.5}, "`width` must be int"),
        ({"rate": None}, "`rate` must be float. Received: rate=None"),
        ({"names": ("a", 3)}, r"`names` must be tuple\[str, \.\.\.\]"),
        ({"names": "a"}, r"`names` must be tuple"),
        ({"width": 2**31}, "`width` must be at most 2147483647. Received: width=2147483648"),
        ({"width": 10**5000}, "Received: width=one of 16610 bits"),
        ({"rate": -(10**400)}, "`rate` must be at most 2147483647"),
        ({"place": "a\nb"}, r"`place` must be one line of text. Received: place='a\\nb'"),
        ({"place": "a\u2028b"}, "must be one line of text"),
        ({"place": "a\udcffb"}, r"`place` must be text in UTF-8. Received: place='a\\udcffb'"),
        ({"names": ("a", "c")}, r"`names` must be one of a, b\. Received: names=c"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_the_name_of_its_field(values, message):
    with pytest.raises(SettingError, match=message):
        Sizes(**values)


def test_what_fits_is_taken_and_lists_from_json_become_tuples():
    sizes = Sizes(width=1, rate=0.99, share=1.0, names=["b", "a"])
    assert sizes.names == ("b", "a")
    assert sizes == Sizes(width=1, rate=0.99, names=("b", "a"))
    assert hash(sizes) is not None


@dataclasses.dataclass(frozen=True)
class Speeds(Options):
    """Other options, some of which have the same names."""

    rate: float = option(0.1, "fraction", below=0.4)
    width: int = option(3, "filters")
    speed: int = option(7, "steps a second")


def test_options_of_the_same_names_are_carried_to_another_kind():
    sizes = Sizes(width=2, rate=0.3, share=0.2)
    assert carried(Speeds, sizes) == Speeds(rate=0.3, width=2, speed=7)
    assert carried(Speeds, Sizes()) == Speeds(), "a default is not carried"
    assert carried(Sizes, sizes) is sizes
    with pytest.raises(SettingError, match=r"`rate` must be below 0\.4"):
        carried(Speeds, Sizes(rate=0.6))
