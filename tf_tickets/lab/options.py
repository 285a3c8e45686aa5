"""Options: fields of frozen dataclasses that check themselves and are flags of the commands too."""

import dataclasses
import math
import types
import typing
from collections.abc import Sequence

from tf_tickets.errors import SettingError

# Of whole numbers, whatever else an option says: what 32 bits hold.
_MOST = 2**31 - 1

_BOUNDS = {
    "at_least": (lambda value, bound: value >= bound, "at least"),
    "above": (lambda value, bound: value > bound, "above"),
    "at_most": (lambda value, bound: value <= bound, "at most"),
    "below": (lambda value, bound: value < bound, "below"),
}


def option(default, help: str, choices: Sequence | None = None, flag: str | None = None, **bounds):
    """Return a dataclass field that is a command-line option too.

    Args:
        default: the value if none is given. The annotation says how a word is read: a bool is a
            flag, a tuple takes several words.
        help: what the option means.
        choices: the values that may be given.
        flag: what it is called on the command line, if that is not a name in Python.
        **bounds: of numbers: `at_least`, `above`, `at_most`, `below`.
    """
    metadata = {"help": help, "choices": choices, "flag": flag, "bounds": bounds}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Options:
    """A group of options; making one checks each value by its own field.

    Raises:
        SettingError: if a value is of another type than the field, is not one of the choices or
            is out of bounds; the message begins with the field's name in backticks.
    """

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, list):  # as it comes back from JSON
                value = tuple(value)
                object.__setattr__(self, field.name, value)
            if not _is_of_type(value, field.type):
                refuse(field.name, f"must be {_type_name(field.type)}", repr(value))
            for each in value if isinstance(value, tuple) else (value,):
                _check(field, each)


def _check(field, value):
    choices, bounds = field.metadata.get("choices"), field.metadata.get("bounds", {})
    if value is None:
        return
    if isinstance(value, str):
        _check_text(field.name, value)
    if choices and value not in choices:
        refuse(field.name, f"must be one of {', '.join(map(str, choices))}", value)
    if isinstance(value, float) and not math.isfinite(value):
        refuse(field.name, "must be a finite number", value)
    if isinstance(value, int) and not -_MOST <= value <= _MOST:
        refuse(field.name, f"must be at most {_MOST}", _shortened(value))
    for name, bound in bounds.items():
        fits, words = _BOUNDS[name]
        if not fits(value, bound):
            refuse(field.name, f"must be {words} {bound}", value)


def _check_text(name, value):
    """Refuse what cannot be printed on one line, or is no text: TensorFlow takes no other paths."""
    if value != "".join(value.splitlines()):
        refuse(name, "must be one line of text", ascii(value))
    try:
        value.encode()
    except UnicodeEncodeError:
        refuse(name, "must be text in UTF-8", ascii(value))


def _shortened(value: int) -> str:
    # Python refuses to write integers of thousands of digits.
    return str(value) if abs(value) < 10**40 else f"one of {value.bit_length()} bits"


def _is_of_type(value, annotation):
    if isinstance(annotation, types.UnionType):
        return any(_is_of_type(value, each) for each in typing.get_args(annotation))
    kind = typing.get_origin(annotation) or annotation
    if kind is tuple:
        of_each = typing.get_args(annotation)[0]
        return isinstance(value, tuple) and all(_is_of_type(each, of_each) for each in value)
    if isinstance(value, bool) and kind is not bool:  # which Python takes for an int
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _type_name(annotation):
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def carried(kind: type, values):
    """Return options of one kind with what was chosen in another's fields of the same names.

    A default of the other kind is not a choice: two kinds can have different ones.

    Args:
        kind: a subclass of `Options`.
        values: an instance of another one.

    Raises:
        SettingError: if `kind` refuses one of the values.
    """
    if type(values) is kind:
        return values
    names = {field.name for field in dataclasses.fields(kind)}
    chosen = {
        field.name: getattr(values, field.name)
        for field in dataclasses.fields(values)
        if field.name in names and getattr(values, field.name) != field.default
    }
    return kind(**chosen)


def refuse(name: str, expected: str, value) -> None:
    """Raise SettingError over the value of one option."""
    raise SettingError(f"`{name}` {expected}. Received: {name}={value}")
