"""What happens to a run when the machine does its worst; each by really doing it."""

import json
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import time

import pytest

import tf_tickets as tt
from tf_tickets.files import read_sealed_json, write_sealed_json

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "find_tickets.py"
OPTIONS = "--model linear-ae --limit 64 --rounds 3 --epochs 2 --batch-size 32".split()
OPTIONS += "--rewind-step 1 --seeds 0 --precision float32 --json".split()


def run_of(ran):
    assert ran.returncode == 0, ran.stderr
    return pathlib.Path(json.loads(ran.stdout.splitlines()[-1])["run"])


def bits(run):
    """Return what must be the same bit for bit: tickets, weights, samples and the SavedModel."""
    files = [*run.rglob("*.safetensors"), *run.rglob("samples.png")]
    return {file.relative_to(run).as_posix(): file.read_bytes() for file in files}


def results(run):
    """Return the results without the time that they took."""
    records = tt.read_results(run / "results.jsonl")
    return [{**record, "seconds": None} for record in records]


@pytest.fixture(scope="module")
def uninterrupted(run_script, tmp_path_factory):
    return run_of(run_script(*OPTIONS, "--output", tmp_path_factory.mktemp("whole")))


def kill_once(start_script, output, num_files, delay):
    """Kill a run some time after it has so many files; return whether it was still running."""
    process = start_script(*OPTIONS, "--output", output)
    while process.poll() is None and len(list(output.rglob("*.*"))) < num_files:
        time.sleep(0.002)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


@pytest.mark.parametrize(
    "moments",
    [
        [(4, 0.01), (20, 0.003), (30, 0.02)],
        pytest.param(
            [(1, 0.0), (2, 0.1), (8, 0.0), (12, 0.0), (16, 0.05), (24, 0.0), (34, 0.0), (40, 0.1)],
            marks=pytest.mark.slow,
        ),
    ],
    ids=["three", "eight"],
)
def test_killed_at_many_moments_it_ends_with_the_same_bits(
    moments, start_script, run_script, uninterrupted, tmp_path
):
    killed = [kill_once(start_script, tmp_path, *moment) for moment in moments]
    assert sum(killed) >= len(moments) - 1
    run = run_of(run_script(*OPTIONS, "--output", tmp_path))
    assert bits(run) == bits(uninterrupted)
    assert results(run) == results(uninterrupted)
    assert not list(run.rglob("*.partial"))


@pytest.mark.slow
def test_two_processes_on_one_run_do_not_meet(start_script, run_script, uninterrupted, tmp_path):
    first = start_script(*OPTIONS, "--output", tmp_path)
    while first.poll() is None and not list(tmp_path.rglob("done.json")):
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    second = run_script(*OPTIONS, "--output", tmp_path)
    first.send_signal(signal.SIGCONT)
    out, _ = first.communicate(timeout=300)
    assert second.returncode == 1
    assert "Another process" in second.stderr and second.stderr.count("\n") == 1
    assert bits(pathlib.Path(json.loads(out.splitlines()[-1])["run"])) == bits(uninterrupted)


def test_a_flipped_byte_in_any_kind_of_file_is_found_and_mended(
    run_script, uninterrupted, tmp_path
):
    run = pathlib.Path(shutil.copytree(uninterrupted, tmp_path / uninterrupted.name))
    stage = run / "seed-0" / "round-02" / "winning"
    kinds = sorted(stage.iterdir()) + sorted((run / "export").rglob("*.pb"))
    assert {file.name for file in kinds} >= {"done.json", "result.json", "ticket.safetensors"}
    for file in kinds:
        flip(file)
    again = run_script(*OPTIONS, "--output", tmp_path)
    assert "winning" in again.stderr and "damaged" in again.stderr
    assert bits(run_of(again)) == bits(uninterrupted)
    assert results(run) == results(uninterrupted)


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def test_a_run_folder_of_other_settings_is_refused(run_script, uninterrupted, tmp_path):
    copy = tmp_path / uninterrupted.name
    copy.mkdir()
    content = read_sealed_json(uninterrupted / "run.json")
    other = {**content["settings"], "rate": 0.5}
    write_sealed_json(copy / "run.json", {**content, "settings": other})
    ran = run_script(*OPTIONS, "--output", tmp_path)
    assert ran.returncode == 1
    assert "other settings" in ran.stderr and ran.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_room_lets_it_go_on(run_script, uninterrupted, tmp_path):
    # The largest file that may be written, after which writing fails as on a full disk.
    limited = subprocess.run(
        [
            sys.executable,
            "-c",
            "import resource, runpy, signal, sys;"
            "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            f"resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, {resource.RLIM_INFINITY}));"
            f"sys.argv = {[str(SCRIPT), *OPTIONS, '--output', str(tmp_path)]!r};"
            "runpy.run_path(sys.argv[0], run_name='__main__')",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 1
    assert limited.stderr.count("\n") == 1 and "run the same command again" in limited.stderr
    assert bits(run_of(run_script(*OPTIONS, "--output", tmp_path))) == bits(uninterrupted)
