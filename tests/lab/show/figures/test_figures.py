import subprocess
import sys

import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.cards import register
from tf_tickets.lab.show import figures


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"pictures": False}, ["fcd"]),
        ({}, ["fcd", "images"]),
        ({"evaluations": 3}, ["fcd", "early_stopping", "images"]),
        ({"gan": True}, ["fcd", "discriminator_loss", "images"]),
    ],
)
def test_a_run_has_the_figures_that_it_has_the_records_for(tmp_path, options, names):
    drawn = figures.draw_figures(make_run(tmp_path, rounds=2, seeds=2, **options))
    assert drawn == [tmp_path / "figures" / f"{name}.png" for name in names]
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == sorted(
        path.name for path in drawn
    )


def test_they_are_drawn_again_from_the_folder_with_the_same_bits(tmp_path):
    run = make_run(tmp_path, rounds=2, seeds=2, evaluations=2, gan=True)
    before = [path.read_bytes() for path in figures.draw_figures(run)]
    assert [path.read_bytes() for path in figures.draw_figures(run)] == before


def test_a_picture_that_is_gone_is_named(tmp_path):
    run = make_run(tmp_path, rounds=1, seeds=1)
    (tmp_path / "seed-0/round-01/random/samples.png").unlink()
    with pytest.raises(FileError, match=r"seed-0/round-01/random/samples\.png"):
        figures.draw_figures(run)


def test_a_figure_of_ones_own_is_drawn_last(tmp_path):
    def draw(run, path):
        path.write_text(run.metric)

    added = register(figures.Figure("my_{metric}", lambda run: len(run.records) > 3, draw))
    try:
        drawn = figures.draw_figures(make_run(tmp_path / "two", rounds=1, seeds=2))
        assert drawn[-1].name == "my_fcd.png" and drawn[-1].read_text() == "fcd"
        drawn = figures.draw_figures(make_run(tmp_path / "one", rounds=1, seeds=1))
        assert drawn[-1].name == "images.png"
        with pytest.raises(SettingError, match="already a figure"):
            register(figures.Figure("images", added.applies, draw))
    finally:
        del figures.FIGURES._cards[added.name]


def test_neither_matplotlib_nor_tensorflow_is_imported_with_the_module():
    code = (
        "import sys, tf_tickets.lab.show.figures, tf_tickets.lab.show.tables, "
        "tf_tickets.lab.show.outcome, tf_tickets.lab.show.compared; "
        "print({'matplotlib', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
