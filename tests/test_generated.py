"""The tables in docs/find_tickets.md are those of the cards, and the options the command's."""

import pathlib
import re

import pytest

from tf_tickets.lab.commands import reference

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "find_tickets.md"
REFRESH = "python -m tf_tickets.lab.commands.reference docs/find_tickets.md"


def test_the_tables_are_those_of_the_cards():
    page = PAGE.read_text()
    assert reference.filled(page) == page, f"make them anew: {REFRESH}"
    assert REFRESH in reference.__doc__


def test_every_table_is_on_the_page_once():
    named = re.findall(r"<!-- begin: (\S+) -->", PAGE.read_text())
    assert sorted(named) == sorted(reference.BLOCKS)


def test_a_block_is_made_anew_and_the_rest_is_left():
    page = "a\n<!-- begin: options-output -->\nstale\n<!-- end -->\nb <!-- end -->\n"
    made = reference.filled(page)
    assert made.startswith("a\n<!-- begin: options-output -->\n\n| option |")
    assert "`--describe`" in made and "stale" not in made
    assert made.endswith("\n<!-- end -->\nb <!-- end -->\n")
    assert reference.filled(made) == made


@pytest.mark.parametrize(
    "chosen", ["--method imp", "--method snip", "--method early-bird --model sngan"]
)
def test_every_option_of_the_command_is_on_the_page(run_script, chosen):
    shown = run_script(*chosen.split(), "--help").stdout
    options = set(re.findall(r"^  (--[a-z-]+)", shown, re.MULTILINE))
    assert len(options) > 20
    text = PAGE.read_text()
    assert [option for option in sorted(options) if f"`{option}" not in text] == []
