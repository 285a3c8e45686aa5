"""A metric against sparsity, for the dense network and all arms."""

import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.show.figures.figure import Figure, marked, subject
from tf_tickets.lab.show.styles import GREY, frame, metric_card, new_figure, percent, save
from tf_tickets.runs.records import Records, mean

if TYPE_CHECKING:
    import matplotlib.figure

_MOST_TICKS = 12
# The distance between the arms of a round, as a fraction of the whole width.
_STEP_ASIDE = 0.006
_DIRECTIONS = {True: "higher is better; ", False: "lower is better; ", None: ""}


def metric_against_sparsity(
    records: Sequence[dict],
    metric: str,
    path,
    winning_round: int | None = None,
    arm: str = "winning",
    subject: str | None = None,
) -> "matplotlib.figure.Figure":
    """Draw a metric against sparsity for the dense arm and all others, as a PNG file.

    Trainings that collapsed without metrics are left out. Points are means over the seeds, bars and
    the dense network's band one standard deviation (n - 1) to each side. Sparsity is drawn by the
    logarithm of what is kept, so that the rounds of an iterative search lie evenly; the metric by
    its logarithm if its means span a decade.

    Args:
        records: lines of results.jsonl, at least one of them of the dense arm.
        metric: a name in their `metrics`.
        path: the file to write; an existing one is replaced whole.
        winning_round: the round whose ticket is marked, if any.
        arm: the arm whose ticket that is.
        subject: what the records are of, such as a model and its data; stands above the axes.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        SettingError: if there is no dense record, none to mark, one without the metric, or one of
            an arm that is not known.
        FileError: if the file cannot be written.
    """
    records = Records(record for record in records if record["metrics"])
    records.values(metric)  # refuses records without it
    cards = [ARMS[name] for name in records.arms]  # refuses an arm that has none
    figure = new_figure(5.0, layout="constrained")
    axes = figure.add_subplot()
    _draw_dense(axes, records.dense, metric)
    _draw_arms(axes, records, metric, cards)
    _scale_x(axes, _mean_sparsities(records))
    _scale_y(axes, records, metric)
    if winning_round is not None:
        _mark(axes, records.where(round=winning_round, arm=arm), metric, winning_round, arm)
    _explain(axes, metric, subject, records.num_seeds)
    save(figure, path)
    return figure


def _draw_dense(axes, dense, metric):
    middle, deviation = dense.mean(metric), dense.deviation(metric) or 0.0
    card = ARMS["dense"]
    axes.axhline(middle, color=card.color, linestyle="--", label=card.label)
    axes.axhspan(middle - deviation, middle + deviation, color=card.color, alpha=0.15, linewidth=0)


def _draw_arms(axes, records, metric, cards):
    sparsest = _mean_sparsities(records).max()
    slim = any("channel_sparsity" in record for record in records)
    pruned = [card for card in ARMS.values() if card.name != "dense"]
    for number, card in enumerate(pruned):
        if card in cards:
            rounds = records.where(arm=card.name).by("round").values()
            kept = np.array([1 - mean(group.field("weight_sparsity")) for group in rounds])
            # Side by side, so that bars of the same round do not hide each other.
            kept *= (1 - sparsest) ** (_STEP_ASIDE * number)
            means = [group.mean(metric) for group in rounds]
            deviations = [group.deviation(metric) or 0.0 for group in rounds]
            # A bar of no length would say that the spread is known to be zero.
            bars = deviations if any(deviations) else None
            style = {"color": card.color, "marker": card.marker, "label": card.label_of(slim)}
            axes.errorbar(kept, means, bars, capsize=3, markersize=6, **style)


def _mean_sparsities(records):
    """Return the sparsity of every round, in order: pools of one component differ between seeds."""
    rounds = records.by("round").values()
    return np.array([mean(group.field("weight_sparsity")) for group in rounds])


def _scale_x(axes, sparsities):
    """Make x the logarithm of what is kept, falling to the right, with ticks at some rounds."""
    kept = 1 - sparsities[sparsities > 0] if sparsities.max() > 0 else np.array([1.0])
    axes.set_xscale("log")
    margin = (kept.max() / kept.min()) ** 0.04 * 1.02 if len(kept) > 1 else 1.2
    axes.set_xlim(kept.max() * margin, kept.min() / margin)
    every = math.ceil(len(kept) / _MOST_TICKS)
    ticks = kept[::-1][::every]  # counted from the sparsest, which is always named
    axes.set_xticks(ticks, [percent(1 - tick) for tick in ticks])
    axes.set_xticks([], minor=True)


def _scale_y(axes, records, metric):
    """Make y logarithmic, with plain numbers on it, if the means span a decade."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    means = [group.mean(metric) for group in records.by("round", "arm").values()]
    if min(means) > 0 and max(means) / min(means) > 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif all(isinstance(value, numbers.Integral) for value in records.values(metric)):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _mark(axes, chosen, metric, number, arm):
    """Mark the winning ticket with a star on its curve and its sparsity above the axes."""
    if not chosen:
        raise SettingError(f"There is no record of the {arm} arm in round {number}.")
    sparsity, middle = chosen[0]["weight_sparsity"], chosen.mean(metric)
    color = ARMS[arm].color
    axes.axvline(1 - sparsity, color=color, linewidth=1, linestyle=":", zorder=0)
    star = {"marker": "*", "markersize": 20, "markeredgecolor": "white", "zorder": 10}
    axes.plot(1 - sparsity, middle, color=color, **star)
    # The text stays beside the line if it would leave the figure when centred on it.
    place = axes.transAxes.inverted().transform(axes.transData.transform((1 - sparsity, middle)))
    axes.annotate(
        f"winning ticket: {percent(sparsity)} %",
        (1 - sparsity, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="left" if place[0] < 0.15 else "right" if place[0] > 0.85 else "center",
        color=color,
    )


def _explain(axes, metric, subject, num_seeds):
    card = metric_card(metric)
    spread = "1 seed" if num_seeds == 1 else f"mean ± standard deviation over {num_seeds} seeds"
    x = "sparsity: weights removed (%)"
    frame(axes, f"{card.title} against sparsity", x, card.unit, pad=42)
    axes.annotate(
        (f"{subject}; " if subject else "") + _DIRECTIONS[card.higher_is_better] + spread,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 24),
        textcoords="offset points",
        color=GREY,
    )
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)


def _draw(run, path):
    metric_against_sparsity(run.records, run.metric, path, **marked(run), subject=subject(run))


FIGURE = Figure("{metric}", lambda run: True, _draw)
