"""How a run was made: on what, and what it cost."""

from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.show.tables import Table
from tf_tickets.lab.show.words import spread
from tf_tickets.runs.folder import read_origin


def made_on(run) -> str:
    """Return in a sentence on which machine and by which versions a run was made.

    Args:
        run: a `Run`.
    """
    origin, settings = read_origin(run.path), run.settings
    machine, versions = origin["machine"], settings["versions"]
    threads = settings["threads"]
    each = "one thread" if threads == 1 else f"{threads} threads"
    return (
        f"Made on {machine['cpus']} cores ({machine['processor']}), {each} a training, "
        f"{settings['recipe']['precision']}, with TensorFlow {versions['tensorflow']} and Keras "
        f"{versions['keras']}; commit {origin.get('commit') or 'unknown'}."
    )


def costs_table(records) -> Table:
    """Return a table of what the trainings of each arm took, as far as it was recorded.

    Args:
        records: those of a run.
    """
    arms = [name for name in ARMS if name in records.arms]
    with_flops = any(record.get("flops") for record in records)
    rows = [_costs_of(arm, records.where(arm=arm), with_flops) for arm in arms]
    rows.append(_costs_of("all", records, with_flops))
    flops = ("FLOPs, all",) * with_flops
    columns = ("", "trainings", "s, each", "evaluating, s, each", "h, all", *flops, "GB, most")
    caption = (
        "s, each: seconds of a training, mean ± standard deviation, without its evaluations. "
        "h, all: hours of trainings and evaluations, one after another. GB, most: the largest "
        "memory of a process that trained."
    )
    return Table("costs of trainings", columns, tuple(rows), caption)


def _costs_of(name, records, with_flops):
    training, evaluating, memory = (
        [record[field] for record in records if record.get(field) is not None]
        for field in ("seconds", "evaluation_seconds", "peak_memory_bytes")
    )
    flops = sum(record.get("flops") or 0 for record in records)
    hours = (sum(training) + sum(evaluating)) / 3600
    return (
        name,
        str(len(records)),
        spread(training),
        spread(evaluating),
        f"{hours:.2g}" if training else "",
        *(f"{flops:.3g}",) * with_flops,
        f"{max(memory) / 1e9:.2f}" if memory else "",
    )
