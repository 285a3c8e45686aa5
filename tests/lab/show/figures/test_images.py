import dataclasses

import matplotlib.image
import numpy as np
import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.errors import SettingError
from tf_tickets.lab.show import figures as plots
from tf_tickets.lab.show.figures import images as figure_of_images


@pytest.mark.parametrize("channels", [1, 3])
def test_every_image_is_in_its_place_with_its_own_pixels(tmp_path, channels):
    random = np.random.default_rng(0)
    rows = [
        ("real", random.uniform(-1, 1, (5, 8, 8, channels))),
        ("83.2 % random", random.uniform(-1, 1, (3, 8, 8, channels))),
    ]
    figure = plots.image_grid(rows, tmp_path / "grid.png", title="digits")
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["real", "83.2 % random"]
    assert figure.texts[0].get_text() == "digits"
    # What the file shows in the middle of each image's pixels is what was given.
    drawn = matplotlib.image.imread(tmp_path / "grid.png")
    assert drawn.shape[:2] == pytest.approx(figure.get_size_inches()[::-1] * 200, abs=1)
    for row, (_, images) in enumerate(rows):
        for column, image in enumerate(images):
            for y, x in ((0, 0), (7, 3), (7, 7)):
                place = axes.transData.transform((9 * column + x, 9 * row + y))
                pixel = drawn[drawn.shape[0] - 1 - int(place[1]), int(place[0]), :3]
                np.testing.assert_allclose(pixel, (image[y, x] + 1) / 2 * np.ones(3), atol=0.01)
        for label, center in zip(axes.get_yticklabels(), axes.get_yticks(), strict=True):
            assert label.get_window_extent().x0 > 0
            assert center in (3.5, 12.5)


def test_many_large_images_fit_the_width_and_values_outside_are_clipped(tmp_path):
    rows = [("98.8 % winning", np.full((16, 128, 128, 3), 3.0))] * 2
    figure = plots.image_grid(rows, tmp_path / "grid.png")
    assert figure.get_size_inches()[0] == pytest.approx(8.0)
    assert matplotlib.image.imread(tmp_path / "grid.png").shape[1] == 1600


def test_rows_of_unlike_images_are_refused(tmp_path):
    for rows in (
        [],
        [("flat", np.zeros((4, 8, 8)))],
        [("real", np.zeros((4, 8, 8, 1))), ("other", np.zeros((4, 8, 9, 1)))],
    ):
        with pytest.raises(SettingError, match=r"images .* of one size"):
            plots.image_grid(rows, tmp_path / "grid.png")


def rows_of(run, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        figure_of_images, "image_grid", lambda rows, path, title, boxed: drawn.append((rows, title))
    )
    figure_of_images.FIGURE.draw(run, run.path / "x.png")
    ((rows, title),) = drawn
    return rows, title


def test_a_run_shows_real_pictures_dense_ones_and_those_of_a_few_rounds(tmp_path, monkeypatch):
    run = make_run(tmp_path, rounds=9, seeds=2)
    found = next(c for c in run.comparisons if c.round == 2)
    run.verdict = dataclasses.replace(run.verdict, comparison=found)
    rows, title = rows_of(run, monkeypatch)
    assert title == "vae on digits: samples by sparsity"
    shown = [
        f"{1 - 0.8**number:.1%} {arm}".replace("%", " %")
        for number in (1, 2, 3, 5, 7, 9)
        for arm in ("winning", "random")
    ]
    assert [label for label, _ in rows] == ["real", "dense", *shown]
    for number, (_, pictures) in zip((0, 1, 1, 2), rows[1:], strict=False):
        np.testing.assert_allclose(pictures[9].max(), 0.8**number, atol=0.01)


def test_a_training_that_collapsed_has_no_row(tmp_path, monkeypatch):
    run = make_run(tmp_path, rounds=2, seeds=1)
    (tmp_path / "seed-0/round-02/random/samples.png").unlink()
    run.records.where(round=2, arm="random")[0]["collapsed"] = "a weight is NaN"
    rows, _ = rows_of(run, monkeypatch)
    labels = [label for label, _ in rows]
    assert labels[-1] == "36.0 % winning" and len(labels) == 5


def test_the_rows_do_not_hang_on_the_order_of_the_lines(tmp_path, monkeypatch):
    run = make_run(tmp_path, rounds=3, seeds=1)
    forth, _ = rows_of(run, monkeypatch)
    run.records = run.records[::-1]
    back, _ = rows_of(run, monkeypatch)
    assert [label for label, _ in forth] == [label for label, _ in back]


@pytest.mark.parametrize("pictures", [True, False])
def test_a_run_without_pictures_has_no_such_figure(tmp_path, pictures):
    run = make_run(tmp_path, rounds=1, seeds=1, pictures=pictures)
    assert figure_of_images.FIGURE.applies(run) == pictures
