import json
import signal
import time

import pytest

SCRIPT = {"script": "compare_pruning.py"}


@pytest.mark.slow
def test_ways_are_compared_and_found_done_the_second_time(run_script, tmp_path):
    options = [
        *"--model dcgan-shared --width 4 --limit 128 --batch-size 32 --epochs 4".split(),
        *"--rounds 1 --channel-sparsity 0.5 --seeds 0 --rewind-step 4 --retries 1".split(),
        *"--json --output".split(),
        tmp_path,
    ]
    ran = run_script(*options, **SCRIPT)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout.splitlines()[-1])
    assert [row["method"] for row in rows] == [
        *("unpruned", "imp", "early-bird", "early-bird-mixed", "snip", "grasp", "synflow")
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
    assert len(done) == 6 + 6
    assert run_script(*options, **SCRIPT).returncode == 0
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
