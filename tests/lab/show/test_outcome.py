import dataclasses
import json

import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.lab.show.outcome import as_json, sentence


@pytest.fixture
def run(tmp_path):
    """Three seeds, of which the random arm ends at twice the dense network's metric."""
    return make_run(tmp_path, rounds=3, collapse=2.0, pictures=False)


def lost(run, **chosen):
    run.winner = None
    run.chosen = dataclasses.replace(run.chosen, **chosen)
    return run


def test_a_winner_is_told_with_what_it_is_better_than(run):
    winner = run.winner
    assert (winner.round, winner.wins) == (3, True)
    assert sentence(run) == (
        f"Winning ticket: round 3, 48.80% of the weights removed; fcd {winner.mean:.4g} against "
        f"{winner.random:.4g} at random, p = {winner.p:.2g}."
    )


def test_few_seeds_are_told(run):
    run.winner = dataclasses.replace(run.winner, p=None)
    assert sentence(run).endswith(" at random. Fewer than three seeds: chance is not ruled out.")


def test_no_winner_is_told_and_what_was_kept(run):
    assert sentence(lost(run)) == (
        "No winning ticket: in no round is fcd of the ticket within the tolerance of dense and "
        "better than that of the random arm. Kept the ticket of round 3 to look at, the sparsest "
        "that matches dense."
    )
    assert sentence(lost(run, within_tolerance=False)).endswith("to look at, the sparsest.")


def test_without_a_control_nothing_is_said_to_win(run):
    assert sentence(lost(run, random=None)).startswith(
        "Without the random arm no ticket can be said to win. Kept the ticket of round 3"
    )


def test_tickets_from_elsewhere_are_told_as_such(tmp_path):
    run = make_run(tmp_path, rounds=3, collapse=2.0, pictures=False, arm="transferred")
    assert sentence(run).startswith("Winning transferred ticket: round 3, 48.80% of the weights")
    told = sentence(lost(run))
    assert "fcd of the transferred ticket" in told and "Kept" not in told


def test_json_has_the_run_its_rounds_and_the_winner(run):
    outcome = json.loads(json.dumps(as_json(run)))
    assert outcome["run"] == str(run.path)
    assert outcome["export"] == str(run.path / "export" / "saved_model")
    assert outcome["dense"] == {"fcd": pytest.approx(run.records.dense.mean("fcd"))}
    assert outcome["rounds"] == [dataclasses.asdict(c) for c in run.comparisons]
    assert outcome["winning_ticket"] == {
        "round": 3,
        "weight_sparsity": run.winner.weight_sparsity,
        "metrics": {"fcd": pytest.approx(run.winner.mean)},
        "p": run.winner.p,
    }
    assert as_json(lost(run))["winning_ticket"] is None


def test_json_of_tickets_from_elsewhere_has_their_metrics_and_no_export(tmp_path):
    run = make_run(tmp_path, rounds=3, collapse=2.0, pictures=False, arm="transferred")
    outcome = as_json(run)
    assert "export" not in outcome
    of_arm = run.records.where(arm="transferred", round=3)
    assert outcome["winning_ticket"]["metrics"]["fcd"] == pytest.approx(of_arm.mean("fcd"))
