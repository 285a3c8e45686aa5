"""A reproduction as tables: what it takes, and what became of the paper's claims."""

from collections.abc import Mapping, Sequence

from tf_tickets.lab.show.tables import Table

_SECONDS_AN_HOUR = 3600


def plan_table(planned: Sequence, flops_per_second: float) -> Table:
    """Return what the runs of a reproduction take, one by one and in all.

    Args:
        planned: as `papers.plan.plan` returns them.
        flops_per_second: of the machine.
    """
    rows = [
        (
            str(each.study),
            f"{each.num_trainings}",
            f"{each.num_steps:,}",
            *_taken(each.flops, each.num_bytes, flops_per_second),
        )
        for each in planned
    ]
    sums = [sum(getattr(p, field) for p in planned) for field in ("flops", "num_bytes")]
    trainings = sum(each.num_trainings for each in planned)
    rows.append(("in all", f"{trainings}", "", *_taken(*sums, flops_per_second)))
    return Table(
        f"{len(planned)} runs, at {flops_per_second:.3g} FLOPs a second",
        ("", "trainings", "steps", "FLOPs", "hours", "GB"),
        tuple(rows),
        "steps: of each training. Slim tickets are counted at full width, and evaluations not at "
        "all.",
    )


def _taken(flops, num_bytes, flops_per_second):
    hours = flops / flops_per_second / _SECONDS_AN_HOUR
    return f"{flops:.3g}", f"{hours:.1f}", f"{num_bytes / 1e9:.1f}"


def claims_table(paper, findings: Mapping) -> Table:
    """Return the claims of a paper that were tested.

    Args:
        paper: whose claims they are.
        findings: claim's name -> `Finding`.
    """
    claims = {claim.name: claim for claim in paper.claims}
    return Table(
        f"claims of {paper.name}",
        ("", "effect", "95 % interval", "above", "seeds", "needed", ""),
        tuple(
            (
                claims[name].name,
                f"{found.mean:.3g}",
                "" if found.low is None else f"{found.low:.3g} to {found.high:.3g}",
                f"{found.margin:g}",
                str(len(found.seeds)),
                "" if found.seeds_needed is None else str(found.seeds_needed),
                found.answer,
            )
            for name, found in findings.items()
        ),
        "A claim agrees if its whole interval lies above the number beside it, does not if it lies "
        "below. needed: seeds that would decide it, by the spread seen.",
    )
