"""What a run has found, in a sentence and as JSON."""

import dataclasses

from tf_tickets.runs import paths
from tf_tickets.search.verdict import mean_metrics


def sentence(run) -> str:
    """Return what a run has found, in a sentence or two.

    Args:
        run: a `Run`, which is a view of a run folder.
    """
    if run.winner:
        return _of_winner(run)
    kind = "transferred ticket" if run.arm == "transferred" else "ticket"
    if run.chosen.random is None:
        found = "Without the random arm no ticket can be said to win."
    else:
        found = (
            f"No winning ticket: in no round is {run.metric} of the {kind} within the tolerance of "
            "dense and better than that of the random arm."
        )
    if run.arm == "transferred":
        return found
    why = "the sparsest that matches dense" if run.chosen.within_tolerance else "the sparsest"
    return f"{found} Kept the ticket of round {run.chosen.round} to look at, {why}."


def _of_winner(run):
    winner = run.winner
    kind = "Winning transferred ticket" if run.arm == "transferred" else "Winning ticket"
    found = (
        f"{kind}: round {winner.round}, {winner.weight_sparsity:.2%} of the weights removed; "
        f"{run.metric} {winner.mean:.4g} against {winner.random:.4g} at random"
    )
    if winner.p is None:
        return f"{found}. Fewer than three seeds: chance is not ruled out."
    return f"{found}, p = {winner.p:.2g}."


def as_json(run) -> dict:
    """Return what a run has found, as JSON can hold it.

    Args:
        run: a `Run`, which is a view of a run folder.

    Returns:
        `run`, its folder; `dense`, the dense network's metrics, means over the seeds as all of
        them; `winning_ticket`, None or its round, sparsity, metrics and p; `rounds`, the fields of
        each round's Comparison; and, unless the tickets are transferred ones, `export`, the
        SavedModel of the ticket that was kept.
    """
    outcome = {
        "run": str(run.path),
        "dense": mean_metrics(run.records, 0, "dense"),
        "winning_ticket": None,
        "rounds": [dataclasses.asdict(comparison) for comparison in run.comparisons],
    }
    if run.winner:
        outcome["winning_ticket"] = {
            "round": run.winner.round,
            "weight_sparsity": run.winner.weight_sparsity,
            "metrics": mean_metrics(run.records, run.winner.round, run.arm),
            "p": run.winner.p,
        }
    if run.arm != "transferred":
        outcome["export"] = str(run.path / paths.EXPORT / paths.SAVED_MODEL)
    return outcome
