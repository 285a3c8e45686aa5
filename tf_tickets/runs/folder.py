"""A run folder: finished stages that stay whole, and one process at a time."""

import contextlib
import glob
import json
import os
import pathlib
import shutil
import warnings
from collections.abc import Iterable

import filelock

from tf_tickets.errors import FileError, SettingError, check_json
from tf_tickets.files import (
    as_path,
    read_json,
    read_sealed_json,
    remove,
    sha256_of,
    sha256_of_json,
    write_sealed_json,
    write_whole,
    write_whole_folder,
)
from tf_tickets.runs.paths import DONE, LOCK, RESULTS, RUN
from tf_tickets.runs.stages import as_line, checked_sources, hashes, read_records, seal_files


class RunFolder:
    """The folder of one run, made of stages that are each written whole.

    A stage is a folder whose `done.json` holds the SHA-256 of its files and of the stages that it
    was made from. One whose hashes agree is never made again; any other is. So a run that was
    broken off, or whose files were damaged, is mended by running the same command again.

        run.json          every setting that changes the result, and who made the run
        results.jsonl     one line per evaluated ticket, made of the stages anew after each of them
        seed-0/...        the stages

    Args:
        path: the folder; made if absent.
        settings: what changes the result, as JSON can hold it.
        origin: what else is worth noting of the command and machine that made the folder.

    Raises:
        SettingError: if `path` is none, or JSON cannot hold `settings` or `origin`; later, if it is
            to write to the folder, and is not entered.
        FileError: on entering, if another process works in the folder, if it belongs to other
            settings, or if it cannot be written.
    """

    def __init__(self, path, settings: dict, origin: dict | None = None):
        self.path = as_path(path)
        check_json("settings", settings)
        self._origin = {} if origin is None else origin
        check_json("origin", self._origin)
        # As they come back from run.json: a tuple as a list.
        self.settings = json.loads(json.dumps(settings))
        self._lock = filelock.FileLock(self.path / LOCK)
        self._is_entered = False

    @classmethod
    def named(cls, parent, name: str, settings: dict, origin: dict | None = None) -> "RunFolder":
        """Return the folder for these settings within `parent`: a readable name and a hash."""
        check_json("settings", settings)
        path = as_path(parent, "parent") / f"{name}-{_short_hash(settings)}"
        return cls(path, settings, origin)

    def __enter__(self):
        if self._is_entered:
            raise SettingError(f"The run folder {self.path} is entered already.")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise FileError(
                f"Another process is working in {self.path}. Wait for it, or choose another folder."
            ) from error
        except OSError as error:
            raise FileError(
                f"Cannot write to {self.path}: {error.strerror}. Choose another folder."
            ) from error
        try:
            self._remove_left_overs()
            self._check_settings()
        except (FileError, OSError):
            self._lock.release()
            raise
        self._is_entered = True
        return self

    def __exit__(self, *exception):
        self._is_entered = False
        self._lock.release()

    def check_entered(self) -> None:
        """Raise SettingError unless this process holds the folder, and so may write to it."""
        if not self._is_entered:
            raise SettingError(
                f"The run folder {self.path} is not entered, so another process could write there "
                "too: use it in `with folder:`."
            )

    def _remove_left_overs(self):
        # What a killed process was writing; with the lock held, nobody else writes here.
        for partial in self.path.rglob(".*.partial"):
            if partial.is_file():
                partial.unlink()

    def _check_settings(self):
        if not (self.path / RUN).exists():
            self._write_settings()
        try:
            found = read_settings(self.path)
        except FileError as error:
            if not self._is_known_by_other_signs():
                raise FileError(
                    f"{error} Choose another folder, or delete the file if the folder's stages are "
                    "of these settings."
                ) from error
            warnings.warn(f"{error} It is written anew, as it is of these settings.", stacklevel=3)
            self._write_settings()
            found = self.settings
        if sha256_of_json(found) != sha256_of_json(self.settings):  # in which NaN equals itself
            raise FileError(
                f"{self.path} holds a run of other settings (see its run.json). "
                "Choose another folder."
            )

    def _write_settings(self):
        path = self.path / RUN
        write_sealed_json(path, {"settings": self.settings, "origin": self._origin})

    def _is_known_by_other_signs(self) -> bool:
        """Return whether a folder with a damaged run.json is of these settings all the same.

        Its name has their hash, or it is the rest of the file that is damaged.
        """
        if self.path.name.endswith(f"-{_short_hash(self.settings)}"):
            return True
        try:
            content = read_json(self.path / RUN)
        except FileError:
            return False
        return isinstance(content, dict) and content.get("settings") == self.settings

    def copied_to(self, path) -> "RunFolder":
        """Return a run folder at another path that begins with the stages that are done here."""
        for done in seal_files(self.path):
            stage = done.parent.relative_to(self.path)
            shutil.copytree(done.parent, pathlib.Path(path) / stage)
        return RunFolder(path, self.settings, self._origin)

    @property
    def digest(self) -> str:
        """The SHA-256 of the settings and of all stages that are done."""
        seals = {
            file.parent.relative_to(self.path).as_posix(): sha256_of(file)
            for file in seal_files(self.path)
        }
        return sha256_of_json({"settings": self.settings, "stages": seals})

    @contextlib.contextmanager
    def stage(self, name: str, made_from=()):
        """Make one stage: yields the folder to write into, and seals it.

        Args:
            name: the stage's path within the run, such as "seed-0/round-03/winning".
            made_from: names of the stages that this one was computed from.

        Raises:
            SettingError: if the folder is not entered, or the name leads out of it.
            FileError: if a stage that it is made from is not there.
        """
        self.check_entered()
        _check_name(name)
        self._clear_way_to(name)
        with write_whole_folder(self.path / name) as folder:
            yield folder
            write_sealed_json(
                folder / DONE,
                {"files": hashes(folder), "made_from": self._seals(made_from)},
            )

    def _clear_way_to(self, name):
        """Remove a file that is in the place of a folder which a stage is in."""
        for parent in (self.path / name).relative_to(self.path).parents:
            place = self.path / parent
            if os.path.lexists(place) and not place.is_dir():
                warnings.warn(f"{place} is in the way of {name}: it is removed.", stacklevel=4)
                remove(place)

    def is_done(self, name: str, made_from=()) -> bool:
        """Return whether a stage is there, undamaged, and made from the stages as they are now.

        One that is not is removed, and named in a warning if it is damaged: a flipped bit, a
        missing file, or a file or a link that leads nowhere in its place.

        Raises:
            SettingError, FileError: as `stage` does.
        """
        self.check_entered()
        _check_name(name)
        folder = self.path / name
        if not os.path.lexists(folder):
            return False
        try:
            up_to_date = checked_sources(folder) == self._seals(made_from)
        except FileError as error:
            warnings.warn(f"{error} The stage {name} is made again.", stacklevel=2)
            up_to_date = False
        if not up_to_date:
            remove(folder)
        return up_to_date

    def _seals(self, stages):
        try:
            return {stage: sha256_of(self.path / stage / DONE) for stage in stages}
        except FileNotFoundError as error:
            raise FileError(
                f"What a stage is to be made from is not there: {error.filename}."
            ) from error

    def write_results(self) -> None:
        """Write results.jsonl anew: a line for each finished stage that is a training's.

        So a run that asks for less, or is broken off, loses none, and a damaged file is mended. A
        stage whose record is damaged is removed with a warning, as by `is_done`.

        Raises:
            SettingError: if the folder is not entered.
        """
        self.check_entered()
        lines = map(as_line, read_records(self.path, self._remove_damaged))
        write_whole(self.path / RESULTS, "".join(lines).encode())

    def _remove_damaged(self, stage, error):
        name = stage.relative_to(self.path).as_posix()
        warnings.warn(f"{error} The stage {name} is removed; it can be made again.", stacklevel=4)
        remove(stage)


def _check_name(name):
    """Refuse a stage that would be outside of its run, or all of it."""
    parts = pathlib.PurePath(name).parts if isinstance(name, str) else ()
    if not parts or ".." in parts or pathlib.PurePath(name).is_absolute():
        raise SettingError(f"`name` must be a path within the run. Received: name={name!r}")


def _short_hash(settings) -> str:
    return sha256_of_json(settings)[:8]


def read_settings(path) -> dict:
    """Return the settings of the run in a folder.

    Args:
        path: the run folder.

    Raises:
        FileError: if there is no run, or its run.json is damaged.
    """
    return _read_run(path)["settings"]


def find_run(
    parent, name: str, settings: dict, apart_from: str, guesses: Iterable = ()
) -> dict | None:
    """Return the settings of a run that has these apart from one, or None if there is none.

    Args:
        parent: the folder that holds run folders.
        name: what they are called, before a hash.
        settings: that have to be the same.
        apart_from: the name of the setting that may be any. It is not in `settings`.
        guesses: what its value may be if run.json is damaged: the hash in the folder's name tells.
    """
    wanted = json.loads(json.dumps(settings))
    for path in sorted(pathlib.Path(parent).glob(f"{glob.escape(name)}-*")):
        try:
            found = read_settings(path)
        except FileError:  # entering it will say so
            guessed = ({**wanted, apart_from: guess} for guess in guesses)
            found = next((g for g in guessed if path.name == f"{name}-{_short_hash(g)}"), {})
        if found.get(apart_from) is not None and found == {**wanted, apart_from: found[apart_from]}:
            return found
    return None


def read_origin(path) -> dict:
    """Return what else is noted of the command and machine that made the run in a folder.

    Args:
        path: the run folder.

    Raises:
        FileError: as `read_settings` does.
    """
    return _read_run(path)["origin"]


def _read_run(path):
    path = as_path(path) / RUN
    if not path.exists():
        raise FileError(f"{path.parent} holds no run: it has no run.json.")
    content = read_sealed_json(path)
    if not all(isinstance(content.get(name), dict) for name in ("settings", "origin")):
        raise FileError(f"{path} is damaged: it does not say of which settings the run is.")
    return content
