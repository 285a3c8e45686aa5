"""What pages of docs/ say of the cards, made from these, so that pages and commands agree.

Refresh it: `python -m tf_tickets.lab.commands.reference docs/find_tickets.md docs/departures.md`.
"""

import dataclasses
import pathlib
import re
import sys

from tf_tickets.files import write_whole
from tf_tickets.lab.commands.find import FindOutput
from tf_tickets.lab.commands.parser import flag_of, help_of, in_flags
from tf_tickets.lab.config import Data, Judging, RunConfig
from tf_tickets.lab.data import DATASETS
from tf_tickets.lab.departures import OF_ALL_RUNS
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.methods import METHODS, IterativeMagnitude
from tf_tickets.lab.methods.at_initialization import AtInitialization
from tf_tickets.lab.methods.early_bird import EarlyBird
from tf_tickets.lab.methods.method import MaskingMethod
from tf_tickets.lab.metrics import METRICS
from tf_tickets.lab.models import MODELS, GanTraining, Training

_DIRECTIONS = {True: "higher", False: "lower", None: "neither"}
_SIZES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3), "horse2zebra": (256, 256, 6)}


def filled(page: str) -> str:
    """Return a page with the content of each `<!-- begin: NAME -->` block made anew.

    Args:
        page: Markdown; a block reaches to `<!-- end -->`.
    """

    def block(found):
        return f"{found[1]}\n\n{BLOCKS[found[2]]()}\n\n<!-- end -->"

    return re.sub(r"(<!-- begin: (\S+) -->)\n.*?<!-- end -->", block, page, flags=re.DOTALL)


def _table(heads, rows) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _options(kind, beside=()):
    """Return a function that makes the table of a dataclass's options, less those of another."""

    def table():
        known = {field.name for field in dataclasses.fields(beside)} if beside else ()
        fields = [field for field in dataclasses.fields(kind) if "help" in field.metadata]
        rows = [
            (f"`{flag_of(field)}`", help_of(field, field.default) + _choices(field))
            for field in fields
            if field.name not in known
        ]
        return _table(("option", "meaning"), rows)

    return table


def _choices(field):
    choices = ", ".join(f"`{choice}`" for choice in field.metadata["choices"] or ())
    return f"; one of {choices}" if choices else ""


def _models():
    """Return the table of models, each with its parameters at the paper's size of images."""
    from tf_tickets.pruning.prunable import num_values

    rows = []
    for card in MODELS.values():
        height, width, channels = _SIZES[card.paper_dataset]
        count = num_values(card.build((height, width, channels)).trainable_variables)
        at = f"{count:,} at {height}x{width}x{channels}"
        paper = f"{card.paper_params:,}" if card.paper_params else "none"
        rows.append((f"`{card.name}`", card.title, card.family.title, at, paper, card.paper))
    return _table(("model", "title", "family", "parameters", "in the paper", "where"), rows)


def _datasets():
    """Return the table of data sets."""
    rows = []
    for card in DATASETS.values():
        counts = (card.num_images or {}).items()
        images = ", ".join(f"{count:,} {split}" for split, count in counts) or "as in the folder"
        facts = (card.channels, card.num_classes)
        rows.append((f"`{card.name}`", card.title, images, *(x or "as found" for x in facts)))
    return _table(("data set", "title", "images", "channels", "classes"), rows)


def _methods():
    """Return the table of methods that find_tickets.py offers."""
    cards = [card for card in METHODS.values() if card.in_find]
    rows = [(f"`{card.name}`", card.title, _arms(card)) for card in cards]
    return _table(("method", "a round prunes", "controls"), rows)


def _arms(card):
    return ", ".join(f"`{arm}`" for arm in card.arms if arm != "winning")


def _metrics():
    """Return the table of metrics."""
    rows = []
    for card in METRICS.values():
        better = _DIRECTIONS[card.higher_is_better]
        rows.append((f"`{card.name}`", card.title, card.unit, better, card.of, card.features or ""))
    return _table(("metric", "title", "unit", "better", "measured on", "network"), rows)


def _departures(cards):
    """Return a function that makes a list of what differs from the papers, under each card."""

    def lists():
        return "\n\n".join(
            f"`{card.name}`:\n\n{_list_of(card.departures)}"
            for card in cards.values()
            if card.departures
        )

    return lists


def _list_of(sentences) -> str:
    """Return a Markdown list, with flags in place of the names of options."""
    words = (re.sub(r"(--[a-z][a-z-]*)", r"`\1`", in_flags(each)) for each in sentences)
    return "\n".join(f"- {each}" for each in words)


_FAMILIES = {card.family.name: card.family for card in MODELS.values()}

BLOCKS = {
    "departures-all": lambda: _list_of(OF_ALL_RUNS),
    "departures-families": _departures(_FAMILIES),
    "departures-models": _departures(MODELS),
    "departures-methods": _departures(METHODS),
    "models": _models,
    "datasets": _datasets,
    "methods": _methods,
    "metrics": _metrics,
    "options-run": _options(RunConfig),
    "options-masking": _options(MaskingMethod),
    "options-imp": _options(IterativeMagnitude, beside=MaskingMethod),
    "options-at-initialization": _options(AtInitialization, beside=MaskingMethod),
    "options-early-bird": _options(EarlyBird),
    "options-data": _options(Data),
    "options-training": _options(Training),
    "options-gan": _options(GanTraining, beside=Training),
    "options-judging": _options(Judging),
    "options-engine": _options(EngineOptions),
    "options-output": _options(FindOutput),
}


def main():
    """Make the blocks of the named pages anew."""
    for name in sys.argv[1:]:
        page = pathlib.Path(name)
        write_whole(page, filled(page.read_text()).encode())


if __name__ == "__main__":
    main()
