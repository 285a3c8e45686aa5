"""From a dataclass to a command line, and from an error to one line and an exit status."""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import sys
import types
import typing
from collections.abc import Callable, Sequence

from tf_tickets.errors import DivergedError, FileError, SettingError


def option(default, help: str, choices: Sequence | None = None, flag: str | None = None):
    """Return a dataclass field that is a command-line option too.

    Args:
        default: its type, or the field's annotation where it is None, says how a word is read; a
            bool becomes a flag, a tuple takes several words.
        help: what the option means.
        choices: the values that may be given.
        flag: what it is called on the command line, where that is no name in Python.
    """
    metadata = {"help": help, "choices": choices, "flag": flag}
    return dataclasses.field(default=default, metadata=metadata)


def parse(options_class: type, arguments: Sequence[str], description: str):
    """Return an instance of a dataclass of `option`s, read from command-line arguments.

    Raises:
        SystemExit: with status 2 and one line on stderr, if an option is unknown or has a value
            that the parser or the class refuses.
    """
    parser = _OneLineParser(description=description)
    types_of = typing.get_type_hints(options_class)
    for field in dataclasses.fields(options_class):
        _add_option(parser, field, types_of[field.name])
    values = vars(parser.parse_args(arguments))
    try:
        return options_class(**{n: tuple(v) if type(v) is list else v for n, v in values.items()})
    except SettingError as error:
        parser.error(str(error))


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message):
        """Say what is wrong in one line; `--help` shows the usage."""
        self.exit(2, f"{self.prog}: error: {message}\n")


def _add_option(parser, field, annotation):
    flag = field.metadata["flag"] or "--" + field.name.replace("_", "-")
    text = field.metadata["help"]
    if annotation is bool:
        parser.add_argument(flag, dest=field.name, action="store_true", help=text)
        return
    if field.default is not None:
        values = field.default if isinstance(field.default, tuple) else [field.default]
        text += f" (default: {' '.join(map(str, values))})"
    annotation = _without_none(annotation)
    if typing.get_origin(annotation) is tuple:
        kind, nargs = typing.get_args(annotation)[0], "+"
    else:
        kind, nargs = annotation, None
    parser.add_argument(
        flag,
        dest=field.name,
        type=kind,
        nargs=nargs,
        default=field.default,
        choices=field.metadata["choices"],
        help=text,
    )


def _without_none(annotation):
    if isinstance(annotation, types.UnionType):
        return next(kind for kind in typing.get_args(annotation) if kind is not type(None))
    return annotation


@contextlib.contextmanager
def quiet_start():
    """Keep off stderr what TensorFlow's native code prints while it is loaded.

    Some of it is written before any log level is read, so only the file descriptor stops it. An
    exception is still printed as ever, after the descriptor is back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(saved, 2)
        os.close(saved)


def exit_with_one_line(main: Callable[[], None]) -> None:
    """Run a script's main function; an error that a user can mend ends it with one line.

    Exit status 2 for a bad option, 1 for a bad file, a full disk or a training that diverged, 130
    when interrupted. Any other exception is a fault of ours and keeps its traceback.
    """
    name = pathlib.Path(sys.argv[0]).name
    try:
        main()
    except SettingError as error:
        sys.exit(_complain(name, error, status=2))
    except (FileError, DivergedError) as error:
        sys.exit(_complain(name, error, status=1))
    except _out_of_memory() as error:
        advice = "Try a smaller --batch-size, --image-size or --limit. Finished rounds are kept."
        sys.exit(_complain(name, f"Out of memory ({type(error).__name__}). {advice}", status=1))
    except _worker_lost() as error:
        advice = "Finished rounds are kept; run the same command again in all workers."
        sys.exit(_complain(name, f"Another worker is gone ({type(error).__name__}). {advice}", 1))
    except BrokenPipeError:
        # Whoever read stdout has left; Python would complain once more on closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        kept = "Finished rounds are kept; mend this and run the same command again."
        sys.exit(_complain(name, f"{error.strerror or error}{place}. {kept}", status=1))
    except KeyboardInterrupt:
        kept = "Interrupted. Finished rounds are kept; run the same command again to go on."
        sys.exit(_complain(name, kept, status=130))


def _out_of_memory() -> tuple:
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


def _worker_lost() -> tuple:
    tensorflow = sys.modules.get("tensorflow")
    return (tensorflow.errors.UnavailableError,) if tensorflow else ()


def _complain(name, message, status):
    print(f"{name}: error: {' '.join(str(message).split())}", file=sys.stderr)
    return status
