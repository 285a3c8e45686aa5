"""Numbers as tables show them."""

from collections.abc import Sequence

from tf_tickets.runs.records import deviation, mean


def of_seeds(num_seeds: int) -> str:
    """Return what a table shows of so many seeds."""
    return f"mean ± standard deviation of {num_seeds} seeds" if num_seeds > 1 else "one seed"


def percent(fraction: float, digits: int) -> str:
    """Return a fraction as a percentage.

    Args:
        fraction: such as 0.2.
        digits: after the point.
    """
    return f"{100 * fraction:.{digits}f} %"


def spread(values: Sequence[float], digits: int | None = None) -> str:
    """Return the mean of some values and their standard deviation, if there is one.

    Args:
        values: none of which give "".
        digits: after the point; by default the first few that count.
    """
    if not values:
        return ""
    forms = (".4g", ".2g") if digits is None else (f".{digits}f",) * 2
    found = deviation(values)
    return f"{mean(values):{forms[0]}}" + ("" if found is None else f" ± {found:{forms[1]}}")


def interval(mean: float, low: float | None, high: float | None) -> str:
    """Return a mean and its 95 % interval, if it is known.

    Args:
        mean: such as that of an effect.
        low, high: the ends of the interval, or None.
    """
    bounds = "" if low is None else f" (95 %: {low:.3g} to {high:.3g})"
    return f"{mean:.3g}{bounds}"
