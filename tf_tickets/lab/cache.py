"""The folder in which is kept what takes long to find and is the same for many runs."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

from tf_tickets.errors import FileError


@contextlib.contextmanager
def in_cache_folder(
    what: str, cache_dir: str | os.PathLike | None = None
) -> Iterator[pathlib.Path]:
    """Make the cache folder, give it, and say what to do if it cannot be used.

    Args:
        what: is kept there, for the message.
        cache_dir: the folder. By default that which the environment variable `TF_TICKETS_CACHE`
            names, else `tf_tickets` in the user's cache folder.

    Raises:
        FileError: if the folder cannot be read or written.
    """
    folder = pathlib.Path(_default_folder(what) if cache_dir is None else cache_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        raise FileError(
            f"Cannot keep {what} in {folder}: {error.strerror or error}. Set the environment "
            "variable TF_TICKETS_CACHE to a folder that can be written, with some room."
        ) from error


def _default_folder(what) -> pathlib.Path:
    if os.environ.get("TF_TICKETS_CACHE"):
        return pathlib.Path(os.environ["TF_TICKETS_CACHE"])
    if os.environ.get("XDG_CACHE_HOME"):
        return pathlib.Path(os.environ["XDG_CACHE_HOME"]) / "tf_tickets"
    try:
        return pathlib.Path.home() / ".cache" / "tf_tickets"
    except RuntimeError as error:  # neither HOME nor a user of that number
        raise FileError(
            f"There is no home folder to keep {what} in. Set the environment variable "
            "TF_TICKETS_CACHE to a folder that can be written, with some room."
        ) from error
