"""The page of a run, from its folder alone."""

import pathlib

from tf_tickets.errors import FileError
from tf_tickets.lab.data import DATASETS
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.show.figures.images import kind_of, strips_of
from tf_tickets.lab.show.making import costs_table, made_on
from tf_tickets.lab.show.outcome import one_sentence, sentences
from tf_tickets.lab.show.page.charts import unchecked
from tf_tickets.lab.show.page.document import (
    Code,
    Document,
    Fold,
    Items,
    Numbers,
    Section,
    Strips,
    Text,
)
from tf_tickets.lab.show.page.run_charts import (
    distance_drawing,
    layer_drawing,
    metric_drawing,
    own_figures,
    training_drawing,
)
from tf_tickets.lab.show.page.run_facts import command, departures, protocol, settings
from tf_tickets.lab.show.tables import metrics_table, tables
from tf_tickets.runs import paths


def write_page(run) -> pathlib.Path:
    """Write the page of a run into its folder, and return it.

    Args:
        run: a `Run`, which is a view of a run folder, with its figures drawn.

    Raises:
        FileError: if every dense training collapsed, so that there is nothing to show, or if a
            file of the run is damaged.
    """
    path = run.path / paths.PAGE
    page_of(run).write(path)
    return path


def page_of(run) -> Document:
    """Return the page of a run.

    Args, Raises: as of `write_page`.
    """
    if run.why_worthless:
        raise FileError(
            f"{run.path} has nothing to show: the dense training of every seed collapsed. "
            f"{run.why_worthless}"
        )
    with unchecked():
        sections = _sections(run)
    return Document(
        title=f"Lottery tickets: {title_of(run)}",
        lead=one_sentence(run),
        sections=[section for section in sections if section.parts],
        note=f"Written from the run folder {run.path.name} alone.",
    )


def _sections(run):
    return (
        Section("What was found", _found(run), "Found"),
        Section("The metric against sparsity", [metric_drawing(run), *own_figures(run)], "Metric"),
        Section("Numbers", _numbers(run)),
        Section("Images by sparsity", _images(run), "Images"),
        Section("Sparsity by layer", layer_drawing(run), "Layers"),
        Section("Training curves", training_drawing(run), "Training"),
        Section("When the masks settled", distance_drawing(run), "Masks"),
        Section("Protocol", [protocol(run)]),
        Section("Departures from the papers", _departures(run), "Departures"),
        Section("Settings", _settings(run)),
        Section("Costs", [Numbers(costs_table(run.records)), Text(made_on(run))]),
        Section("The command that repeats it", [Code(command(run))], "Command"),
    )


def title_of(run) -> str:
    """Return what a run is of, in the words of cards.

    Args:
        run: a `Run`.
    """
    of_what = f"{MODELS[run.config.model].title} on {DATASETS[run.config.dataset].title}"
    return of_what if run.source is None else f"{of_what}, with tickets of {_title_of(run.source)}"


def _title_of(model):
    """Return the title of another run's model, or its name if it is of an extension."""
    return MODELS[model].title if model in MODELS else model


def _found(run):
    """Return what the lead does not say."""
    _, *others = sentences(run)
    return [Items(others)] if others else []


def _numbers(run):
    shown = [Numbers(table, marked=run.verdict.kind) for table in tables(run)]
    return [*shown, Fold("All metrics of all rounds", [Numbers(metrics_table(run.records))])]


def _images(run):
    strips = strips_of(run)
    if not strips:
        return []
    kind = kind_of(run)
    rows = [
        (label, path.read_bytes(), f"{'Images' if label == 'real' else kind}, {label}")
        for label, path, _ in strips
    ]
    return [Strips(f"{kind} of the first seed, below real images".capitalize(), rows)]


def _departures(run):
    return [
        Section(f"{where[0].upper()}{where[1:]}", [Items(told)])
        for where, told in departures(run).items()
    ]


def _settings(run):
    shown = [Section(title, [facts]) for title, facts in settings(run).items()]
    return [Fold("All that changes the bits of a result", shown)]
