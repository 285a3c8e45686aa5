"""One bit flipped at every byte of every kind of file that a small run leaves.

What is sealed, or carries a checksum, is opened once for each flip. What is only written, such as
figures, is read by nothing here: all of its bytes are flipped at once, and it is written anew.
"""

import collections
import pathlib
import shutil

import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.errors import FileError
from tf_tickets.runs.stages import checked_sources, read_seal

OPTIONS = "--model vae --image-size 8 --width 1 --rounds 1 --limit 64 --epochs 2".split()
OPTIONS += "--batch-size 16 --seeds 0 --rewind-step 1 --precision float32 --json".split()
OF_A_STAGE = ("done.json", "result.json", "rewind", "ticket", "trained", "samples.png")
IN_FOLDERS = ("winning_ticket", "export", "figures", "tensorboard")
ALONE = ("run.json", "config.json", "results.jsonl", "real.png", "page.html")
KINDS = (*OF_A_STAGE, *IN_FOLDERS, *ALONE)
ONLY_WRITTEN = ("figures", "real.png", "page.html")
# By default one flip in each kind of file is made in test_faults.py.
pytestmark = pytest.mark.slow


def kind_of(run, file):
    """Return which kind of file of a run this is."""
    first, *inside = file.relative_to(run).parts
    if first in IN_FOLDERS or not inside:
        return first
    return file.name.removesuffix(".safetensors")


def files_of(run):
    """Return the files of a run that hold something, by kind."""
    files = collections.defaultdict(list)
    for file in sorted(run.rglob("*")):
        if file.is_file() and file.stat().st_size:
            files[kind_of(run, file)].append(file)
    return files


@pytest.fixture(scope="module")
def made(run_here, outcome_of, tmp_path_factory):
    """Return a small run."""
    ran = run_here(*OPTIONS, "--output", tmp_path_factory.mktemp("made"))
    return pathlib.Path(outcome_of(ran)["run"])


@pytest.fixture
def run(made, tmp_path):
    """Return a copy of it."""
    return pathlib.Path(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture
def again(run_here, outcome_of, run):
    """Run the same command again; return what it says on stderr."""

    def call():
        ran = run_here(*OPTIONS, "--output", run.parent)
        assert outcome_of(ran)["run"] == str(run) and "Traceback" not in ran.stderr
        return ran.stderr

    return call


def opened(run, file):
    """Return what a reader finds where this file is a part of it.

    Raises:
        FileError: if it is damaged; DataLossError of TensorFlow, if it is a log of TensorBoard.
    """
    kind = kind_of(run, file)
    if kind == "run.json":
        return tt.read_settings(run), tt.read_origin(run)
    if kind == "config.json":
        found = tt.lab.Run.open(run)
        return found.config, found.metric, tt.lab.read_config(run)
    if kind == "results.jsonl":
        return list(tt.read_results(file))
    if kind == "tensorboard":
        return list(tf.compat.v1.io.tf_record_iterator(str(file)))
    stage = next(folder for folder in file.parents if (folder / "done.json").exists())
    # What seals all others is looked at alone, so that thousands of bytes take no minutes.
    return read_seal(stage) if file.name == "done.json" else checked_sources(stage)


def flips(file):
    """Flip one bit of one byte after another, each for a moment: place, bit."""
    with open(file, "r+b", buffering=0) as opened:
        for place, byte in enumerate(file.read_bytes()):
            bit = 1 << place % 8
            for value in (byte ^ bit, byte):
                opened.seek(place)
                opened.write(bytes([value]))
                if value != byte:
                    yield place, bit


def test_these_are_all_kinds_of_files(made):
    assert set(files_of(made)) == set(KINDS)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ONLY_WRITTEN])
def test_a_bit_flipped_at_any_byte_is_named_or_harmless(kind, run, record_property):
    counts = collections.Counter()
    for file in files_of(run)[kind]:
        expected = repr(opened(run, file))
        for place, bit in flips(file):
            try:
                assert repr(opened(run, file)) == expected, (file, place, bit)
                counts["harmless"] += 1
            except FileError as error:
                assert str(file) in str(error) and "\n" not in str(error)
                counts["named"] += 1
            except tf.errors.DataLossError:
                counts["named by TensorFlow"] += 1
    record_property("counts", dict(counts))
    print(kind, dict(counts))
    assert sum(counts.values()) == sum(file.stat().st_size for file in files_of(run)[kind])
    # Where a space may stand in JSON that has no seal, and its lines are compared with the stages.
    assert not counts["harmless"] or kind in ("config.json", "results.jsonl")


def test_what_is_only_written_is_written_anew_whatever_its_bytes_are(run, again):
    written = [file for kind in ONLY_WRITTEN for file in files_of(run)[kind]]
    again()
    expected = {file: file.read_bytes() for file in written}
    for file in written:
        file.write_bytes(bytes(255 - byte for byte in expected[file]))
    again()
    assert {file: file.read_bytes() for file in written} == expected


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("part", [0.3, 0.999])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "tensorboard"])
def test_the_command_mends_a_bit_flipped_in_each_kind_of_file(kind, part, run, again):
    whole = {file: file.read_bytes() for file in comparable(run)}
    for file in files_of(run)[kind]:
        content = bytearray(file.read_bytes())
        content[int(part * len(content))] ^= 1 << int(part * 7)
        file.write_bytes(content)
    told = again()
    assert "damaged" in told or kind in (*ONLY_WRITTEN, "results.jsonl", "config.json")
    assert {file: file.read_bytes() for file in comparable(run)} == whole


def comparable(run):
    """Return the files whose bytes a training decides, or that say what was asked for."""
    kinds = files_of(run)
    names = ("rewind", "ticket", "trained", "samples.png", "winning_ticket", "real.png")
    found = [file for kind in names for file in kinds[kind] if file.name != "done.json"]
    return [*found, *kinds["run.json"], *kinds["config.json"]]
