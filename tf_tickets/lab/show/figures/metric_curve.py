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
from tf_tickets.runs.records import Records, deviation, mean
from tf_tickets.search.pairs import metric_of
from tf_tickets.search.verdict import WINNING_TICKET

if TYPE_CHECKING:
    import matplotlib.figure

_MOST_TICKS = 12
# The distance between the arms of a round, as a fraction of the whole width.
_STEP_ASIDE = 0.006
# Characters of ten points each that stand in a line above the axes.
_WIDEST = 95
_DIRECTIONS = {True: "higher is better; ", False: "lower is better; ", None: ""}


def metric_against_sparsity(
    records: Sequence[dict],
    metric: str,
    path,
    marked_round: int | None = None,
    arm: str = "winning",
    mark: str = WINNING_TICKET,
    subject: str | None = None,
) -> "matplotlib.figure.Figure":
    """Draw a metric against sparsity for the dense arm and all others, as a PNG file.

    Points are means over the seeds, bars and the dense network's band one standard deviation
    (n - 1) to each side. Sparsity is drawn by the logarithm of what is kept, so that the rounds of
    an iterative search lie evenly; the metric by its logarithm if its means span a decade. If the
    records have `test_metrics`, their means for dense and for the judged arm are drawn in light.

    Args:
        records: lines of results.jsonl, at least one of them of the dense arm. A training that
            collapsed may lack the metric: then its point says of how many seeds it is.
        metric: a name in their `metrics`.
        path: the file to write; an existing one is replaced whole.
        marked_round: the round whose ticket is marked, if any.
        arm: the arm that is judged.
        mark: what the marked ticket is: "winning ticket", or "candidate", whose star is open.
        subject: what the records are of, such as a model and its data; stands above the axes.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        SettingError: if there is no dense record, none to mark, one without the metric that has not
            collapsed, or one of an arm that is not known.
        FileError: if the file cannot be written.
    """
    records = Records(records)
    _values(records, metric)  # refuses records without it
    cards = [ARMS[name] for name in records.arms]  # refuses an arm that has none
    figure = new_figure(5.0, layout="constrained")
    axes = figure.add_subplot()
    _draw_dense(axes, records.dense, metric)
    _draw_tested(axes, records, metric, arm)
    few = _draw_arms(axes, records, metric, cards)
    _scale_x(axes, _mean_sparsities(records))
    _scale_y(axes, records, metric)
    if marked_round is not None:
        _mark(axes, records.where(round=marked_round, arm=arm), metric, marked_round, arm, mark)
    _explain(axes, metric, subject, records.num_seeds, few)
    save(figure, path)
    return figure


def _values(records, metric, of="metrics"):
    """Return the values of those records that have one; a training that collapsed may not."""
    values = (metric_of(record, metric, of) for record in records)
    return [value for value in values if value is not None]


def _draw_dense(axes, dense, metric):
    values, card = _values(dense, metric), ARMS["dense"]
    if values:
        middle, width = mean(values), deviation(values) or 0.0
        axes.axhline(middle, color=card.color, linestyle="--", label=card.label)
        axes.axhspan(middle - width, middle + width, color=card.color, alpha=0.15, linewidth=0)


def _draw_tested(axes, records, metric, arm):
    """Draw the means of dense and of the judged arm on test images, thin and light."""
    shown = [r for r in records if r["arm"] in ("dense", arm) and not r.get("collapsed")]
    if not all(metric in (record.get("test_metrics") or {}) for record in shown):
        return
    of = "test_metrics"
    style = {"linewidth": 1, "linestyle": ":", "alpha": 0.7, "zorder": 1}
    dense = _values(Records(shown).dense, metric, of)
    axes.axhline(mean(dense), color=ARMS["dense"].color, **style)
    groups = Records(shown).where(arm=arm).by("round").values()
    kept = [1 - mean(group.field("weight_sparsity")) for group in groups]
    means = [mean(_values(group, metric, of)) for group in groups]
    label = f"{arm} and dense on test images"
    color = ARMS[arm].color
    axes.plot(kept, means, color=color, marker=".", markersize=4, label=label, **style)


def _draw_arms(axes, records, metric, cards):
    """Draw all arms but dense, and return whether a point is of fewer seeds than the others."""
    sparsest = _mean_sparsities(records).max()
    slim = any("channel_sparsity" in record for record in records)
    pruned = [card for card in ARMS.values() if card.name != "dense"]
    few = False
    for number, card in enumerate(pruned):
        if card in cards:
            rounds = records.where(arm=card.name).by("round").values()
            known = [group for group in rounds if _values(group, metric)]
            kept = np.array([1 - mean(group.field("weight_sparsity")) for group in known])
            # Side by side, so that bars of the same round do not hide each other.
            kept *= (1 - sparsest) ** (_STEP_ASIDE * number)
            means = [mean(_values(group, metric)) for group in known]
            deviations = [deviation(_values(group, metric)) or 0.0 for group in known]
            # A bar of no length would say that the spread is known to be zero.
            bars = deviations if any(deviations) else None
            style = {"color": card.color, "marker": card.marker, "label": card.label_of(slim)}
            axes.errorbar(kept, means, bars, capsize=3, markersize=6, **style)
            few |= _count(axes, kept, means, known, metric, card.color)
    return few


def _count(axes, kept, means, groups, metric, color):
    """Write at each point of fewer than all seeds of how many it is; return whether one is."""
    few = False
    for x, y, group in zip(kept, means, groups, strict=True):
        if (number := len(_values(group, metric))) < len(group):
            few = True
            place = {"xytext": (5, 4), "textcoords": "offset points"}
            axes.annotate(f"{number}/{len(group)}", (x, y), color=color, fontsize=7, **place)
    return few


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

    groups = records.by("round", "arm").values()
    means = [mean(values) for group in groups if (values := _values(group, metric))]
    if min(means) > 0 and max(means) / min(means) > 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif all(isinstance(value, numbers.Integral) for value in _values(records, metric)):
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _mark(axes, chosen, metric, number, arm, mark):
    """Mark a ticket with a star on its curve, and its sparsity above the axes."""
    if not chosen:
        raise SettingError(f"There is no record of the {arm} arm in round {number}.")
    sparsity, values = mean(chosen.field("weight_sparsity")), _values(chosen, metric)
    color = ARMS[arm].color
    axes.axvline(1 - sparsity, color=color, linewidth=1, linestyle=":", zorder=0)
    # An open star says that the seeds do not show it yet.
    fill = {"markerfacecolor": "white", "markeredgecolor": color, "markeredgewidth": 1.5}
    fill = {"markeredgecolor": "white"} if mark == WINNING_TICKET else fill
    middle = mean(values) if values else axes.get_ylim()[0]
    if values:
        axes.plot(1 - sparsity, middle, "*", color=color, markersize=20, zorder=10, **fill)
    # The text stays beside the line if it would leave the figure when centred on it.
    place = axes.transAxes.inverted().transform(axes.transData.transform((1 - sparsity, middle)))
    axes.annotate(
        f"{mark}: {percent(sparsity)} %",
        (1 - sparsity, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="left" if place[0] < 0.15 else "right" if place[0] > 0.85 else "center",
        color=color,
    )


def _explain(axes, metric, subject, num_seeds, few):
    card = metric_card(metric)
    spread = "1 seed" if num_seeds == 1 else f"mean ± standard deviation over {num_seeds} seeds"
    x = "sparsity: weights removed (%)"
    frame(axes, f"{card.title} against sparsity", x, card.unit, pad=42)
    text = (f"{subject}; " if subject else "") + _DIRECTIONS[card.higher_is_better] + spread
    said = axes.annotate(
        text,
        (0, 1),
        fontsize=10 * min(1, _WIDEST / len(text)),
        xycoords="axes fraction",
        xytext=(0, 24),
        textcoords="offset points",
        color=GREY,
    )
    said.set_in_layout(False)  # a long line must not make the axes narrow
    if few:
        axes.plot([], [], " ", label="k/n: only k of n seeds have a value")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)


def _draw(run, path):
    metric_against_sparsity(run.records, run.metric, path, **marked(run), subject=subject(run))


FIGURE = Figure("{metric}", lambda run: True, _draw)
