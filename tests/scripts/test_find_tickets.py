import json
import pathlib
import runpy
import subprocess
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.cli import exit_with_one_line

ROOT = pathlib.Path(__file__).parents[2]

SMALL = "--model linear-ae --limit 64 --rounds 2 --epochs 3 --batch-size 32 --rewind-step 2".split()
TABLE_1 = {
    ("linear-ae", "mnist"): 200_000,
    ("conv-ae", "cifar10"): 3_000_000,
    ("vae", "cifar10"): 5_600_000,
    ("beta-vae", "cifar10"): 5_600_000,
    ("resnet-vae", "cifar10"): 2_800_000,
}


@pytest.fixture
def run_here(capsys, monkeypatch):
    """Run the script in this process, which has TensorFlow loaded already."""
    script = runpy.run_path(ROOT / "scripts" / "find_tickets.py", run_name="imported")

    def run(*options):
        monkeypatch.setattr("sys.argv", ["find_tickets.py", *map(str, options)])
        monkeypatch.setattr("warnings.showwarning", warnings.showwarning)
        status = 0
        try:
            exit_with_one_line(script["main"])
        except SystemExit as stopped:
            status = stopped.code
        finally:
            keras.config.set_dtype_policy("float32")
        out, error = capsys.readouterr()
        return subprocess.CompletedProcess(options, status, out, error)

    return run


@pytest.fixture(scope="module")
def finished(run_script, tmp_path_factory):
    """A small run: the completed process, and the JSON at its end."""
    output = tmp_path_factory.mktemp("output")
    ran = run_script(*SMALL, "--json", "--output", output)
    assert ran.returncode == 0, ran.stderr
    return ran, json.loads(ran.stdout.splitlines()[-1])


def test_the_json_says_where_everything_is(finished):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    assert run.name.startswith("linear-ae-digits-imp-")
    assert (run / "run.json").exists()
    records = tt.read_results(run / "results.jsonl")
    dense = [record["metrics"] for record in records if record["arm"] == "dense"]
    assert outcome["dense"]["reconstruction_loss"] == pytest.approx(
        np.mean([metrics["reconstruction_loss"] for metrics in dense])
    )
    assert len(records) == 3 * (1 + 2 * 2)
    if outcome["winning_ticket"]:
        assert outcome["winning_ticket"]["round"] in (1, 2)
        assert outcome["winning_ticket"]["p"] < 0.05


def test_a_line_of_results_holds_what_is_promised(finished):
    _, outcome = finished
    records = tt.read_results(pathlib.Path(outcome["run"]) / "results.jsonl")
    promised = {
        "seed",
        "round",
        "arm",
        "weight_sparsity",
        "params",
        "kept",
        "metrics",
        "protocol",
        "seconds",
    }
    assert all(promised <= record.keys() for record in records)
    assert {record["arm"] for record in records} == {"dense", "winning", "random"}
    assert {record["round"] for record in records if record["arm"] == "dense"} == {0}


def test_the_ticket_and_the_saved_model_are_of_the_same_network(finished):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    trained = tt.Ticket.load(run / "winning_ticket" / "trained.safetensors")
    recipe = tt.recipes.resolve("linear-ae", "digits")
    model = tt.models.build("linear-ae", (32, 32, 1), **recipe.network)
    trained.apply(model)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 32, 32, 1)).astype("float32")
    answer = tf.saved_model.load(outcome["export"]).signatures["serving_default"]
    (served,) = answer(tf.constant(images)).values()
    # The export may compute in bfloat16, where the hardware has it, and this model does not.
    np.testing.assert_allclose(served, model(images), atol=0.05)


def test_figures_and_samples_are_pictures(finished):
    _, outcome = finished
    pictures = sorted(pathlib.Path(outcome["run"]).rglob("*.png"))
    assert {picture.name for picture in pictures} == {
        "images.png",
        "reconstruction_loss.png",
        "samples.png",
    }
    assert all(tf.io.decode_png(picture.read_bytes()).shape[0] >= 32 for picture in pictures)


def test_it_is_quiet_off_a_terminal_and_prints_a_table(finished):
    ran, _ = finished
    assert ran.stderr == ""
    assert "\x1b" not in ran.stdout
    lines = [line for line in ran.stdout.splitlines() if "36.0" in line]
    assert any("±" in line for line in lines)


def test_running_it_again_makes_nothing_again(finished, run_script):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    again = run_script(*SMALL, "--json", "--output", run.parent)
    assert json.loads(again.stdout.splitlines()[-1]) == outcome
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")} == before


def test_tensorboard_logs_are_written(finished):
    _, outcome = finished
    events = list((pathlib.Path(outcome["run"]) / "tensorboard").rglob("events.*"))
    assert {"losses", "rounds"} == {
        event.relative_to(pathlib.Path(outcome["run"]) / "tensorboard").parts[0] for event in events
    }


@pytest.mark.parametrize(("model", "dataset"), TABLE_1)
def test_describe_counts_as_table_1_does(model, dataset, run_here):
    ran = run_here("--describe", "--model", model, "--dataset", dataset)
    assert ran.returncode == 0
    (line,) = ran.stdout.splitlines()
    described = json.loads(line)
    assert described["params"] == pytest.approx(TABLE_1[model, dataset], rel=0.025)
    assert sum(described["components"].values()) == described["params"]
    assert 0 < described["prunable"] < described["params"]
    assert (described["model"], described["dataset"]) == (model, dataset)
    assert described["recipe"]["epochs"] >= 1


@pytest.mark.slow
def test_real_cifar10(run_script, tfds_folder, tmp_path):
    ran = run_script(
        *"--model conv-ae --dataset cifar10 --limit 64 --rounds 1 --epochs 1".split(),
        *"--batch-size 32 --rewind-step 1 --seeds 0 --json --output".split(),
        tmp_path,
        TFDS_DATA_DIR=str(tfds_folder),
    )
    assert ran.returncode == 0, ran.stderr
    run = pathlib.Path(json.loads(ran.stdout.splitlines()[-1])["run"])
    assert tt.read_results(run / "results.jsonl")[0]["protocol"]["real"] == "cifar10-train-32-64"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--model gan", "invalid choice: 'gan'"),
        ("--dataset faces", "invalid choice: 'faces'"),
        ("--component generator", "invalid choice: 'generator'"),
        ("--rate 1", "argument --rate"),
        ("--rate 0", "argument --rate"),
        ("--rate nan", "argument --rate"),
        ("--rounds 0", "argument --rounds"),
        ("--rounds two", "argument --rounds"),
        ("--epochs 0", "argument --epochs"),
        ("--limit 0", "argument --limit"),
        ("--seeds 1 1", "argument --seeds"),
        ("--arms random", "argument --arms"),
        ("--tolerance -1", "argument --tolerance"),
        ("--rewind-step -1", "argument --rewind-step"),
        ("--precision int8", "invalid choice: 'int8'"),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_loaded(words, message, run_script, tmp_path):
    ran = run_script(*words.split(), "--output", tmp_path / "new")
    assert_refused(ran, 2, message)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--limit 64 --batch-size 32 --epochs 1 --rewind-step 2", 2, "rewind_step"),
        ("--limit 16 --batch-size 32", 2, "batch_size"),
        ("--metric beauty", 2, "argument --metric"),
        ("--metric fid", 2, "--inception"),
        ("--image-size 4", 2, "image_size"),
        ("--dataset mnist --data-dir absent", 1, "mnist"),
        ("--inception absent --limit 64 --batch-size 32 --rewind-step 0", 1, "absent"),
        ("--output /dev/null/inside", 1, "/dev/null/inside"),
    ],
)
def test_what_cannot_work_is_one_clear_line(words, status, message, run_here, tmp_path):
    ran = run_here("--output", tmp_path / "new", *words.split())
    assert_refused(ran, status, message)


def assert_refused(ran, status, message):
    assert ran.returncode == status, ran.stderr
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1 and "Traceback" not in ran.stderr
