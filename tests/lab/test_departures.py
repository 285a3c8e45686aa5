"""What is done otherwise than in the papers: said of each model and method, with its source."""

import re

import pytest

from tf_tickets.lab import METHODS, MODELS, RunConfig
from tf_tickets.lab.commands.parser import has_option
from tf_tickets.lab.departures import OF_ALL_RUNS, departures
from tf_tickets.lab.methods import IterativeMagnitude

FAMILIES = {card.family.name: card.family for card in MODELS.values()}
EVERY = [
    *OF_ALL_RUNS,
    *(
        each
        for cards in (FAMILIES, MODELS, METHODS)
        for c in cards.values()
        for each in c.departures
    ),
]


@pytest.mark.parametrize("sentence", EVERY, ids=lambda sentence: sentence[:40])
def test_a_departure_is_a_sentence_with_its_source(sentence):
    assert re.search(r"\((?:drafts of |code of )?[A-Z]\w+ et al\..*\)\.$", sentence)
    assert not re.search(r"\b[KCNQ]\d", sentence), "an id that only we know"


@pytest.mark.parametrize("sentence", [each for each in EVERY if "`" in each], ids=lambda s: s[:40])
def test_options_that_follow_a_paper_are_there(sentence):
    from tf_tickets.lab.config import Judging

    kinds = [*METHODS.values(), *(card.training for card in FAMILIES.values()), Judging]
    for name in re.findall(r"`(\w+)`", sentence):
        assert any(has_option(kind, "--" + name.replace("_", "-")) for kind in kinds), name


def test_a_run_has_those_of_its_model_and_method():
    config = RunConfig("sngan-resnet", IterativeMagnitude())
    found = config.departures
    assert list(found) == ["all runs", "family gan", "model sngan-resnet", "method imp"]
    assert any("`generator_batch_factor` 2" in each for each in found["model sngan-resnet"])
    card = MODELS["conv-ae"]
    assert list(departures(card.family, card, METHODS["synflow"])) == ["all runs"]
