"""Figures: a metric against sparsity, and images by sparsity."""

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import write_whole

if TYPE_CHECKING:  # matplotlib is imported where it is used, as it takes half a second
    from matplotlib.figure import Figure

# name -> title, unit, whether higher is better; None where neither direction is
METRICS = {
    "loss": ("Test loss", "loss", False),
    "discriminator_loss": ("Discriminator loss", "loss", None),
    "generator_loss": ("Generator loss", "loss", None),
    "sample_deviation": ("Standard deviation over samples", "pixels in [-1, 1]", None),
    "early_stopping_step": ("Early-stopping step", "optimizer steps", None),
    "reconstruction_loss": (
        "Reconstruction loss",
        "mean squared error of pixels in [-1, 1]",
        False,
    ),
    "fcd": ("Fréchet classifier distance", "FCD", False),
    "fid": ("Fréchet Inception distance", "FID", False),
    "kcd": ("Kernel classifier distance", "KCD", False),
    "kid": ("Kernel Inception distance", "KID", False),
    "classifier_score": ("Classifier score", "score", True),
    "inception_score": ("Inception score", "score", True),
    "classifier_accuracy": ("Classifier accuracy", "fraction classified correctly", True),
}

# Colours that colour-blind people tell apart (Okabe and Ito, 2008), and shapes besides.
_ARMS = {
    "winning": {"color": "#0072B2", "marker": "o", "label": "winning: rewound weights"},
    "transferred": {
        "color": "#009E73",
        "marker": "^",
        "label": "transferred: another model's rewound weights",
    },
    "random": {"color": "#D55E00", "marker": "s", "label": "random: fresh weights, same masks"},
    "shuffled": {
        "color": "#CC79A7",
        "marker": "D",
        "label": "shuffled: masks shuffled by layer",
    },
}
# What the same arms are where channels were removed and not weights.
_SLIM_LABELS = {"winning": "early-bird: slim, trained on", "random": "random: slim, fresh weights"}
_DENSE_COLOR = "#444444"

# 8 inches at 200 dots each are twice the width at which a README shows a figure.
_WIDTH_INCHES = 8.0
_DPI = 200
_MOST_IMAGE_INCHES = 1.2
_MOST_TICKS = 12
# The distance between the arms of a round, as a fraction of the whole width.
_STEP_ASIDE = 0.006


def metric_against_sparsity(
    records: Sequence[dict],
    metric: str,
    path,
    winning_round: int | None = None,
    arm: str = "winning",
    subject: str | None = None,
) -> "Figure":
    """Draw a metric against sparsity for the dense arm and all others, as a PNG file.

    Points are means over the seeds, bars and the dense network's band one standard deviation
    (n - 1) to each side. Sparsity is drawn by the logarithm of what is kept, so that the rounds of
    an iterative search lie evenly; the metric by its logarithm where its means span a decade.

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
        SettingError: if there is no dense record, none to mark, or one without the metric.
        FileError: if the file cannot be written.
    """
    from matplotlib.figure import Figure

    for record in records:
        if metric not in record["metrics"]:
            raise SettingError(
                f"There is no metric {metric!r}. Choose one of: {', '.join(record['metrics'])}."
            )
    dense = [record["metrics"][metric] for record in records if record["arm"] == "dense"]
    if not dense:
        raise SettingError("There is no record of the dense arm to compare the others with.")
    curves = {name: _curve(records, metric, name) for name in _ARMS}
    rounds = _mean_sparsities(records)
    figure = Figure(figsize=(_WIDTH_INCHES, 5.0), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(np.mean(dense), color=_DENSE_COLOR, linestyle="--", label="dense: nothing pruned")
    axes.axhspan(*_band(dense), color=_DENSE_COLOR, alpha=0.15, linewidth=0)
    for number, (name, (sparsity, mean, deviation)) in enumerate(curves.items()):
        if len(mean):
            # A bar of no length would say that the spread is known to be zero.
            bars = deviation if deviation.any() else None
            # Side by side, so that bars of the same round do not hide each other.
            kept = (1 - sparsity) * (1 - rounds.max()) ** (_STEP_ASIDE * number)
            style = _ARMS[name] | ({"label": _SLIM_LABELS[name]} if _slim(records) else {})
            axes.errorbar(kept, mean, bars, capsize=3, markersize=6, **style)
    _scale_x(axes, rounds)
    _scale_y(axes, metric, dense, curves.values())
    if winning_round is not None:
        _mark(axes, records, metric, winning_round, arm)
    _explain(axes, metric, subject, len({record["seed"] for record in records}))
    _save(figure, path)
    return figure


def mask_distances(records: Sequence[dict], delta: float, path) -> "Figure":
    """Draw how far early-bird masks still move as training goes on, as a PNG file.

    A line for each ticket: the largest distance of the newest masks to those that they are compared
    with, up to the step at which the ticket was drawn.

    Args:
        records: lines of results.jsonl, of which those with `distances` are drawn.
        delta: what the distance had to stay below.
        path: the file to write; an existing one is replaced whole.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        SettingError: if no record has distances.
        FileError: if the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    drawn = [record for record in records if record.get("distances")]
    if not drawn:
        raise SettingError("There is no record of an early-bird ticket, with distances of masks.")
    sparsities = sorted({record["channel_sparsity"] for record in drawn})
    colors = dict(zip(sparsities, _shades(len(sparsities)), strict=True))
    figure = Figure(figsize=(_WIDTH_INCHES, 4.5), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(delta, color=_DENSE_COLOR, linestyle="--")
    axes.annotate(
        f"drawn below {delta:g}",
        (0, delta),  # where the curves, which fall, are far above
        xycoords=("axes fraction", "data"),
        xytext=(4, 4),
        textcoords="offset points",
        color=_DENSE_COLOR,
    )
    for record in drawn:
        points = [(p["step"], max(p["distances"])) for p in record["distances"] if p["distances"]]
        steps, distances = np.array(points).reshape(-1, 2).T
        color = colors[record["channel_sparsity"]]
        axes.plot(steps, distances, color=color, linewidth=1.2, alpha=0.8)
        if record["settled"] and len(steps):
            axes.plot(steps[-1], distances[-1], "o", color=color, markersize=6)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("optimizer steps")
    axes.set_ylabel("fraction of channels that differ")
    axes.set_title("Distance of the newest masks to the last ones", loc="left", fontsize=14)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    handles = [
        Line2D([], [], color=colors[s], label=f"{100 * s:g} % of channels") for s in sparsities
    ]
    handles.append(Line2D([], [], marker="o", linestyle="", color="grey", label="ticket drawn"))
    axes.legend(handles=handles, frameon=False)
    _save(figure, path)
    return figure


# way of pruning -> colour and shape; ways of the same kind share neither
_WAYS = {
    "unpruned": {"color": "#444444", "marker": "*", "markersize": 14},
    "imp": {"color": "#0072B2", "marker": "o"},
    "early-bird": {"color": "#009E73", "marker": "^"},
    "early-bird-global": {"color": "#66A61E", "marker": "<"},
    "early-bird-mixed": {"color": "#56B4E9", "marker": "v"},
    "snip": {"color": "#D55E00", "marker": "s"},
    "grasp": {"color": "#CC79A7", "marker": "D"},
    "synflow": {"color": "#E69F00", "marker": "P"},
}


def compared_costs(rows: Sequence, metric: str, path, title: str) -> "Figure":
    """Draw ways of pruning by what they cost and are worth, as a PNG file (paper K, figure 7).

    Three panels: the metric against the FLOPs of training; these, and the seconds, against the
    fraction of the weights that is gone. Ways that have several sparsities are lines.

    Args:
        rows: a `comparison.Row` for each way and sparsity.
        metric: the name of the metric.
        path: the file to write; an existing one is replaced whole.
        title: what was compared.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        FileError: if the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    name, unit, _ = METRICS.get(metric, (metric, metric, None))
    figure = Figure(figsize=(1.6 * _WIDTH_INCHES, 4.6), dpi=_DPI, layout="constrained")
    panels = figure.subplots(1, 3)
    for way, style in _WAYS.items():
        chosen = [row for row in rows if row.method == way]
        if chosen:
            flops = [row.training_flops for row in chosen]
            gone = [100 * row.weight_sparsity for row in chosen]
            seconds = [row.seconds for row in chosen]
            bars = [row.spread or 0.0 for row in chosen]
            means = [row.mean for row in chosen]
            style = {"linewidth": 1, **style}
            panels[0].errorbar(flops, means, bars if any(bars) else None, capsize=3, **style)
            panels[1].plot(gone, flops, label=way, **style)
            panels[2].plot(gone, seconds, **style)
    labels = (
        (f"{name} against FLOPs", "FLOPs of training", unit),
        ("FLOPs against compression", "weights removed (%)", "FLOPs of training"),
        ("Time against compression", "weights removed (%)", "seconds of training"),
    )
    for axes, (heading, x, y) in zip(panels, labels, strict=True):
        axes.set_title(heading, loc="left", fontsize=11)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_xlim(0, 1.08 * panels[0].dataLim.xmax)  # the star is large
    panels[0].xaxis.set_major_formatter(EngFormatter())
    panels[1].yaxis.set_major_formatter(EngFormatter())
    for axes in panels[1:]:
        axes.set_ylim(0, 1.08 * axes.dataLim.ymax)
    figure.suptitle(title, x=0.01, ha="left", fontsize=13)
    figure.legend(loc="outside lower center", ncols=len(_WAYS), frameon=False)
    _save(figure, path)
    return figure


def _shades(count):
    from matplotlib import colormaps

    return [colormaps["viridis"](0.8 * i / max(1, count - 1)) for i in range(count)]


def _slim(records):
    return any("channel_sparsity" in record for record in records)


def image_grid(
    rows: Sequence[tuple[str, np.ndarray]], path, title: str = "Images by sparsity"
) -> "Figure":
    """Draw labelled rows of images, as a PNG file.

    Args:
        rows: a label and images (n, height, width, 1 or 3) in [-1, 1] for each row; all images
            are of one size. Shorter rows end in white.
        path: the file to write; an existing one is replaced whole.
        title: what stands above.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        SettingError: if there is no row, or images are not of one size.
        FileError: if the file cannot be written.
    """
    from matplotlib.figure import Figure

    canvas, centers = _tile([np.asarray(images, np.float32) for _, images in rows])
    label_inches = 0.3 + 0.085 * max(len(label) for label, _ in rows)
    width = _WIDTH_INCHES - label_inches - 0.1
    # Whole screen pixels for each image pixel, where they fit, keep the edges sharp.
    widest = max(np.shape(images)[2] for _, images in rows)
    scale = min(width / canvas.shape[1], _MOST_IMAGE_INCHES / widest) * _DPI
    scale = math.floor(scale) if scale >= 1 else scale
    width, height = (scale * pixels / _DPI for pixels in (canvas.shape[1], canvas.shape[0]))
    total = (max(label_inches + width, 0.11 * len(title)) + 0.1, height + 0.6)
    figure = Figure(figsize=total, dpi=_DPI)
    box = (label_inches / total[0], 0.1 / total[1], width / total[0], height / total[1])
    axes = figure.add_axes(box)
    axes.imshow(canvas, aspect="auto")
    axes.set_yticks(centers, [label for label, _ in rows], fontsize=11)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.text(0.1 / total[0], 1 - 0.3 / total[1], title, fontsize=13, va="center")
    _save(figure, path)
    return figure


def _curve(records, metric, arm):
    """Return an arm's sparsity, mean and standard deviation, as arrays in the order of rounds."""
    rounds = {}
    for record in records:
        if record["arm"] == arm:
            rounds.setdefault(record["round"], []).append(record)
    points = []
    for _, seeds in sorted(rounds.items()):
        values = [record["metrics"][metric] for record in seeds]
        sparsity = np.mean([record["weight_sparsity"] for record in seeds])
        points.append((sparsity, np.mean(values), _deviation(values)))
    return np.array(points).reshape(-1, 3).T


def _mean_sparsities(records):
    """Return the sparsity of every round, in order: pools of one component differ between seeds."""
    rounds = {}
    for record in records:
        rounds.setdefault(record["round"], []).append(record["weight_sparsity"])
    return np.array([np.mean(sparsities) for _, sparsities in sorted(rounds.items())])


def _deviation(values):
    return np.std(values, ddof=1) if len(values) > 1 else 0.0


def _band(values):
    return np.mean(values) - _deviation(values), np.mean(values) + _deviation(values)


def _scale_x(axes, sparsities):
    """Make x the logarithm of what is kept, falling to the right, with ticks at some rounds."""
    kept = 1 - sparsities[sparsities > 0] if sparsities.max() > 0 else np.array([1.0])
    axes.set_xscale("log")
    margin = (kept.max() / kept.min()) ** 0.04 * 1.02 if len(kept) > 1 else 1.2
    axes.set_xlim(kept.max() * margin, kept.min() / margin)
    every = math.ceil(len(kept) / _MOST_TICKS)
    ticks = kept[::-1][::every]  # counted from the sparsest, which is always named
    axes.set_xticks(ticks, [_percent(1 - tick) for tick in ticks])
    axes.set_xticks([], minor=True)


def _percent(sparsity):
    """Return a percentage with as many digits as tell neighbouring rounds apart."""
    digits = 0 if sparsity < 0.9 else 1 if sparsity < 0.99 else 2
    return f"{100 * sparsity:.{digits}f}"


def _scale_y(axes, metric, dense, curves):
    """Make y logarithmic, with plain numbers on it, where the means span a decade."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    means = np.concatenate([[np.mean(dense)], *(mean for _, mean, _ in curves)])
    if means.min() > 0 and means.max() / means.min() > 10:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif metric == "early_stopping_step":
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _mark(axes, records, metric, number, arm):
    """Mark the winning ticket with a star on its curve and its sparsity above the axes."""
    chosen = [r for r in records if r["round"] == number and r["arm"] == arm]
    if not chosen:
        raise SettingError(f"There is no record of the {arm} arm in round {number}.")
    sparsity = chosen[0]["weight_sparsity"]
    mean = np.mean([record["metrics"][metric] for record in chosen])
    color = _ARMS[arm]["color"]
    axes.axvline(1 - sparsity, color=color, linewidth=1, linestyle=":", zorder=0)
    star = {"marker": "*", "markersize": 20, "markeredgecolor": "white", "zorder": 10}
    axes.plot(1 - sparsity, mean, color=color, **star)
    # The text stays beside the line where it would leave the figure if centred on it.
    place = axes.transAxes.inverted().transform(axes.transData.transform((1 - sparsity, mean)))[0]
    axes.annotate(
        f"winning ticket: {_percent(sparsity)} %",
        (1 - sparsity, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="left" if place < 0.15 else "right" if place > 0.85 else "center",
        color=color,
    )


def _explain(axes, metric, subject, num_seeds):
    name = metric.replace("_", " ")
    title, unit, higher_is_better = METRICS.get(metric, (name.capitalize(), name, None))
    direction = {True: "higher is better; ", False: "lower is better; ", None: ""}
    spread = "1 seed" if num_seeds == 1 else f"mean ± standard deviation over {num_seeds} seeds"
    axes.set_title(f"{title} against sparsity", loc="left", pad=42, fontsize=14)
    axes.annotate(
        (f"{subject}; " if subject else "") + direction[higher_is_better] + spread,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 24),
        textcoords="offset points",
        color=_DENSE_COLOR,
    )
    axes.set_xlabel("sparsity: weights removed (%)")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False)


def _tile(rows):
    """Return all images on one white canvas (height, width, 3), and each row's middle."""
    sizes = {images.shape[1:] for images in rows if images.ndim == 4}
    if len(sizes) != 1 or any(images.ndim != 4 for images in rows):
        shapes = ", ".join(str(images.shape) for images in rows) or "no row"
        raise SettingError(f"Rows must hold images (n, h, w, c) of one size. Received: {shapes}.")
    height, width, _ = sizes.pop()
    gap = max(1, width // 16)
    columns = max(len(images) for images in rows)
    canvas = np.ones((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3))
    tops = [row * (height + gap) for row in range(len(rows))]
    for top, images in zip(tops, rows, strict=True):
        for column, image in enumerate(images):
            left = column * (width + gap)
            canvas[top : top + height, left : left + width] = np.clip((image + 1) / 2, 0, 1)
    return canvas, [top + (height - 1) / 2 for top in tops]


def _save(figure, path):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    try:
        write_whole(path, buffer.getvalue())
    except OSError as error:
        raise FileError(f"Cannot write the figure to {path}: {error.strerror}.") from error
