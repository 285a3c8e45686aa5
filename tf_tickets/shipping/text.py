"""Numbers, sentences and tables as plain text."""

import textwrap
from collections.abc import Collection, Sequence

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def table(lines: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Return lines of cells in columns; the columns numbered in `right` are flush right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        [
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def wrapped(text: str, mark: str = "") -> str:
    """Return a text in lines of 100 characters or less, the first one after a mark."""
    return textwrap.fill(
        text,
        width=100,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_on_hyphens=False,
        break_long_words=False,
    )


def count_of(number: int, noun: str) -> str:
    """Return a number of things: "1 kernel", "2 kernels"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def percent(fraction: float) -> str:
    """Return a fraction as "12.34 %"."""
    return f"{fraction:.2%}".replace("%", " %")


def short(number: int) -> str:
    """Return a number with three digits and a letter for its thousands: 1234567 is "1.23 M"."""
    for factor, unit in _UNITS:
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return str(number)


def byte_size(number: int) -> str:
    """Return a number of bytes, as "1.23 MB" or "12 B"."""
    return f"{short(number)}B" if number >= _UNITS[-1][0] else f"{number} B"
