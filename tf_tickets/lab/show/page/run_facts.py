"""What a run's page says in words: protocol, departures, settings, and the command."""

from tf_tickets.lab.commands.parser import in_flags
from tf_tickets.lab.commands.repeat import command_of, in_lines
from tf_tickets.lab.config import read_config
from tf_tickets.lab.data import DATASETS
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.show.page.document import Facts
from tf_tickets.lab.show.styles import metric_card
from tf_tickets.lab.show.words import percent
from tf_tickets.runs.folder import read_origin
from tf_tickets.search.decision import MATCH_LEVEL, RANDOM_LEVEL

_WIDTH = 88
_DIRECTIONS = {True: "higher is better", False: "lower is better", None: "neither is better"}


def protocol(run) -> Facts:
    """Return how the tickets of a run were found and judged.

    Args:
        run: a `Run`.
    """
    dense = run.records.dense[0]
    return Facts({**_search(run, dense), **_judging(run), **_images(dense)})


def _search(run, dense):
    card, dataset = MODELS[run.config.model], DATASETS[run.config.dataset]
    method = METHODS[run.config.method.name]
    facts = {
        "Model": f"{card.title}, {_a(card.family.title)}",
        "Parameters": f"{dense['params']:,}, of which {dense['prunable']:,} may be pruned"
        if "params" in dense
        else None,
        "Data": dataset.title,
        "Method": f"{method.name}: a round prunes {method.title}",
        "Rounds": _rounds(run),
        "Seeds": ", ".join(map(str, run.records.seeds)),
        "Arms": ", ".join(run.records.arms),
    }
    return {name: value for name, value in facts.items() if value}


def _rounds(run):
    made, asked = max(run.records.rounds), run.config.method.num_rounds
    return str(made) if made == asked else f"{made} of {asked}; no verdict can reach a later one"


def _judging(run):
    card = metric_card(run.metric)
    tolerance = percent(run.verdict.tolerance, 0)
    return {
        "Metric that decides": f"{card.title} ({card.unit}), {_DIRECTIONS[card.higher_is_better]}",
        "Rounds are chosen on": "validation images"
        + "; test images choose nothing" * bool(run.tested),
        "Tolerance": f"{tolerance} worse than dense, our choice",
        "Tests": "paired over the seeds: matching dense at a level of "
        f"{percent(MATCH_LEVEL, 0)}, beating random at {percent(RANDOM_LEVEL, 0)}",
    }


def _images(dense):
    protocol, facts = dense.get("protocol") or {}, {}
    if "generated" in protocol:
        count = protocol.get("num_generated_images")
        facts["Images judged"] = (
            f"{count:,} {protocol['generated']}" if count else protocol["generated"]
        )
    if "num_real_images" in protocol:
        facts["Real images"] = f"{protocol['num_real_images']:,} ({protocol['real']})"
    if protocol.get("features"):
        facts["Features"] = "; ".join(map(_feature, protocol["features"]))
    if protocol.get("floor"):
        floors = (f"{name} {value:.4g}" for name, value in protocol["floor"].items())
        facts["Real against real images"] = ", ".join(floors)
    return facts


def _feature(feature):
    accuracy = feature.get("accuracy")
    known = f", accuracy {percent(accuracy, 1)}" if accuracy else ""
    return f"{feature['kind']} {feature.get('digest', '')}{known}"


def _a(noun):
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def departures(run) -> dict[str, list[str]]:
    """Return what was done otherwise than in the papers, with flags in place of options.

    Args:
        run: a `Run`.
    """
    found = read_origin(run.path).get("departures") or run.config.departures
    return {where: [in_flags(each) for each in sentences] for where, sentences in found.items()}


def settings(run) -> dict[str, Facts]:
    """Return all settings of a run that change its bits, by what they are of.

    Args:
        run: a `Run`.
    """
    groups = {"Run": {}}
    for name, value in run.settings.items():
        if isinstance(value, dict) and value:
            groups[name.replace("_", " ").capitalize()] = dict(_flat(value))
        elif value not in ({}, None):
            groups["Run"][name.replace("_", " ")] = _shown(value)
    return {title: Facts(values) for title, values in groups.items() if values}


def _flat(values, before=""):
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{before}{name} ")
        else:
            yield f"{before}{name}".replace("_", " "), _shown(value)


def _shown(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return (
        "none" if value in (None, {}) else f"{value:g}" if isinstance(value, float) else str(value)
    )


def command(run) -> str:
    """Return the command that repeats a run, broken into lines.

    Args:
        run: a `Run`.
    """
    return " \\\n    ".join(in_lines(command_of(read_config(run.path)), _WIDTH))
