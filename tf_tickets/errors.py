"""The errors that a user can mend; a script prints them as one line, without a traceback."""

import numbers


class SettingError(ValueError):
    """An option or argument has a value that cannot work; the message says which would."""


class FileError(RuntimeError):
    """A file, folder or data set is missing, unreadable, damaged or not what was asked for."""


class DivergedError(ArithmeticError):
    """Training produced a NaN or an infinite value, so nothing may be pruned on it."""


def check_count(name: str, value: int) -> None:
    """Raise SettingError unless the argument of this name is a whole number of at least 1."""
    if not isinstance(value, numbers.Integral):
        raise SettingError(f"`{name}` must be a whole number. Received: {name}={value!r}")
    if value < 1:
        raise SettingError(f"`{name}` must be at least 1. Received: {name}={value}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise SettingError unless the argument of this name is a number of at least `least`."""
    if value < least:
        raise SettingError(f"`{name}` must be at least {least}. Received: {value}.")


def check_sparsity(name: str, value: float) -> None:
    """Raise SettingError unless the argument of this name is a fraction in [0, 1)."""
    if not isinstance(value, numbers.Real):
        raise SettingError(f"`{name}` must be a number. Received: {name}={value!r}")
    if not 0 <= value < 1:
        hint = f" Did you mean {value / 100:g}?" if 1 < value < 100 else ""
        raise SettingError(f"`{name}` must be in [0, 1). Received: {name}={value}.{hint}")
