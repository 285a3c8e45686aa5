"""A run folder: finished stages that stay whole, and one process at a time."""

import contextlib
import json
import pathlib
import shutil
import warnings
from collections.abc import Sequence

import filelock

from tf_tickets.errors import FileError
from tf_tickets.files import (
    read_sealed_json,
    sha256_of,
    sha256_of_json,
    write_sealed_json,
    write_whole,
    write_whole_folder,
)
from tf_tickets.runs.paths import DONE, LOCK, RESULTS, RUN
from tf_tickets.runs.records import Records, read_results


class RunFolder:
    """The folder of one run, made of stages that are each written whole.

    A stage is a folder whose `done.json` holds the SHA-256 of its files and of the stages that it
    was made from. One whose hashes agree is never made again; any other is. So a run that was
    broken off, or whose files were damaged, is mended by running the same command again.

        run.json          every setting that changes the result, and who made the run
        results.jsonl     one line per evaluated ticket, rewritten whole after every stage
        seed-0/...        the stages

    Args:
        path: the folder; made if absent.
        settings: what changes the result, as JSON can hold it.
        origin: what else is worth noting of the command and machine that made the folder.

    Raises:
        FileError: on entering, if another process works in the folder, if it belongs to other
            settings, or if it cannot be written.
    """

    def __init__(self, path, settings: dict, origin: dict | None = None):
        self.path = pathlib.Path(path)
        self._origin = origin or {}
        # As they come back from run.json: a tuple as a list.
        self.settings = json.loads(json.dumps(settings))
        self._lock = filelock.FileLock(self.path / LOCK)

    @classmethod
    def named(cls, parent, name: str, settings: dict, origin: dict | None = None) -> "RunFolder":
        """Return the folder for these settings within `parent`: a readable name and a hash."""
        path = pathlib.Path(parent) / f"{name}-{sha256_of_json(settings)[:8]}"
        return cls(path, settings, origin)

    def __enter__(self):
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
        return self

    def __exit__(self, *exception):
        self._lock.release()

    def _remove_left_overs(self):
        # What a killed process was writing; with the lock held, nobody else writes here.
        for partial in self.path.rglob(".*.partial"):
            if partial.is_file():
                partial.unlink()

    def _check_settings(self):
        path = self.path / RUN
        if not path.exists():
            write_sealed_json(path, {"settings": self.settings, "origin": self._origin})
        try:
            found = read_sealed_json(path)
        except FileError as error:
            raise FileError(
                f"{error} Choose another folder, or delete the file if the folder's stages are "
                "of these settings."
            ) from error
        if found["settings"] != self.settings:
            raise FileError(
                f"{self.path} holds a run of other settings (see its run.json). "
                "Choose another folder."
            )

    def copied_to(self, path) -> "RunFolder":
        """Return a run folder at another path that begins with the stages that are done here."""
        for done in self._seal_files():
            stage = done.parent.relative_to(self.path)
            shutil.copytree(done.parent, pathlib.Path(path) / stage)
        return RunFolder(path, self.settings, self._origin)

    @property
    def digest(self) -> str:
        """The SHA-256 of the settings and of all stages that are done."""
        seals = {
            file.parent.relative_to(self.path).as_posix(): sha256_of(file)
            for file in self._seal_files()
        }
        return sha256_of_json({"settings": self.settings, "stages": seals})

    def _seal_files(self):
        files = sorted(self.path.rglob(DONE))
        # What is being written, or was by a killed process, has a dot before its name.
        return [f for f in files if not any(p[0] == "." for p in f.relative_to(self.path).parts)]

    @contextlib.contextmanager
    def stage(self, name: str, made_from=()):
        """Make one stage: yields the folder to write into, and seals it.

        Args:
            name: the stage's path within the run, such as "seed-0/round-03/winning".
            made_from: names of the stages that this one was computed from.
        """
        with write_whole_folder(self.path / name) as folder:
            yield folder
            write_sealed_json(
                folder / DONE,
                {"files": _hashes(folder), "made_from": self._seals(made_from)},
            )

    def is_done(self, name: str, made_from=()) -> bool:
        """Return whether a stage is there, undamaged, and made from the stages as they are now.

        One that is not is removed, and named in a warning if it is damaged: a flipped bit or a
        missing file.
        """
        folder = self.path / name
        if not folder.exists():
            return False
        try:
            up_to_date = _checked_sources(folder) == self._seals(made_from)
        except FileError as error:
            warnings.warn(f"{error} The stage {name} is made again.", stacklevel=2)
            up_to_date = False
        if not up_to_date:
            shutil.rmtree(folder)
        return up_to_date

    def _seals(self, stages):
        return {stage: sha256_of(self.path / stage / DONE) for stage in stages}

    def write_results(self, records: Sequence[dict]) -> None:
        """Put one line for each record into results.jsonl, in place of an older one of its stage.

        Lines of other stages stay: a run that asks for less, or is broken off, loses none. So do
        fields that the new record lacks, and in `judged` all ways of judging.
        """
        path = self.path / RESULTS
        try:
            known = read_results(path)
        except FileError:  # not there yet, or damaged: the stages hold all of it
            known = Records()
        by_stage = {}
        for record in [*known, *records]:
            key = (record["seed"], record["round"], record["arm"])
            by_stage[key] = _merged(by_stage.get(key, {}), record)
        lines = [json.dumps(record) + "\n" for record in _in_order(by_stage.values())]
        write_whole(path, "".join(lines).encode())


def _merged(old, new):
    judged = {**old.get("judged", {}), **new.get("judged", {})}
    return {**old, **new, **({"judged": judged} if judged else {})}


def _in_order(records):
    """Return records by seed and round, dense first, then the ticket before its controls.

    Their names in reverse are in that order, which needs no list of arms.
    """
    by_arm = sorted(records, key=lambda r: r["arm"], reverse=True)
    return sorted(by_arm, key=lambda r: (r["seed"], r["round"], r["arm"] != "dense"))


def _checked_sources(folder):
    """Return the seals of the stages that one was made from, its own files being as sealed."""
    done = read_sealed_json(folder / DONE)
    found = _hashes(folder)
    for file in {**done["files"], **found}:
        if done["files"].get(file) != found.get(file):
            raise FileError(f"{folder / file} is damaged: its SHA-256 is not that in done.json.")
    return done["made_from"]


def _hashes(folder):
    return {
        file.relative_to(folder).as_posix(): sha256_of(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file != folder / DONE
    }


def read_settings(path) -> dict:
    """Return the settings of the run in a folder.

    Args:
        path: the run folder.

    Raises:
        FileError: if there is no run, or its run.json is damaged.
    """
    return _read_run(path)["settings"]


def find_run(parent, name: str, settings: dict, apart_from: str) -> pathlib.Path | None:
    """Return the folder of a run of the same settings apart from one, or None if there is none.

    Args:
        parent: the folder that holds run folders.
        name: what they are called, before a hash.
        settings: that have to be the same.
        apart_from: the name of the setting that may be any. It is not in `settings`.
    """
    wanted = json.loads(json.dumps(settings))
    for path in sorted(pathlib.Path(parent).glob(f"{name}-*")):
        try:
            found = read_settings(path)
        except FileError:  # damaged: entering it will say so
            continue
        if found.pop(apart_from, None) is not None and found == wanted:
            return path
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
    path = pathlib.Path(path) / RUN
    if not path.exists():
        raise FileError(f"{path.parent} holds no run: it has no run.json.")
    return read_sealed_json(path)
