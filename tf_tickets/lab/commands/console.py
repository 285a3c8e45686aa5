"""What a command prints, and how it ends: TensorFlow in silence, errors of one line."""

import importlib
import os
import pathlib
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

from tf_tickets.errors import DivergedError, FileError, SettingError
from tf_tickets.lab.commands.parser import in_flags
from tf_tickets.lab.commands.signals import Signals, Stopped, last_words
from tf_tickets.quiet import load_tensorflow, quiet_start, stderr_of_the_user

if TYPE_CHECKING:
    import rich.console


def new_console() -> "rich.console.Console":
    """Return the console for stdout; without markup, as a path may hold brackets."""
    import rich.console

    width = None if sys.stdout.isatty() else 110
    return rich.console.Console(width=width, markup=False, emoji=False)


def print_line(console: "rich.console.Console", text: str) -> None:
    """Print one line, which a narrow terminal wraps."""
    console.print(text, highlight=False, soft_wrap=True)


def start_tensorflow(strategy: str = "none", threads: int | None = None):
    """Load TensorFlow in silence, and let warnings be one line each.

    Args:
        strategy: as `tt.resolve_strategy` takes it, which has to be asked first of all.
        threads: of an operation; None for TensorFlow's own choice.

    Returns:
        The strategy.
    """
    warnings.showwarning = _one_line_warning
    with quiet_start():
        load_tensorflow()
        import tensorflow as tf

        from tf_tickets.engines import use_threads
        from tf_tickets.strategy import check_cluster, meet_cluster, resolve_strategy

        if threads is not None:
            use_threads(threads)
    if strategy == "multi-worker":
        check_cluster()
        print_error("waiting until all workers of TF_CONFIG are started")
        meet_cluster()
    with quiet_start():
        resolved = resolve_strategy(strategy)
        tf.zeros(())  # the first use of a device prints too
    return resolved


def _one_line_warning(message, *_):
    print_error(f"warning: {' '.join(str(message).split())}")


def print_error(message: str) -> None:
    """Print one line on stderr, after the command's name."""
    line = f"{pathlib.Path(sys.argv[0]).name}: {message}\n"
    sys.stderr.write(line.encode(errors="backslashreplace").decode())


# Of the command that this process is.
signals = Signals(lambda words: _tell(f"error: {words}"))


def _tell(message):
    """Print one line for the user, also while stderr is kept silent or its buffer is in use."""
    line = f"{pathlib.Path(sys.argv[0]).name}: {message}\n"
    os.write(stderr_of_the_user(), line.encode(errors="backslashreplace"))


def run_command(name: str) -> None:
    """Be a command: its module is imported where an error, or Ctrl-C, is one line already.

    Args:
        name: of the module in `commands`.
    """
    exit_with_one_line(lambda: importlib.import_module(f"tf_tickets.lab.commands.{name}").main())


def open_streams() -> None:
    """Give stdin, stdout and stderr a place if they were closed, and let them write any path.

    Otherwise the next file that is opened would be taken for the stream.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def exit_with_one_line(main: Callable[[], None]) -> None:
    """Run a command's main function; an error that a user can mend ends it with one line.

    Exit status 2 for a bad option, 1 for a bad file, a full disk or a training that diverged, 130
    when interrupted, 143 when terminated. Any other exception is a fault of ours and keeps its
    traceback.
    """
    open_streams()
    try:
        with signals.handled():
            _exit_with_one_line(main)
    finally:
        signals.has_begun = False


def _exit_with_one_line(main):
    try:
        main()
    except SettingError as error:
        sys.exit(_complain(in_flags(str(error)), status=2))
    except (FileError, DivergedError) as error:
        sys.exit(_complain(in_flags(str(error)), status=1))
    except _out_of_memory() as error:
        if _is_of_the_disk(error):
            sys.exit(_complain(f"No space left on the disk. {_KEPT}", status=1))
        advice = "Try a smaller --batch-size, --image-size or --limit. Finished rounds are kept."
        sys.exit(_complain(f"Out of memory ({type(error).__name__}). {advice}", status=1))
    except _worker_lost() as error:
        advice = "Finished rounds are kept; run the same command again in all workers."
        sys.exit(_complain(f"Another worker is gone ({type(error).__name__}). {advice}", status=1))
    except BrokenPipeError:
        # Whoever read stdout has left; Python would complain once more on closing it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        sys.exit(_complain(f"{error.strerror or error}{place}. {_KEPT}", status=1))
    except KeyboardInterrupt as error:
        number = error.number if isinstance(error, Stopped) else Stopped().number
        sys.exit(_complain(last_words(number), status=128 + number))


_KEPT = "Finished rounds are kept; mend this and run the same command again."


def _is_of_the_disk(error) -> bool:
    """Return whether TensorFlow means the disk by what it calls exhausted."""
    return any(words in str(error) for words in ("No space left", "quota exceeded"))


def _out_of_memory() -> tuple:
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


def _worker_lost() -> tuple:
    tensorflow = sys.modules.get("tensorflow")
    names = ("UnavailableError", "DeadlineExceededError")
    return tuple(getattr(tensorflow.errors, name) for name in names) if tensorflow else ()


def _complain(message, status):
    print_error(f"error: {' '.join(message.split())}")
    return status
