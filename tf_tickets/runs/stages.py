"""The finished stages of a run folder: whether they are as they were sealed, and their records."""

import json
import pathlib
from collections.abc import Callable

from tf_tickets.errors import FileError
from tf_tickets.files import read_json, read_sealed_json, sha256_of
from tf_tickets.runs.paths import DONE, JUDGED, RESULT


def seal_files(folder) -> list[pathlib.Path]:
    """Return the done.json of every finished stage of a run folder.

    What is being written, or was by a killed process, has a dot before its name.
    """
    folder = pathlib.Path(folder)
    files = sorted(folder.rglob(DONE))
    return [f for f in files if not any(p[0] == "." for p in f.relative_to(folder).parts)]


def read_seal(stage: pathlib.Path) -> dict:
    """Return what was sealed of a stage: `files` and `made_from`, each name -> SHA-256.

    Raises:
        FileError: if its done.json is missing or damaged.
    """
    done = read_sealed_json(stage / DONE)
    if not all(isinstance(done.get(name), dict) for name in ("files", "made_from")):
        raise FileError(f"{stage / DONE} is damaged: it does not say what was sealed.")
    return done


def checked_sources(stage: pathlib.Path) -> dict:
    """Return the seals of the stages that one was made from, its own files being as sealed.

    Raises:
        FileError: if one is not; the message names it.
    """
    done, found = read_seal(stage), hashes(stage)
    for file in {**done["files"], **found}:
        if done["files"].get(file) != found.get(file):
            raise FileError(f"{stage / file} is damaged: its SHA-256 is not that in done.json.")
    return done["made_from"]


def hashes(stage: pathlib.Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a stage, by its path there, but of its done.json."""
    return {
        file.relative_to(stage).as_posix(): sha256_of(file)
        for file in sorted(stage.rglob("*"))
        if file.is_file() and file != stage / DONE
    }


def read_records(folder, damaged: Callable[[pathlib.Path, FileError], None] | None = None) -> list:
    """Return the record of each finished stage that is a training's, in order.

    They come from the stages themselves, each checked by its seal. What judged a stage in another
    way adds to its record, as long as the stage is what was judged.

    Args:
        folder: the run folder.
        damaged: is called with a stage whose record is damaged, and why; None to raise it.

    Raises:
        FileError: if a record is damaged; the message names it.
    """
    folder = pathlib.Path(folder)
    records, judged = {}, []
    for file in seal_files(folder):
        try:
            seal = read_seal(file.parent)
            record = _record(file.parent, seal)
        except FileError as error:
            if damaged is None:
                raise FileError(f"{error} Run the command that made the run again.") from error
            damaged(file.parent, error)
            continue
        if record is None:
            continue
        if file.relative_to(folder).parts[0] != JUDGED:
            records[key_of(record)] = record
        elif all(_seal_of(folder / name) == sha256 for name, sha256 in seal["made_from"].items()):
            judged.append(record)
    for record in judged:
        if key_of(record) in records:
            records[key_of(record)] = _merged(records[key_of(record)], record)
    return in_order(records.values())


def _record(stage, seal) -> dict | None:
    """Return the record of a stage; None if it is no training's."""
    file = stage / RESULT
    if RESULT not in seal["files"]:
        return None
    if not file.is_file() or sha256_of(file) != seal["files"][RESULT]:
        raise FileError(f"{file} is damaged: its SHA-256 is not that in done.json.")
    record = read_json(file)
    return record if is_record(record) else None


def is_record(value) -> bool:
    """Return whether a value can be a line of results.jsonl."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(name), int) for name in ("seed", "round"))
        and isinstance(value.get("arm"), str)
        and isinstance(value.get("metrics", {}), dict)
    )


def key_of(record: dict) -> tuple[int, int, str]:
    """Return what tells the stage of a record from all others."""
    return record["seed"], record["round"], record["arm"]


def as_line(record: dict) -> str:
    """Return a record as its line of results.jsonl, with the end of the line."""
    return json.dumps(record) + "\n"


def _seal_of(stage):
    return sha256_of(stage / DONE) if (stage / DONE).is_file() else None


def _merged(record, judging):
    judged = {**record.get("judged", {}), **judging.get("judged", {})}
    return {**record, "judged": judged} if judged else record


def in_order(records) -> list[dict]:
    """Return records by seed and round, dense first, then the ticket before its controls.

    Their names in reverse are in that order, which needs no list of arms.
    """
    by_arm = sorted(records, key=lambda r: r["arm"], reverse=True)
    return sorted(by_arm, key=lambda r: (r["seed"], r["round"], r["arm"] != "dense"))
