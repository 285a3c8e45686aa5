"""What a command prints, and how it ends: TensorFlow in silence, errors of one line."""

import os
import pathlib
import sys
import warnings
from collections.abc import Callable

import rich.console

from tf_tickets.errors import DivergedError, FileError, SettingError
from tf_tickets.lab.commands.parser import in_flags
from tf_tickets.quiet import quiet_start


def new_console() -> rich.console.Console:
    """Return the console for stdout; without markup, as a path may hold brackets."""
    width = None if sys.stdout.isatty() else 110
    return rich.console.Console(width=width, markup=False, emoji=False)


def print_line(console: rich.console.Console, text: str) -> None:
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
    if strategy == "multi-worker" and os.environ.get("TF_CONFIG"):
        # TensorFlow waits in silence, and was seen to do so for more than eight minutes.
        print_error("waiting until all workers of TF_CONFIG are started")
    with quiet_start():
        import tensorflow as tf

        from tf_tickets.engines import use_threads
        from tf_tickets.strategy import resolve_strategy

        if threads is not None:
            use_threads(threads)
        resolved = resolve_strategy(strategy)
        tf.zeros(())  # the first use of a device prints too
    return resolved


def _one_line_warning(message, *_):
    print_error(f"warning: {message}")


def print_error(message: str) -> None:
    """Print one line on stderr, after the command's name."""
    print(f"{pathlib.Path(sys.argv[0]).name}: {message}", file=sys.stderr)


def exit_with_one_line(main: Callable[[], None]) -> None:
    """Run a command's main function; an error that a user can mend ends it with one line.

    Exit status 2 for a bad option, 1 for a bad file, a full disk or a training that diverged, 130
    when interrupted. Any other exception is a fault of ours and keeps its traceback.
    """
    try:
        main()
    except SettingError as error:
        sys.exit(_complain(in_flags(str(error)), status=2))
    except (FileError, DivergedError) as error:
        sys.exit(_complain(in_flags(str(error)), status=1))
    except _out_of_memory() as error:
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
        kept = "Finished rounds are kept; mend this and run the same command again."
        sys.exit(_complain(f"{error.strerror or error}{place}. {kept}", status=1))
    except KeyboardInterrupt:
        kept = "Interrupted. Finished rounds are kept; run the same command again to go on."
        sys.exit(_complain(kept, status=130))


def _out_of_memory() -> tuple:
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


def _worker_lost() -> tuple:
    tensorflow = sys.modules.get("tensorflow")
    return (tensorflow.errors.UnavailableError,) if tensorflow else ()


def _complain(message, status):
    print_error(f"error: {' '.join(message.split())}")
    return status
