import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.lab.show.figures import early_stopping


def test_steps_of_the_deciding_metric_are_drawn_in_place_of_it(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        early_stopping,
        "metric_against_sparsity",
        lambda records, *arguments, **options: drawn.append((records, arguments, options)),
    )
    run = make_run(tmp_path, rounds=3, collapse=2.0, pictures=False, evaluations=3)
    early_stopping.FIGURE.draw(run, tmp_path / "x.png")
    ((records, arguments, options),) = drawn
    assert {record["metrics"]["early_stopping_step"] for record in records} == {10}
    assert arguments == ("early_stopping_step", tmp_path / "x.png")
    assert options == {"winning_round": 3, "arm": "winning", "subject": "vae on digits, by fcd"}


@pytest.mark.parametrize(("evaluations", "applies"), [(1, False), (2, True)])
def test_there_is_one_if_trainings_were_evaluated_on_their_way(tmp_path, evaluations, applies):
    run = make_run(tmp_path, rounds=1, seeds=1, pictures=False, evaluations=evaluations)
    assert early_stopping.FIGURE.applies(run) == applies
