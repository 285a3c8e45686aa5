import json
import signal
import time
import types

import pytest

from tests.lab.show.small_comparison import row
from tf_tickets.lab import comparison
from tf_tickets.lab.commands import compare
from tf_tickets.lab.comparison import with_tests
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.methods import IterativeMagnitude
from tf_tickets.lab.models import GanTraining
from tf_tickets.lab.ways import WAYS, configs_of

SCRIPT = {"script": "compare_pruning.py"}
SMALL = "--model dcgan-shared --width 4 --limit 128 --batch-size 32 --epochs 4 --seeds 0".split()


@pytest.fixture
def asked(monkeypatch, run_here):
    """Return the configs, the output folder and the engine that a command line leads to."""

    def find(*options):
        given = []

        def note(configs, output, console, engine):
            given.extend((configs, output, engine))
            raise KeyboardInterrupt

        monkeypatch.setattr(compare, "make", note)
        assert run_here(*options, **SCRIPT).returncode == 130
        return given

    return find


def test_each_way_is_run_once(asked):
    made, *_ = asked(*SMALL, *"--methods snip early-bird imp --rounds 3 2 3".split())
    assert [config.method.name for config in made] == ["snip", "early-bird", "imp"]
    assert [config.method.num_rounds for config in made] == [2, 2, 3]
    assert made[0].method.weight_sparsity == made[1].method.weight_sparsity == (0.36, 0.488)
    assert [config.arms for config in made] == [("winning",), ("winning", "random"), ("winning",)]
    for config in made:
        assert (config.model, config.seeds) == ("dcgan-shared", (0,))
        assert config.training == GanTraining(epochs=4, batch_size=32, width=4, precision="float32")


def test_if_all_is_mixed_one_round_is_trained_beside_the_unpruned_network(asked):
    (unpruned, mixed), *_ = asked("--methods", "early-bird-mixed")
    assert (unpruned.method.name, unpruned.method.rounds) == ("imp", 1)
    assert mixed.method.name == "early-bird"
    precisions = [config.training.precision for config in (unpruned, mixed)]
    assert precisions == ["float32", "mixed"], "16 bits, faster or not: that is what it shows"


def test_by_default_all_ways_are_compared_at_two_sparsities(asked):
    made, *_ = asked()
    assert {config.model for config in made} == {"dcgan-table2"}
    base = RunConfig("dcgan-table2", IterativeMagnitude())
    assert made == list(configs_of(base, tuple(WAYS), (3, 7)).values())
    by_way = dict(zip(WAYS, made, strict=True))
    assert by_way["early-bird"].method.weight_sparsity == pytest.approx((0.488, 0.790), abs=0.001)
    assert by_way["imp"].method.rounds == 7


def test_the_runs_are_made_in_the_output_folder_by_the_engine(asked, tmp_path):
    _, output, engine = asked("--output", tmp_path)
    assert (output, engine) == (str(tmp_path), EngineOptions("here"))
    words = "--engine processes --workers 3".split()
    assert asked("--output", tmp_path, *words)[1:] == [output, EngineOptions("processes", 3)]


def test_finished_runs_are_compared_by_their_ways(run_here, monkeypatch):
    given = []

    def note(*arguments):
        given.extend(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(
        compare, "make", lambda configs, *_: [config.method.name for config in configs]
    )
    monkeypatch.setattr(comparison, "compare", note)
    words = "--methods synflow early-bird-mixed".split()
    assert run_here(*words, **SCRIPT).returncode == 130
    runs, methods, rounds = given
    assert rounds == [3, 7]
    assert {way.name: run for way, run in runs.items()} == {
        "synflow": "synflow",
        "early-bird-mixed": "early-bird",
    }
    assert next(iter(runs)).name == "synflow", "which shows the unpruned network"
    assert methods == ("synflow", "early-bird-mixed")


def test_tables_and_a_figure_are_written_of_runs_that_are_done(run_here, monkeypatch, tmp_path):
    rows = with_tests([row("unpruned", arm="dense"), row("imp", 0.5), row("snip", 0.5)])

    def made(configs, *_):
        paths = (tmp_path / config.method.name for config in configs)
        return [types.SimpleNamespace(path=path, metric="fcd") for path in paths]

    monkeypatch.setattr(compare, "make", made)
    monkeypatch.setattr(comparison, "compare", lambda *_: rows)
    words = [*SMALL, *"--methods imp snip --rounds 3 --json --output".split(), tmp_path]
    ran = run_here(*words, **SCRIPT)
    assert ran.returncode == 0, ran.stderr
    shown = json.loads(json.dumps([each.as_dict() for each in rows]))
    assert json.loads(ran.stdout.splitlines()[-1]) == shown
    (folder,) = tmp_path.glob("compare-dcgan-shared-digits-*")
    assert sorted(path.name for path in folder.iterdir()) == [
        *("compare.json", "compare.md", "figures"),
    ]


@pytest.mark.slow
def test_ways_are_compared_and_found_done_the_second_time(run_script, tmp_path):
    options = [
        *SMALL,
        *"--rounds 2 --image-size 16 --rewind-step 4 --retries 1".split(),
        *"--json --output".split(),
        tmp_path,
    ]
    ran = run_script(*options, **SCRIPT)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout.splitlines()[-1])
    slims = ("early-bird", "early-bird-global", "early-bird-epochs", "early-bird-mixed")
    of_each = [("imp", "winning")]
    of_each += [(name, arm) for name in slims for arm in ("winning", "random")]
    of_each += [(name, "winning") for name in ("snip", "grasp", "synflow")]
    shown = [(row["method"], row["arm"]) for row in rows]
    assert shown == [("unpruned", "dense"), *of_each]
    whole, *others = rows
    for each in others:
        assert each["asked_sparsity"] == pytest.approx(0.36)
        if each["method"] in slims:
            assert each["training_flops"] < whole["training_flops"]
            assert each["weight_sparsity"] == pytest.approx(each["asked_sparsity"], abs=0.12)
        else:
            assert each["training_flops"] > whole["training_flops"]  # masks save none
            assert each["weight_sparsity"] == pytest.approx(each["asked_sparsity"], abs=1e-3)
        assert each["seconds"] > 0 and each["tracing_seconds"] > 0
    (folder,) = tmp_path.glob("compare-dcgan-shared-digits-*")
    assert json.loads((folder / "compare.json").read_text()) == rows
    assert "early-bird-mixed" in (folder / "compare.md").read_text()
    assert (folder / "figures" / "compare.png").exists()
    done = finished_stages(tmp_path)
    assert len(done) == 8 + (2 + 4 * 2 + 3)
    assert run_script(*options, **SCRIPT).returncode == 0
    fewer = run_script(*options, "--methods", "imp", **SCRIPT)
    assert fewer.returncode == 0, fewer.stderr
    asked = json.loads(fewer.stdout.splitlines()[-1])
    assert [row["values"] for row in asked] == [row["values"] for row in rows[:2]]
    assert finished_stages(tmp_path) == done


def finished_stages(output):
    return {path: path.stat().st_mtime_ns for path in output.glob("*/seed-0/**/done.json")}


@pytest.mark.slow
def test_killed_it_goes_on_where_it_stopped(start_script, run_script, tmp_path):
    options = [
        *SMALL,
        *"--methods snip early-bird --rounds 1 4 --image-size 16 --json".split(),
        *("--output", tmp_path),
    ]
    process = start_script(*options, **SCRIPT)
    while process.poll() is None and len(finished_stages(tmp_path)) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = finished_stages(tmp_path)
    assert 3 <= len(done) < 3 + 5
    ran = run_script(*options, **SCRIPT)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout.splitlines()[-1])
    at_each = ["snip", "early-bird", "early-bird"]
    assert [row["method"] for row in rows] == ["unpruned", *at_each, *at_each]
    after = finished_stages(tmp_path)
    assert len(after) == 3 + 5 and after.items() > done.items()


def test_a_way_that_fails_ends_it_with_its_reason(run_here, assert_refused, tmp_path):
    ran = run_here("--limit", 8, "--width", 4, "--output", tmp_path, **SCRIPT)
    assert_refused(ran, 2, "--batch-size")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model linear-ae", "linear_ae has no batch or group normalisation with a scale"),
        ("--model vae --width 2 --rounds 90", "Choose fewer rounds or a lower rate."),
    ],
)
def test_what_one_way_cannot_do_is_refused_before_anything_is_prepared(
    words, message, run_here, assert_refused, monkeypatch, tmp_path
):
    def prepare(*_):
        raise AssertionError("A run is about to be prepared")

    monkeypatch.setattr("tf_tickets.lab.prepared.Checked.prepare", prepare)
    options = {"script": "compare_pruning.py"}
    assert_refused(run_here(*words.split(), "--output", tmp_path, **options), 2, message)
    assert not list(tmp_path.iterdir())
