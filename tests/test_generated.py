"""What docs/ say of the cards is what the cards say, and the options are the command's."""

import pathlib
import re

import pytest

from tf_tickets.lab.commands import reference

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGE = DOCS / "find_tickets.md"
PAGES = (PAGE, DOCS / "departures.md")
REFRESH = "python -m tf_tickets.lab.commands.reference docs/find_tickets.md docs/departures.md"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_made_is_that_of_the_cards(page):
    text = page.read_text()
    assert reference.filled(text) == text, f"make it anew: {REFRESH}"
    assert REFRESH in reference.__doc__


def test_everything_is_on_a_page_once():
    named = [name for p in PAGES for name in re.findall(r"<!-- begin: (\S+) -->", p.read_text())]
    assert sorted(named) == sorted(reference.BLOCKS)


def test_departures_are_told_in_flags():
    page = PAGES[1].read_text()
    assert "`--generator-batch-factor` 2" in page and "generator_batch_factor" not in page


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
