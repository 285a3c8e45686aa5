"""Files that are whole or absent, and that show when they were damaged."""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil

from tf_tickets.errors import FileError, SettingError


def as_text_path(path: str | os.PathLike, name: str = "path") -> pathlib.Path:
    """Return a path as `as_path` does; SettingError also if it is no text in UTF-8.

    TensorFlow takes no other.
    """
    found = as_path(path, name)
    try:
        str(found).encode()
        return found
    except UnicodeEncodeError as error:
        raise SettingError(
            f"`{name}` must be text in UTF-8 for TensorFlow. Received: {str(found)!a}"
        ) from error


def as_path(path: str | os.PathLike, name: str = "path") -> pathlib.Path:
    """Return a path as a `pathlib.Path`.

    Args:
        path: as text, or what stands for a path.
        name: of the argument, for the message.

    Raises:
        SettingError: if it is neither, or holds the character that ends a path.
    """
    try:
        found = pathlib.Path(path)
        if "\0" not in str(found):
            return found
    except TypeError:
        pass
    raise SettingError(f"`{name}` must be a path, as text or a pathlib.Path. Received: {path!r}")


def write_whole(path, content: bytes) -> None:
    """Write a file so that every reader sees all of it or none, also after a crash.

    An existing file is replaced. Raises OSError where the disk is full or not writable, and
    SettingError if `path` is none.
    """
    path = as_path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None  # not that of a moment
        raise
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def write_whole_folder(path):
    """Make a folder so that every reader sees all of it or none; an existing one is replaced.

    Yields:
        The temporary folder, beside the target, to write into.
    """
    path = pathlib.Path(path)
    partial, replaced = (
        path.with_name(f".{path.name}.{state}") for state in ("partial", "replaced")
    )
    for left_over in (partial, replaced):
        remove(left_over)
    partial.mkdir(parents=True)
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                with open(file, "rb") as opened:
                    os.fsync(opened.fileno())
        if os.path.lexists(path):
            os.rename(path, replaced)  # whole: removing it in place would show half of it
        os.rename(partial, path)
    finally:
        for left_over in (partial, replaced):
            remove(left_over)
    _sync_folder(path.parent)


def remove(path) -> None:
    """Remove a folder with all that is in it, a file, or a link and not what it leads to.

    What is not there, or cannot be removed, is left to whoever writes in its place.
    """
    path = pathlib.Path(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


def sha256_of(path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_arrays(arrays: dict) -> str:
    """Return the SHA-256 of arrays and their names, in whatever order."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape} ".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def sha256_of_json(value) -> str:
    """Return the SHA-256 of what a value is in JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write_sealed_json(path, content: dict) -> None:
    """Write a JSON file that carries the SHA-256 of its own content."""
    write_whole(path, _sealed(content))


def _sealed(content) -> bytes:
    sealed = {**content, "sha256": sha256_of_json(content)}
    return (json.dumps(sealed, indent=2) + "\n").encode()


def read_sealed_json(path) -> dict:
    """Return what `write_sealed_json` wrote.

    Raises:
        FileError: if the file is missing, cannot be read, or was changed since; it is named.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "sha256" not in content:
        raise FileError(f"{path} is damaged: it is not the JSON that was written.")
    content = unsealed(path, content)
    # Also what means nothing to JSON: the SHA-256 of a whole file may be noted elsewhere.
    if pathlib.Path(path).read_bytes() != _sealed(content):
        raise FileError(f"{path} is damaged: it is not written as it was.")
    return content


def unsealed(path, content):
    """Return what was read of a JSON file without its SHA-256, if it has one.

    Raises:
        FileError: if that is of other content.
    """
    if not isinstance(content, dict) or "sha256" not in content:
        return content
    rest = {name: value for name, value in content.items() if name != "sha256"}
    if content["sha256"] != sha256_of_json(rest):
        raise FileError(f"{path} is damaged: its content does not match its SHA-256.")
    return rest


def read_json(path):
    """Return the value in a JSON file.

    Raises:
        FileError: if the file is missing, cannot be read, or holds no JSON; it is named.
    """
    try:
        return json.loads(pathlib.Path(path).read_bytes())
    except OSError as error:
        raise FileError(f"Cannot read {path}: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # not JSON, no text, or nested too deeply
        raise FileError(f"{path} is damaged: it is not the JSON that was written.") from error


def _sync_folder(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
