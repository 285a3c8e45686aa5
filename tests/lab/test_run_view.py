import json

import numpy as np
import pytest

from tf_tickets.files import write_sealed_json
from tf_tickets.lab.config import Judging, RunConfig
from tf_tickets.lab.methods import IterativeMagnitude
from tf_tickets.lab.run_view import Run


def a_run(path, seeds=5, collapse=None, tests=True, **judging):
    """A run whose first two tickets match and beat random, and whose third is 15 % worse."""
    random = np.random.default_rng(0)
    lines = []
    for seed in range(seeds):
        for number, worse in enumerate((1.0, 1.0, 1.0, 1.15)):
            for arm in ("winning", "random") if number else ("dense",):
                value = 10 * worse * random.uniform(0.99, 1.01) * (1 + (arm == "random"))
                lost = (arm, number, seed) == collapse
                record = {
                    "seed": seed,
                    "round": number,
                    "arm": arm,
                    "weight_sparsity": 1 - 0.8**number,
                    "metrics": {} if lost else {"loss": value},
                    "test_metrics": {} if lost or not tests else {"loss": 2 * value},
                    "collapsed": "a weight is NaN" if lost else None,
                }
                lines.append(json.dumps(record))
    (path / "results.jsonl").write_text("\n".join(lines) + "\n")
    write_sealed_json(path / "run.json", {"settings": {}, "origin": {"metric": "loss"}})
    config = RunConfig(
        model="vae",
        method=IterativeMagnitude(rounds=3),
        judging=Judging(metric="loss", **judging),
        seeds=tuple(range(seeds)),
        arms=("winning", "random"),
    )
    return Run(path, config, "loss")


def test_the_verdict_is_by_the_runs_tolerance_and_shown_at_others(tmp_path):
    run = a_run(tmp_path, tolerance=0.02)
    assert run.verdict.tolerance == 0.02 and run.verdict.winner.round == 2
    assert list(run.verdicts) == [0.02, 0.05, 0.1, 0.2]
    assert [verdict.winner.round for verdict in run.verdicts.values()] == [2, 2, 2, 3]
    assert run.comparisons == run.verdict.comparisons and run.chosen == run.verdict.winner


def test_test_images_are_looked_at_if_all_records_have_them(tmp_path):
    run = a_run(tmp_path, collapse=("random", 3, 1))
    of_round = [r["test_metrics"]["loss"] for r in run.records.where(round=1, arm="winning")]
    assert run.tested.comparisons[0].mean == pytest.approx(np.mean(of_round))
    assert run.tested.comparisons[0].mean > 1.9 * run.comparisons[0].mean
    assert a_run(tmp_path, tests=False).tested is None


def test_the_ticket_is_kept_of_the_first_seed_that_has_one(tmp_path):
    assert a_run(tmp_path).ticket_stage == "seed-0/round-02/winning"
    run = a_run(tmp_path, collapse=("winning", 3, 0), tolerance=0.3)
    assert run.verdict.winner.round == 2 and run.ticket_stage == "seed-0/round-02/winning"
    run = a_run(tmp_path, collapse=("dense", 0, 0))
    assert run.verdict.left_out == (0,) and run.ticket_stage == "seed-1/round-02/winning"


def test_without_a_verdict_the_sparsest_near_enough_is_chosen(tmp_path):
    run = a_run(tmp_path)
    run.config = RunConfig(**{**vars(run.config), "arms": ("winning",)})
    assert run.verdict.kind == "none"
    assert run.chosen.round == 2 and run.ticket_stage == "seed-0/round-02/winning"
