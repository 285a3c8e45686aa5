import itertools

import matplotlib.image
import numpy as np
import pytest

from tests.lab.show.small_run import make_records as records
from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.show import figures as plots


def values(made, number, arm, metric="fcd"):
    return [r["metrics"][metric] for r in made if (r["round"], r["arm"]) == (number, arm)]


def curve(figure, label):
    """Return the x, mean and bar ends that an arm's error bars were drawn with."""
    for container in figure.axes[0].containers:
        if container.get_label().startswith(label):
            line, _, bars = container.lines
            ends = np.array(bars[0].get_segments())[:, :, 1] if bars else None
            return line.get_xdata(), line.get_ydata(), ends
    raise AssertionError(f"no curve {label}")


def test_points_are_means_and_bars_standard_deviations_over_the_seeds(tmp_path):
    made = records(collapse=5.0)
    figure = plots.metric_against_sparsity(made[::-1], "fcd", tmp_path / "fcd.png")
    for arm in ("winning", "random"):
        kept, means, ends = curve(figure, arm)
        # A constant factor of what is kept: each arm stands a little aside of the one before.
        np.testing.assert_allclose(kept / 0.8 ** np.arange(1, 21), kept[0] / 0.8)
        for number in (1, 13, 20):
            seeds = values(made, number, arm)
            middle, spread = np.mean(seeds), np.std(seeds, ddof=1)
            assert means[number - 1] == pytest.approx(middle)
            assert ends[number - 1] == pytest.approx([middle - spread, middle + spread])
    dense = values(made, 0, "dense")
    line = next(x for x in figure.axes[0].lines if x.get_label().startswith("dense"))
    np.testing.assert_allclose(line.get_ydata(), np.mean(dense))
    band = figure.axes[0].patches[0]
    assert band.get_height() == pytest.approx(2 * np.std(dense, ddof=1))
    assert band.get_y() == pytest.approx(np.mean(dense) - np.std(dense, ddof=1))


def test_the_file_is_a_png_of_the_size_that_was_asked_for(tmp_path):
    plots.metric_against_sparsity(records(), "fcd", tmp_path / "fcd.png")
    image = matplotlib.image.imread(tmp_path / "fcd.png")
    assert image.shape == (1000, 1600, 4)
    assert 0.01 < np.mean(image[:, :, :3] < 0.9) < 0.3
    assert [file.name for file in tmp_path.iterdir()] == ["fcd.png"]


def test_sparsity_grows_to_the_right_evenly_and_its_ticks_are_few_and_true(tmp_path):
    figure = plots.metric_against_sparsity(records(), "fcd", tmp_path / "fcd.png")
    axes = figure.axes[0]
    places = axes.transData.transform([(0.8**number, 1) for number in range(1, 21)])[:, 0]
    np.testing.assert_allclose(np.diff(places), places[1] - places[0])
    assert places[1] > places[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert 5 <= len(labels) <= 12
    assert labels[0] == "98.8"
    for place, label in zip(axes.get_xticks(), labels, strict=True):
        assert float(label) == pytest.approx(100 * (1 - place), abs=0.5)


@pytest.mark.parametrize(("collapse", "scale"), [(3.0, "linear"), (50.0, "log")])
def test_values_over_a_decade_are_drawn_by_their_logarithm(tmp_path, collapse, scale):
    made = records(collapse=collapse)
    axes = plots.metric_against_sparsity(made, "fcd", tmp_path / "fcd.png").axes[0]
    assert axes.get_yscale() == scale
    low, high = axes.get_ylim()
    every = [record["metrics"]["fcd"] for record in made]
    assert low < min(every)
    assert high > max(every) * 0.95


def test_one_seed_has_no_bars_and_one_arm_no_other(tmp_path):
    made = records(rounds=3, seeds=1, arms=("winning",))
    figure = plots.metric_against_sparsity(made, "fcd", tmp_path / "fcd.png")
    assert len(figure.axes[0].containers) == 1
    assert curve(figure, "winning")[2] is None
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["lower is better; 1 seed"]


@pytest.mark.parametrize(("number", "sparsity"), [(1, "20"), (14, "95.6"), (20, "98.8")])
def test_the_winning_ticket_is_marked_where_it_lies(tmp_path, number, sparsity):
    made = records(collapse=50.0)
    figure = plots.metric_against_sparsity(made, "fcd", tmp_path / "fcd.png", number)
    axes = figure.axes[0]
    star = next(line for line in axes.lines if line.get_marker() == "*")
    assert star.get_xdata()[0] == pytest.approx(0.8**number)
    assert star.get_ydata()[0] == pytest.approx(np.mean(values(made, number, "winning")))
    (text,) = (text for text in axes.texts if text.get_text().startswith("winning ticket"))
    assert text.get_text() == f"winning ticket: {sparsity} %"
    box, whole = text.get_window_extent(), figure.bbox
    assert whole.x0 <= box.x0
    assert box.x1 <= whole.x1


def test_a_candidate_has_an_open_star_and_its_name(tmp_path):
    options = {"marked_round": 4, "mark": "candidate"}
    axes = plots.metric_against_sparsity(records(), "fcd", tmp_path / "x.png", **options).axes[0]
    star = next(line for line in axes.lines if line.get_marker() == "*")
    assert star.get_markerfacecolor() == "white" and star.get_markeredgecolor() == star.get_color()
    assert "candidate: 59 %" in [text.get_text() for text in axes.texts]


def test_values_on_test_images_are_drawn_in_light_if_there_are_any(tmp_path):
    made = records(rounds=3)
    axes = plots.metric_against_sparsity(made, "fcd", tmp_path / "x.png").axes[0]
    assert not [line for line in axes.lines if line.get_linestyle() == ":"]
    for record in made:
        record["test_metrics"] = {"fcd": 2 * record["metrics"]["fcd"]}
    axes = plots.metric_against_sparsity(made, "fcd", tmp_path / "x.png").axes[0]
    dense, ticket = (line for line in axes.lines if line.get_linestyle() == ":")
    assert dense.get_ydata()[0] == pytest.approx(2 * np.mean(values(made, 0, "dense")))
    assert ticket.get_label() == "winning and dense on test images"
    assert ticket.get_ydata() == pytest.approx(
        [2 * np.mean(values(made, number, "winning")) for number in (1, 2, 3)]
    )


def test_points_of_fewer_seeds_say_so_and_those_of_none_are_not_drawn(tmp_path):
    made = records(rounds=3)
    for record in made:
        if record["arm"] == "random" and (
            record["round"] == 3 or record["seed"] + record["round"] == 3
        ):
            record.update(metrics={}, collapsed="a weight is NaN")
    figure = plots.metric_against_sparsity(made, "fcd", tmp_path / "x.png")
    _, means, _ = curve(figure, "random")
    assert len(means) == 2
    seeds = [
        r["metrics"]["fcd"]
        for r in made
        if (r["round"], r["arm"]) == (1, "random") and r["metrics"]
    ]
    assert means[0] == pytest.approx(np.mean(seeds)) and len(seeds) == 2
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts.count("2/3") == 2
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert "k/n: only k of n seeds have a value" in labels


def test_a_transferred_ticket_can_be_marked_and_the_figure_says_of_what_it_is(tmp_path):
    made = records(arms=("winning", "transferred", "random"))
    options = {"marked_round": 4, "arm": "transferred", "subject": "vae on digits"}
    axes = plots.metric_against_sparsity(made, "fcd", tmp_path / "fcd.png", **options).axes[0]
    star = next(line for line in axes.lines if line.get_marker() == "*")
    assert star.get_ydata()[0] == pytest.approx(np.mean(values(made, 4, "transferred")))
    texts = [text.get_text() for text in axes.texts]
    assert any(text.startswith("vae on digits; lower is better") for text in texts)


def test_steps_are_whole_numbers(tmp_path):
    made = records(rounds=3, metric="early_stopping_step")
    for record in made:
        record["metrics"]["early_stopping_step"] = 10 + (record["arm"] == "random")
    figure = plots.metric_against_sparsity(made, "early_stopping_step", tmp_path / "steps.png")
    ticks = figure.axes[0].get_yticks()
    assert len(ticks) > 1 and all(tick == round(tick) for tick in ticks)


ALL_ARMS = ("winning", "transferred", "random", "shuffled")


@pytest.mark.parametrize("rounds", [2, 8, 20])
def test_bars_of_a_round_stand_side_by_side_near_their_round(tmp_path, rounds):
    made = records(rounds=rounds, arms=ALL_ARMS)
    figure = plots.metric_against_sparsity(made, "fcd", tmp_path / "fcd.png")
    axes = figure.axes[0]

    def places(kept):
        return axes.transData.transform([(x, 10.0) for x in kept])[:, 0]

    true = places(0.8 ** np.arange(1, rounds + 1))
    aside = [places(curve(figure, arm)[0]) - true for arm in ALL_ARMS]
    np.testing.assert_allclose(aside[0], 0, atol=1e-6)
    for one, other in itertools.pairwise(aside):
        assert np.all(other - one > 5), "in dots, of the 1600 that the figure is wide"
    assert aside[-1].max() < np.diff(true).min() / 2, "nearer to its own round than to the next"


def test_all_arms_are_told_apart_and_named_below_the_axes(tmp_path):
    figure = plots.metric_against_sparsity(
        records(arms=ALL_ARMS), "fcd", tmp_path / "fcd.png", marked_round=20
    )
    axes = figure.axes[0]
    legend = axes.get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    assert sorted(label.split(":")[0] for label in labels) == ["dense", *sorted(ALL_ARMS)]
    lines = [container.lines[0] for container in axes.containers]
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == len(ALL_ARMS)
    box = legend.get_window_extent()
    assert box.y1 < axes.xaxis.label.get_window_extent().y0 < axes.get_window_extent().y0
    assert figure.bbox.x0 <= box.x0 and figure.bbox.y0 <= box.y0 and box.x1 <= figure.bbox.x1


def test_seeds_of_unlike_sparsity_share_one_tick_and_point_for_each_round(tmp_path):
    """As where a run's whole-model tickets were transferred: a decoder's share differs."""
    made = records(rounds=4, seeds=3, arms=ALL_ARMS)
    for record in made:
        if record["round"]:
            record["weight_sparsity"] += 0.01 * (record["seed"] - 1)
    figure = plots.metric_against_sparsity(made, "fcd", tmp_path / "fcd.png")
    kept = 0.8 ** np.arange(1, 5)
    np.testing.assert_allclose(sorted(figure.axes[0].get_xticks(), reverse=True), kept)
    np.testing.assert_allclose(curve(figure, "winning")[0], kept)


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("classifier_accuracy", "higher is better; mean ± standard deviation over 2 seeds"),
        ("reconstruction_loss", "lower is better; mean ± standard deviation over 2 seeds"),
        ("discriminator_loss", "mean ± standard deviation over 2 seeds"),
        ("my_metric", "mean ± standard deviation over 2 seeds"),
    ],
)
def test_the_direction_and_the_seeds_are_told(tmp_path, metric, words):
    made = records(rounds=2, seeds=2, metric=metric)
    figure = plots.metric_against_sparsity(made, metric, tmp_path / "x.png")
    assert figure.axes[0].texts[0].get_text() == words


def test_records_that_cannot_be_drawn_are_refused_and_leave_no_file(tmp_path):
    made = records(rounds=2)
    with pytest.raises(SettingError, match=r"no metric 'kid'. Choose one of: fcd"):
        plots.metric_against_sparsity(made, "kid", tmp_path / "x.png")
    with pytest.raises(SettingError, match="dense arm"):
        plots.metric_against_sparsity(made[1:3], "fcd", tmp_path / "x.png")
    with pytest.raises(SettingError, match=r"Unknown arm 'regrown'. Choose one of: dense, winning"):
        other = {**made[1], "arm": "regrown"}
        plots.metric_against_sparsity([*made, other], "fcd", tmp_path / "x.png")
    with pytest.raises(SettingError, match="winning arm in round 9"):
        plots.metric_against_sparsity(made, "fcd", tmp_path / "x.png", 9)
    with pytest.raises(FileError, match="Cannot write the figure"):
        plots.metric_against_sparsity(made, "fcd", tmp_path / "absent" / "x.png")
    assert not list(tmp_path.iterdir())


def test_a_long_line_above_the_axes_stays_within_the_figure(tmp_path):
    subject = "linear-ae on mnist, within 5 % of dense's last reconstruction_loss"
    for words in (subject, "vae"):
        path = tmp_path / f"{len(words)}.png"
        figure = plots.metric_against_sparsity(records(), "fcd", path, subject=words)
        said = next(text for text in figure.axes[0].texts if words in text.get_text())
        assert said.get_window_extent().x1 < figure.bbox.x1
