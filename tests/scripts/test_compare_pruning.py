import json
import pathlib
import runpy
import signal
import subprocess
import time

import pytest

SCRIPT = {"script": "compare_pruning.py"}


class Stopped(Exception):
    """Ends a script after it has made its runs."""


@pytest.fixture
def commands_of(monkeypatch):
    """Return the commands of find_tickets.py that compare_pruning.py gives, by way."""

    def find(*options):
        path = pathlib.Path(__file__).parents[2] / "scripts" / SCRIPT["script"]
        main = runpy.run_path(str(path), run_name="imported")["main"]
        given = []

        def note(command, **_):
            given.append(command[2:])
            return subprocess.CompletedProcess(command, 0, '{"run": "a-run"}')

        def stop():
            raise Stopped

        monkeypatch.setattr("sys.argv", [path.name, *options])
        monkeypatch.setattr("subprocess.run", note)
        monkeypatch.setattr("tf_tickets.lab.commands.common.start_tensorflow", stop)
        with pytest.raises(Stopped):
            main()
        return given

    return find


def chosen(command, option):
    return command[command.index(option) + 1]


def test_each_way_is_run_once(commands_of):
    made = commands_of("--methods", "snip", "early-bird", "imp", "--rounds", "3")
    assert [chosen(command, "--method") for command in made] == ["snip", "early-bird", "imp"]
    assert [chosen(made[i], "--rounds") for i in (0, 2)] == ["1", "3"]
    assert float(chosen(made[0], "--rate")) == pytest.approx(1 - 0.8**3)


def test_where_all_is_mixed_one_round_is_trained_beside_the_unpruned_network(commands_of):
    unpruned, mixed = commands_of("--methods", "early-bird-mixed")
    assert (chosen(unpruned, "--method"), chosen(unpruned, "--rounds")) == ("imp", "1")
    assert (chosen(unpruned, "--precision"), chosen(mixed, "--precision")) == ("float32", "auto")


@pytest.mark.slow
def test_ways_are_compared_and_found_done_the_second_time(run_script, tmp_path):
    options = [
        *"--model dcgan-shared --width 4 --limit 128 --batch-size 32 --epochs 4".split(),
        *"--rounds 2 --channel-sparsity 0.5 --seeds 0 --rewind-step 4 --retries 1".split(),
        *"--json --output".split(),
        tmp_path,
    ]
    ran = run_script(*options, **SCRIPT)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout.splitlines()[-1])
    assert [row["method"] for row in rows] == [
        *("unpruned", "imp", "imp", "early-bird", "early-bird-global", "early-bird-mixed"),
        *("snip", "grasp", "synflow"),
    ]
    by_method = {row["method"]: row for row in rows}
    whole = by_method["unpruned"]
    for name, row in by_method.items():
        if name.startswith("early-bird"):
            assert row["training_flops"] < whole["training_flops"]
            assert row["weights"] < whole["weights"]
        elif name in ("snip", "grasp", "synflow"):
            assert row["training_flops"] > whole["training_flops"]  # K53: masks save none
        assert row["peak_memory_bytes"] > 1e8 and row["seconds"] > 0
    (folder,) = tmp_path.glob("compare-dcgan-shared-digits-*")
    assert json.loads((folder / "compare.json").read_text()) == rows
    assert "early-bird-mixed" in (folder / "compare.md").read_text()
    assert (folder / "figures" / "compare.png").exists()
    done = finished_stages(tmp_path)
    assert len(done) == 7 + 8
    assert run_script(*options, **SCRIPT).returncode == 0
    fewer = run_script(*options, "--methods", "imp", "--rounds", "1", **SCRIPT)
    assert fewer.returncode == 0, fewer.stderr
    asked = json.loads(fewer.stdout.splitlines()[-1])
    assert [row["values"] for row in asked] == [row["values"] for row in rows[:2]]
    assert finished_stages(tmp_path) == done


def finished_stages(output):
    return {path: path.stat().st_mtime_ns for path in output.glob("*/seed-0/**/done.json")}


@pytest.mark.slow
def test_killed_it_goes_on_where_it_stopped(start_script, run_script, tmp_path):
    options = [
        *"--model dcgan-shared --width 4 --limit 128 --batch-size 32 --epochs 4 --seeds 0".split(),
        *"--methods snip early-bird --rounds 1 --channel-sparsity 0.5 0.7 --json".split(),
        *("--output", tmp_path),
    ]
    process = start_script(*options, **SCRIPT)
    while process.poll() is None and len(finished_stages(tmp_path)) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = finished_stages(tmp_path)
    assert 3 <= len(done) < 2 + 3
    ran = run_script(*options, **SCRIPT)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout.splitlines()[-1])
    assert [row["method"] for row in rows] == ["unpruned", "snip", "early-bird", "early-bird"]
    after = finished_stages(tmp_path)
    assert len(after) == 2 + 3 and after.items() > done.items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--precision", "mixed_bfloat16"], "argument --precision: is float32"),
        (["--rounds", "0"], "argument --rounds: must be at least 1"),
        (["--channel-sparsity", "0.5", "1"], "argument --channel-sparsity: must be rising"),
        (["--methods", "lasso"], "argument --methods"),
        (["--seeds", "1", "1"], "argument --seeds"),
    ],
)
def test_bad_options_are_one_line(run_script, options, message):
    ran = run_script(*options, **SCRIPT)
    assert ran.returncode == 2
    assert message in ran.stderr.splitlines()[-1]


def test_a_way_that_fails_ends_it_with_its_reason(run_script, tmp_path):
    ran = run_script("--limit", "8", "--output", tmp_path, **SCRIPT)
    assert ran.returncode == 1
    complaints = [line for line in ran.stderr.splitlines() if ": error: " in line]
    assert complaints[0].startswith("find_tickets.py") and complaints[-1].endswith("see above.")
    assert not list(tmp_path.glob("compare-*"))
