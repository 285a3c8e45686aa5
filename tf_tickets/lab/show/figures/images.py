"""Images by sparsity: rows of pictures, the real ones first."""

import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tf_tickets.engines import Stage
from tf_tickets.errors import SettingError
from tf_tickets.lab.arms import ARMS
from tf_tickets.lab.pictures import read_strip
from tf_tickets.lab.show.figures.figure import Figure, subject
from tf_tickets.lab.show.styles import DPI, WIDTH_INCHES, new_figure, save
from tf_tickets.runs.paths import REAL, SAMPLES
from tf_tickets.runs.records import Records, collapsed

if TYPE_CHECKING:
    import matplotlib.figure

_MOST_IMAGE_INCHES = 1.2
_MOST_ROUNDS = 5


def image_grid(
    rows: Sequence[tuple[str, np.ndarray]],
    path,
    title: str = "Images by sparsity",
    boxed: int | None = None,
) -> "matplotlib.figure.Figure":
    """Draw labelled rows of images, as a PNG file.

    Args:
        rows: a label and images (n, height, width, 1 or 3) in [-1, 1] for each row; all images
            are of one size. Shorter rows end in white.
        path: the file to write; an existing one is replaced whole.
        title: what stands above.
        boxed: the place of the row that is framed, if one is.

    Returns:
        The `matplotlib.figure.Figure` that was written.

    Raises:
        SettingError: if there is no row, or images are not of one size.
        FileError: if the file cannot be written.
    """
    canvas, centers = _tile([np.asarray(images, np.float32) for _, images in rows])
    label_inches = 0.3 + 0.085 * max(len(label) for label, _ in rows)
    width = WIDTH_INCHES - label_inches - 0.1
    # Whole screen pixels for each image pixel, if they fit, keep the edges sharp.
    widest = max(np.shape(images)[2] for _, images in rows)
    scale = min(width / canvas.shape[1], _MOST_IMAGE_INCHES / widest) * DPI
    scale = math.floor(scale) if scale >= 1 else scale
    width, height = (scale * pixels / DPI for pixels in (canvas.shape[1], canvas.shape[0]))
    lines = title.splitlines()
    above = 0.35 + 0.25 * len(lines)
    total = (max(label_inches + width, 0.11 * max(map(len, lines))) + 0.1, height + above)
    figure = new_figure(total[1], total[0])
    box = (label_inches / total[0], 0.1 / total[1], width / total[0], height / total[1])
    axes = figure.add_axes(box)
    axes.imshow(canvas, aspect="auto")
    axes.set_yticks(centers, [label for label, _ in rows], fontsize=11)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if boxed is not None:
        _frame_row(axes, canvas.shape, len(rows), boxed)
    figure.text(0.1 / total[0], 1 - above / 2 / total[1], title, fontsize=13, va="center")
    save(figure, path)
    return figure


def _frame_row(axes, canvas_shape, num_rows, place):
    from matplotlib.patches import Rectangle

    height, width, _ = canvas_shape
    each = (height + 1) / num_rows  # with the gap below
    corner = (-0.5, place * each - 0.5)
    box = Rectangle(corner, width, each, fill=False, color=ARMS["winning"].color, linewidth=3)
    axes.add_patch(box).set_clip_on(False)


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


class Strip(NamedTuple):
    """A row of pictures: its label, its file, and whether it is of the ticket that was found."""

    label: str
    path: pathlib.Path
    is_found: bool = False


def strips_of(run, arms: Sequence[str] = tuple(ARMS)) -> list[Strip]:
    """Return the strips of a run that a figure shows; none if it has none.

    The real images, then the first seed's dense network and the arms of a few rounds.

    Args:
        run: a `Run`.
        arms: of which there are strips, beside dense.
    """
    if not _applies(run):
        return []
    found = run.verdict.comparison
    shown = _illustrated(_pictured(run), found and found.round)
    return [
        Strip("real", run.path / REAL),
        *(
            Strip(_label(record), _pictures(run, record), _is_of(record, found))
            for record in shown
            if record["arm"] in ("dense", *arms)
        ),
    ]


def _is_of(record, found):
    return bool(found) and (record["round"], record["arm"]) == (found.round, found.arm)


def kind_of(run) -> str:
    """Return what the pictures of a run are: samples or reconstructions.

    Args:
        run: a `Run`.
    """
    return next(filter(None, (record["protocol"].get("generated") for record in run.records)))


def _applies(run):
    return bool(_pictured(run)) and (run.path / REAL).exists()


def _draw(run, path):
    draw_strips(run, path, f"{subject(run)}: {kind_of(run)} by sparsity")


def draw_strips(run, path, title: str, arms: Sequence[str] = tuple(ARMS)) -> None:
    """Draw images of a run by sparsity, those of its winning ticket or candidate in a frame.

    Args:
        run: a `Run`.
        path: the file to write; an existing one is replaced whole.
        title: what stands above.
        arms: of which there are rows, beside dense.

    Raises:
        FileError: if a picture of the run cannot be read, or the figure not be written.
    """
    strips = strips_of(run, arms)
    rows = [(strip.label, read_strip(strip.path)) for strip in strips]
    boxed = next((place for place, strip in enumerate(strips) if strip.is_found), None)
    image_grid(rows, path, title, boxed)


def _pictured(run):
    """Return the records that have pictures; a training that collapsed may have none."""
    return Records(
        record for record in run.records if not collapsed(record) or _pictures(run, record).exists()
    )


def _pictures(run, record):
    return run.path / Stage(record["seed"], record["round"], record["arm"]).name / SAMPLES


def _illustrated(records, marked_round):
    """Return the first seed's dense record, and all arms of a few rounds up to the last."""
    last = max(records.rounds)
    few = np.linspace(1, last, min(_MOST_ROUNDS, last)).round().astype(int)
    rounds, arms = {0, *few, marked_round}, list(ARMS)
    chosen = [r for r in records.where(seed=records.seeds[0]) if r["round"] in rounds]
    return sorted(chosen, key=lambda r: (r["round"], arms.index(r["arm"])))


def _label(record):
    if record["arm"] == "dense":
        return "dense"
    return f"{record['weight_sparsity']:.1%} {record['arm']}".replace("%", " %")


FIGURE = Figure("images", _applies, _draw)
