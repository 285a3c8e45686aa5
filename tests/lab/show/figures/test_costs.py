import matplotlib.image
import numpy as np
import pytest

from tests.lab.show.small_comparison import row
from tf_tickets.lab.show import figures as plots


def compared(method, *sparsities, arm="winning"):
    return [row(method, s, arm, (10.0, 12.0), training_flops=1e12 * (1 - s)) for s in sparsities]


def lines_of(axes):
    """Return label -> line of the points that bars were drawn with."""
    return {container.get_label(): container.lines[0] for container in axes.containers}


def test_costs_are_drawn_for_each_way(tmp_path):
    rows = [*compared("unpruned", 0.0), *compared("early-bird", 0.3, 0.6), *compared("snip", 0.6)]
    figure = plots.compared_costs(rows, "fcd", tmp_path / "compare.png", "dcgan on cifar10")
    _, flops, seconds = figure.axes
    lines = lines_of(flops)
    assert lines["early-bird"].get_xydata() == pytest.approx(np.array([[30, 7e11], [60, 4e11]]))
    assert [len(line.get_xdata()) for line in lines_of(seconds).values()] == [1, 2, 1]
    assert len({line.get_color() for line in lines.values()}) == 3
    assert matplotlib.image.imread(tmp_path / "compare.png").shape[2] == 4


def test_ways_are_told_apart_and_named_once_below_whether_they_are_known_or_not(tmp_path):
    ways = ("unpruned", "imp", "early-bird", "early-bird-mixed", "snip", "mine", "yours")
    rows = [row for way in ways for row in compared(way, 0.5)]
    figure = plots.compared_costs(rows, "fcd", tmp_path / "compare.png", "dcgan on cifar10")
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(ways)
    lines = lines_of(figure.axes[2]).values()
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(ways)
    box = legend.get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1


def test_a_control_looks_like_its_ticket_but_hollow(tmp_path):
    rows = [
        *compared("unpruned", 0.0),
        *compared("early-bird", 0.3, 0.6),
        *compared("early-bird", 0.3, 0.6, arm="random"),
    ]
    figure = plots.compared_costs(rows, "fcd", tmp_path / "compare.png", "dcgan on cifar10")
    _, ticket, control = lines_of(figure.axes[1]).values()
    assert list(lines_of(figure.axes[1]))[-1] == "early-bird random"
    assert control.get_color() == ticket.get_color()
    assert control.get_markerfacecolor() == "white" != ticket.get_markerfacecolor()


def test_costs_that_differ_between_the_seeds_have_bars(tmp_path):
    rows = [row("early-bird", s, flops={0: 1e12, 1: 3e12}) for s in (0.3, 0.6)]
    _, flops, seconds = plots.compared_costs(rows, "fcd", tmp_path / "x.png", "dcgan").axes
    (bars,) = flops.containers[0].lines[2]
    assert bars.get_segments()[0][:, 1] == pytest.approx(
        [2e12 - 2**0.5 * 1e12, 2e12 + 2**0.5 * 1e12]
    )
    assert not seconds.containers[0].lines[2]  # as fast in every seed
