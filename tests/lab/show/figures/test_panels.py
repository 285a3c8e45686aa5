import matplotlib.image
import numpy as np
import pytest

from tests.lab.show.small_run import make_records
from tf_tickets.lab.show.figures.panels import (
    DrawnPanel,
    Line,
    Point,
    dense_line,
    draw_panels,
    points_of,
    real_images_line,
)


def records():
    made = make_records(rounds=5, seeds=3, collapse=3.0)
    for record in made:  # as if half of the weights could be pruned
        record["network_sparsity"] = record["weight_sparsity"] / 2
    return made


def panel(title="VAE", quantity="fcd", collapsed=False):
    made = records()
    if collapsed:
        made[-1] |= {"metrics": {}, "collapsed": "the loss is NaN"}
    lines = [
        dense_line(made, quantity),
        Line("random ticket", "#777777", "s", points_of(made, "random", quantity, True)),
    ]
    return DrawnPanel(title, quantity, tuple(lines))


def test_points_are_means_over_the_seeds_at_the_sparsity_of_the_whole_network():
    made = records()
    points = points_of(made, "random", "fcd", of_network=True)
    assert [p.sparsity for p in points] == pytest.approx([(1 - 0.8**n) / 2 for n in range(1, 6)])
    last = [r["metrics"]["fcd"] for r in made if (r["round"], r["arm"]) == (5, "random")]
    assert points[-1].mean == pytest.approx(np.mean(last))
    assert points[-1].deviation == pytest.approx(np.std(last, ddof=1))
    assert (points[-1].num_known, points[-1].num_seeds) == (3, 3)
    pruned = points_of(made, "random", "fcd", of_network=False)
    assert pruned[0].sparsity == pytest.approx(0.2)


def test_a_seed_that_collapsed_has_no_value_and_is_counted():
    made = records()
    for record in made:
        if (record["round"], record["arm"]) == (5, "random"):
            record |= {"metrics": {}, "collapsed": "the loss is NaN"}
    (*_, last) = points_of(made, "random", "fcd", of_network=True)
    assert last == Point(pytest.approx((1 - 0.8**5) / 2), None, None, 0, 3)
    assert dense_line(made, "fcd").points[0].num_known == 3


def test_real_images_are_a_ceiling_by_the_classifier_alone():
    made = records()
    assert real_images_line(made) is None
    inception = {"kind": "inception", "digest": "a"}
    for record in made:
        accuracy = 0.9 + record["seed"] / 100
        features = [inception, {"kind": "classifier", "digest": "b", "accuracy": accuracy}]
        record["protocol"] = {"features": features}
    line = real_images_line(made)
    (point,) = line.points
    assert line.is_level and point.mean == pytest.approx(0.91) and point.num_known == 3


def test_panels_stand_side_by_side_with_one_legend_and_the_same_axis(tmp_path):
    drawn = [panel("VAE"), panel("beta-VAE", collapsed=True)]
    figure = draw_panels(drawn, tmp_path / "figure-5.png", "Figure 5: VAEs")
    first, second = figure.axes
    assert (first.get_title(loc="left"), second.get_title(loc="left")) == ("VAE", "beta-VAE")
    assert first.get_xlim() == second.get_xlim() == (0, 100)
    assert first.get_xlabel() == "network sparsity (%)"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["unpruned", "random ticket"]
    assert matplotlib.image.imread(tmp_path / "figure-5.png").shape[1] > 1600


def test_more_panels_than_fit_in_a_row_begin_another(tmp_path):
    figure = draw_panels([panel(str(n)) for n in range(4)], tmp_path / "x.png", "Figure 6")
    assert len([axes for axes in figure.axes if axes.axison]) == 4
    tops = {round(axes.get_position().y0, 2) for axes in figure.axes}
    assert len(tops) == 2


def test_a_point_of_fewer_seeds_is_hollow(tmp_path):
    (axes,) = draw_panels([panel(collapsed=True)], tmp_path / "x.png", "Figure").axes
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert [len(line.get_xdata()) for line in hollow] == [1]
    assert hollow[0].get_xdata()[0] == pytest.approx(50 * (1 - 0.8**5))
