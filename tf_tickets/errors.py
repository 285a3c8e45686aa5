"""The errors that a user can mend; a script prints them as one line, without a traceback."""

import json
import numbers
from collections.abc import Callable, Mapping


class SettingError(ValueError):
    """An option or argument has a value that cannot work; the message says which would."""


class FileError(RuntimeError):
    """A file, folder or data set is missing, unreadable, damaged or not what was asked for."""


class DivergedError(ArithmeticError):
    """Training produced a NaN or an infinite value, so nothing may be pruned on it."""


def check_whole(name: str, value: int) -> None:
    """Raise SettingError unless the argument of this name is a whole number."""
    if not isinstance(value, numbers.Integral):
        raise SettingError(f"`{name}` must be a whole number. Received: {name}={value!r}")


def check_count(name: str, value: int, least: int = 1) -> None:
    """Raise SettingError unless the argument of this name is a whole number of at least `least`."""
    check_whole(name, value)
    if value < least:
        raise SettingError(f"`{name}` must be at least {least}. Received: {name}={value}")


def check_number(name: str, value: float) -> None:
    """Raise SettingError unless the argument of this name is a real number."""
    if not isinstance(value, numbers.Real):
        raise SettingError(f"`{name}` must be a number. Received: {name}={value!r}")


def check_at_least(name: str, value: float, least: float) -> None:
    """Raise SettingError unless the argument of this name is a number of at least `least`."""
    check_number(name, value)
    if not value >= least:  # nor NaN
        raise SettingError(f"`{name}` must be at least {least}. Received: {name}={value}")


def check_sparsity(name: str, value: float) -> None:
    """Raise SettingError unless the argument of this name is a fraction in [0, 1)."""
    check_number(name, value)
    if not 0 <= value < 1:
        hint = f" Did you mean {value / 100:g}?" if 1 < value < 100 else ""
        raise SettingError(f"`{name}` must be in [0, 1). Received: {name}={value}.{hint}")


def check_function(name: str, value: Callable) -> None:
    """Raise SettingError unless the argument of this name can be called."""
    if not callable(value):
        raise SettingError(f"`{name}` must be a function. Received: {name}={value!r}")


def check_mapping(name: str, value: Mapping, what: str) -> None:
    """Raise SettingError unless the argument of this name is a mapping; `what` says from what."""
    if not isinstance(value, Mapping):
        raise SettingError(f"`{name}` must map {what}. Received: a {type(value).__name__}")


def check_json(name: str, value: Mapping) -> None:
    """Raise SettingError unless the argument of this name is a mapping that JSON can hold."""
    check_mapping(name, value, "names to what JSON can hold")
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise SettingError(f"`{name}` must map names to what JSON can hold: {error}.") from error
