"""From options to a command line: flat flags, in the groups of what was chosen."""

import argparse
import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence

from tf_tickets.errors import SettingError

_LIKE_ARGPARSE = "argument {flag}: {rest}"


class Parser(argparse.ArgumentParser):
    """Reads groups of options; what cannot work is one line on stderr, and status 2.

    Args:
        description: one line for `--help`.
    """

    def __init__(self, description: str, **options):
        super().__init__(description=description, allow_abbrev=False, **options)
        self._groups, self._left_out = {}, {}

    def add_options(
        self,
        title: str,
        kind: type,
        values=None,
        leave_out: Iterable[str] = (),
        choices: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """Add the options of a dataclass as a group of flags.

        Args:
            title: of the group; also what `made` calls it.
            kind: a dataclass of `option`s.
            values: an instance whose values are the defaults, in place of the class's.
            leave_out: names of fields that are not to be flags; they have the class's defaults.
            choices: field name -> the values that may be given, in place of the field's own.
        """
        choices = choices or {}
        group = self.add_argument_group(title)
        hints = typing.get_type_hints(kind)
        fields = [f for f in _options_of(kind) if f.name not in leave_out]
        for field in fields:
            default = field.default if values is None else getattr(values, field.name)
            offered = choices.get(field.name, field.metadata["choices"])
            _add_option(group, field, hints[field.name], default, offered)
        self._groups[title] = (kind, [field.name for field in fields], values)
        self._left_out[title] = {
            field.name: field.default for field in _options_of(kind) if field.name in leave_out
        }

    def made(self, title: str, arguments: argparse.Namespace, **others):
        """Return the instance of a group that the arguments describe.

        Args:
            title: of the group.
            arguments: as `parse_args` returned them.
            **others: values of the fields that are not flags.

        Raises:
            SystemExit: with status 2, if the class refuses a value.
        """
        kind, names, values = self._groups[title]
        given = self._left_out[title] | {name: _plain(getattr(arguments, name)) for name in names}
        try:
            if values is None:
                return kind(**{**given, **others})
            return dataclasses.replace(values, **{**given, **others})
        except SettingError as error:
            self.refuse(error)

    def refuse(self, error: SettingError) -> None:
        """End with status 2 and what is wrong, in the words of the command line."""
        self.error(in_flags(str(error)))

    def error(self, message):
        """Say what is wrong in one line; `--help` shows the usage."""
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def flag_of(field: dataclasses.Field) -> str:
    """Return what an option is called on the command line."""
    return field.metadata.get("flag") or "--" + field.name.replace("_", "-")


def help_of(field: dataclasses.Field, default) -> str:
    """Return what an option means, and what it is if it is not given."""
    text = field.metadata["help"]
    if default is None or isinstance(default, bool):
        return text
    values = default if isinstance(default, tuple) else [default]
    text = re.sub(r" \(default: .*\)$", "", text)  # of the class, not of a config
    return f"{text} (default: {' '.join(map(str, values))})"


def has_option(kind: type, flag: str) -> bool:
    """Return whether a dataclass has an option that is called so on the command line."""
    return any(flag_of(field) == flag for field in _options_of(kind))


def in_flags(message: str) -> str:
    """Return a message of the library with flags in place of the names of options in backticks.

    Args:
        message: such as "`round_to` must be at least 1. Received: round_to=0".
    """
    message = re.sub(r"Received: (\w+)=", "Received: ", message)
    subject = re.fullmatch(r"`(\w+)`:? (.*)", message, flags=re.DOTALL)
    if subject:
        rest = _with_flags(subject[2])
        return _LIKE_ARGPARSE.format(flag=_flag(subject[1]), rest=rest)
    return _with_flags(message)


def _with_flags(text):
    return re.sub(r"`(\w+)`", lambda found: _flag(found[1]), text)


def _flag(name):
    return {"source": "--from", "scope": "--component"}.get(name, "--" + name.replace("_", "-"))


def _options_of(kind):
    return [field for field in dataclasses.fields(kind) if "help" in field.metadata]


def _plain(value):
    return tuple(value) if isinstance(value, list) else value


def _add_option(group, field, annotation, default, choices):
    flag, text = flag_of(field), help_of(field, default).replace("%", "%%")
    if annotation is bool:
        action = argparse.BooleanOptionalAction if default else "store_true"
        group.add_argument(flag, dest=field.name, action=action, default=default, help=text)
        return
    annotation = _without_none(annotation)
    kind, nargs = annotation, None
    if typing.get_origin(annotation) is tuple:
        kind, nargs = typing.get_args(annotation)[0], "+"
    group.add_argument(
        flag,
        dest=field.name,
        type=kind,
        nargs=nargs,
        default=default,
        choices=choices,
        metavar=None if choices else flag.strip("-").upper().replace("-", "_"),
        help=text,
    )


def _without_none(annotation):
    if isinstance(annotation, types.UnionType):
        return next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return annotation


def value_of(words: Sequence[str], flag: str, default):
    """Return the value that words give a flag, before anything else of them is understood.

    Args:
        words: of a command line.
        flag: such as "--model", which takes one value.
        default: what it is if the flag is not there.
    """
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    first.add_argument(flag, dest="value", default=default)
    try:
        return first.parse_known_args(words)[0].value
    except argparse.ArgumentError:  # the flag without a value, which the real parser refuses
        return default
