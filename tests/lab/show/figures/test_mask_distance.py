import pytest

from tests.lab.show.small_run import make_records as records
from tests.lab.show.small_run import make_run
from tf_tickets.errors import SettingError
from tf_tickets.lab.show import figures as plots
from tf_tickets.lab.show.figures import mask_distance


def test_mask_distances_end_where_the_ticket_was_drawn(tmp_path):
    drawn = {
        "channel_sparsity": 0.5,
        "settled": True,
        "distances": [
            {"step": 2, "distances": []},
            {"step": 4, "distances": [0.3]},
            {"step": 6, "distances": [0.05, 0.08]},
        ],
    }
    figure = plots.mask_distances([{"arm": "dense"}, drawn], 0.1, tmp_path / "distance.png")
    limit, line, end = figure.axes[0].get_lines()
    assert limit.get_ydata()[0] == 0.1
    assert line.get_xydata().tolist() == [[4, 0.3], [6, 0.08]]
    assert end.get_xydata().tolist() == [[6, 0.08]]


def test_mask_distances_need_an_early_bird_ticket(tmp_path):
    with pytest.raises(SettingError, match="early-bird"):
        plots.mask_distances(records(), 0.1, tmp_path / "distance.png")


def test_the_limit_of_a_run_is_that_of_its_method(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(mask_distance, "mask_distances", lambda *arguments: drawn.append(arguments))
    run = make_run(tmp_path, rounds=1, seeds=1, pictures=False)
    assert not mask_distance.FIGURE.applies(run)
    run.records[1]["distances"] = [{"step": 2, "distances": [0.05]}]
    assert mask_distance.FIGURE.applies(run)
    mask_distance.FIGURE.draw(run, tmp_path / "x.png")
    assert drawn == [(run.records, 0.1, tmp_path / "x.png")]
