import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.lab.show.figures import early_stopping

SMALL = {"rounds": 3, "seeds": 5, "spread": 0.02, "collapse": 2.0, "pictures": False}


def drawn_of(run, monkeypatch, path):
    drawn = []
    monkeypatch.setattr(
        early_stopping,
        "metric_against_sparsity",
        lambda records, *arguments, **options: drawn.append((records, arguments, options)),
    )
    early_stopping.FIGURE.draw(run, path)
    return drawn[0]


def test_steps_to_the_common_target_are_drawn_in_place_of_the_metric(tmp_path, monkeypatch):
    run = make_run(tmp_path, evaluations=3, **SMALL)
    path = tmp_path / "x.png"
    records, arguments, options = drawn_of(run, monkeypatch, path)
    steps = {(r["arm"], r["round"], r["metrics"].get("early_stopping_step")) for r in records}
    assert {("dense", 0, 10), ("winning", 3, 10), ("random", 3, None)} <= steps
    assert all(r["collapsed"] for r in records if not r["metrics"])
    assert arguments == ("early_stopping_step", path)
    subject = "vae on digits, within 5 % of dense's last fcd"
    assert options == {
        "marked_round": 3,
        "arm": "winning",
        "mark": "winning ticket",
        "subject": subject,
    }


def test_test_metrics_have_no_steps(tmp_path):
    run = make_run(tmp_path, evaluations=3, **SMALL)
    for record in run.records:
        record["test_metrics"] = {"fcd": 1.0}
    early_stopping.FIGURE.draw(run, tmp_path / "x.png")
    assert (tmp_path / "x.png").exists()


@pytest.mark.parametrize(("evaluations", "applies"), [(1, False), (2, True)])
def test_there_is_one_if_trainings_were_evaluated_on_their_way(tmp_path, evaluations, applies):
    run = make_run(tmp_path, rounds=1, seeds=1, pictures=False, evaluations=evaluations)
    assert early_stopping.FIGURE.applies(run) == applies
