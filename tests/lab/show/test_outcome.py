import dataclasses
import json

import pytest

from tests.lab.show.small_run import judged, make_run
from tf_tickets.lab.show.outcome import as_json, sentence


def make(path, **options):
    """Five seeds, of which the random arm ends at twice the dense network's metric."""
    made = {"rounds": 3, "seeds": 5, "spread": 0.02, "collapse": 2.0, "pictures": False, **options}
    return make_run(path, **made)


@pytest.fixture
def run(tmp_path):
    return make(tmp_path)


def changed(run, change):
    """Return a run whose records were changed, and judged anew."""
    records = [dict(record) for record in run.records]
    for record in records:
        change(record)
    return judged(records, run.arm, run.path)


def with_tests(record):
    record["test_metrics"] = {"fcd": record["metrics"]["fcd"] * 1.5}


def test_a_winner_is_told_with_intervals_and_how_the_answer_moves(run):
    found = run.verdict.winner
    dense = run.records.dense.mean("fcd")
    gap, bound = (100 * run.verdict.fraction(x) for x in (found.gap, found.gap_bound))
    more = 100 * run.verdict.fraction(found.advantage)
    worse = "worse" if gap >= 0 else "better"
    assert sentence(run) == (
        "Winning ticket: round 3, 48.80 % of the weights removed (5 seeds; it is not known whether "
        f"dense had converged). fcd: ticket {found.mean:.4g}, dense {dense:.4g}, random "
        f"{found.random:.4g}. Against dense: {abs(gap):.1f} % {worse}, by the 96 % bound at most "
        f"{bound:.1f} % worse; the tolerance of 20 % is our choice, not the paper's. Random "
        f"against the ticket: {more:.1f} % worse, p = {found.p:.2g}, "
        "asked to be at most 0.008. By tolerance: 5 %: winning ticket (round 3); 10 %: winning "
        "ticket (round 3); 20 %: winning ticket (round 3)."
    )


def test_test_images_are_told_beside_those_that_chose(run):
    told = sentence(changed(run, with_tests))
    dense = run.records.dense.mean("fcd")
    assert "fcd on validation / test images: ticket " in told
    assert f"dense {dense:.4g} / {1.5 * dense:.4g}" in told
    assert told.count("; on test images ") == 2


def test_convergence_is_told_in_the_first_line(run):
    def settled(record):
        record["converged"] = {"fcd": True}

    def but_one(record):
        record["converged"] = {"fcd": record["seed"] != 2}

    assert "removed (5 seeds; dense had converged in all). " in sentence(changed(run, settled))
    assert "(5 seeds; in 1 of 5 DENSE HAD NOT CONVERGED). " in sentence(changed(run, but_one))


def test_a_change_is_told_in_units_of_the_floor(run):
    def with_floor(record):
        record["protocol"] = {**record["protocol"], "floor": {"fcd": 0.5}}

    floored = changed(run, with_floor)
    change = floored.verdict.winner.mean - floored.records.dense.mean("fcd")
    assert f"; {change / 0.5:+.2g} times the floor, real against real images;" in sentence(floored)
    assert as_json(floored)["winning_ticket"]["change_in_floors"] == pytest.approx(change / 0.5)


def test_a_seed_that_was_left_out_is_named(run):
    def collapse(record):
        if record["seed"] == 4 and record["arm"] == "dense":
            record.update(metrics={}, collapsed="a weight is NaN")

    told = sentence(changed(run, collapse))
    assert "(4 seeds, without 4, whose dense training collapsed; it is" in told


def test_a_candidate_is_told_with_the_seeds_that_would_decide(tmp_path):
    few = make(tmp_path, seeds=3, spread=0.2)
    assert few.verdict.kind == "candidate"
    told = sentence(few)
    assert told.startswith("Candidate, not yet a winning ticket: round ")
    assert f"By the spread seen, {few.verdict.seeds_needed} seeds would decide it" in told
    few.verdict = dataclasses.replace(few.verdict, seeds_needed=51)
    assert "more than 50 seeds would be needed" in sentence(few)
    few.verdict = dataclasses.replace(few.verdict, seeds_needed=None)
    assert "more than 50 seeds would be needed" in sentence(few)


def test_one_seed_is_told_to_be_too_few(tmp_path):
    told = sentence(make(tmp_path, seeds=1))
    assert told.startswith("Candidate, not yet a winning ticket: round 3")
    assert "(1 seed; " in told
    assert "One seed shows no spread: at least 3 to 5 seeds are needed" in told


def test_no_ticket_is_told_and_what_was_kept(tmp_path):
    told = sentence(make(tmp_path, collapse=0.5))
    assert told.startswith(
        "No winning ticket: in no round is fcd of the ticket within the tolerance of dense and "
        "better than that of the random arm (5 seeds; it is not known whether dense had converged)."
    )
    assert told.endswith(
        "By tolerance: 5 %: none; 10 %: none; 20 %: none. Kept the ticket of round 3 to look at, "
        "the sparsest whose mean is within the tolerance."
    )


def test_without_a_control_nothing_is_said_to_win(run):
    alone = judged([record for record in run.records if record["arm"] != "random"])
    assert sentence(alone) == (
        "Without the random arm no ticket can be said to win (5 seeds; it is not known whether "
        "dense had converged). Kept the ticket of round 3 to look at, the sparsest whose mean is "
        "within the tolerance."
    )


def test_tickets_from_elsewhere_are_told_as_such_and_beside_own_ones(tmp_path):
    run = make(tmp_path, arm="transferred")
    told = sentence(run)
    assert told.startswith("Winning transferred ticket: round 3, 48.80 % of the weights")
    assert "On par with own tickets, by the same tolerance, up to round 3." in told

    def worse(record):
        if record["arm"] == "winning":
            record["metrics"] = {"fcd": 5.0}

    assert "In no round is it shown" in sentence(changed(run, worse))
    none = make(tmp_path, arm="transferred", collapse=0.5)
    assert "fcd of the transferred ticket" in sentence(none) and "Kept" not in sentence(none)


def test_json_has_the_run_its_rounds_and_the_verdict(run):
    run = changed(run, with_tests)
    outcome, found = json.loads(json.dumps(as_json(run))), run.verdict.winner
    assert outcome["run"] == str(run.path)
    assert outcome["export"] == str(run.path / "export" / "saved_model")
    assert outcome["dense"] == {"fcd": pytest.approx(run.records.dense.mean("fcd"))}
    assert outcome["dense_test"]["fcd"] == pytest.approx(1.5 * outcome["dense"]["fcd"])
    assert outcome["rounds"] == [dataclasses.asdict(c) for c in run.comparisons]
    assert outcome["test_rounds"] == [dataclasses.asdict(c) for c in run.tested.comparisons]
    assert outcome["verdict"] == {
        "kind": "winning ticket",
        "round": 3,
        "metric": "fcd",
        "tolerance": 0.2,
        "seeds": [0, 1, 2, 3, 4],
        "left_out": [],
        "seeds_needed": None,
        "converged": [None] * 5,
        "at_tolerances": {
            t: {"kind": "winning ticket", "round": 3} for t in ("0.05", "0.1", "0.2")
        },
    }
    assert outcome["winning_ticket"] == {
        "round": 3,
        "weight_sparsity": found.weight_sparsity,
        "metrics": {"fcd": pytest.approx(found.mean)},
        "test_metrics": {"fcd": pytest.approx(1.5 * found.mean)},
        "worse_than_dense": pytest.approx(run.verdict.fraction(found.gap)),
        "worse_than_dense_at_most": pytest.approx(run.verdict.fraction(found.gap_bound)),
        "change_in_floors": None,
        "p": found.p,
    }
    assert outcome["candidate"] is None


def test_json_of_a_candidate_and_of_nothing(tmp_path):
    candidate = as_json(make(tmp_path, seeds=1))
    assert (candidate["winning_ticket"], candidate["test_rounds"]) == (None, None)
    assert candidate["candidate"]["round"] == 3 and candidate["candidate"]["p"] is None
    nothing = as_json(make(tmp_path, collapse=0.5))
    assert (nothing["winning_ticket"], nothing["candidate"]) == (None, None)


def test_json_of_tickets_from_elsewhere_has_their_metrics_and_no_export(tmp_path):
    run = make(tmp_path, arm="transferred")
    outcome = as_json(run)
    assert "export" not in outcome
    of_arm = run.records.where(arm="transferred", round=3)
    assert outcome["winning_ticket"]["metrics"]["fcd"] == pytest.approx(of_arm.mean("fcd"))


def test_a_ticket_whose_trainings_all_collapsed_has_no_value(tmp_path):
    def gone(record):
        if record["arm"] == "winning":
            record.update(metrics={}, collapsed="a weight is NaN")

    found = changed(make(tmp_path, seeds=1, rounds=1), gone)
    if found.verdict.comparison is None:  # the worst value of all may be near enough to dense
        found.verdict = dataclasses.replace(found.verdict, comparison=found.comparisons[0])
    assert "fcd: ticket none, as all collapsed, dense " in sentence(found)
