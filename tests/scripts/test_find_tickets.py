import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.lab import engine_options
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.models import MODELS, GanTraining

SMALL = "--model linear-ae --limit 64 --rounds 1 --epochs 3 --batch-size 32 --rewind-step 2".split()
TABLE_1 = {
    ("linear-ae", "mnist"): 200_000,
    ("conv-ae", "cifar10"): 3_000_000,
    ("vae", "cifar10"): 5_600_000,
    ("beta-vae", "cifar10"): 5_600_000,
    ("resnet-vae", "cifar10"): 2_800_000,
}
# For images of 32x32x3: what the papers say (Table 1, Table 2's 5,651,584, paper C's code), if they
# have the model, and generator and discriminator here.
GANS = [name for name, card in MODELS.items() if card.family.training is GanTraining]
GAN_COUNTS = {
    "dcgan": (6_500_000, 3_576_323, 2_935_873),
    "dcgan-table2": (5_651_584, 2_887_232, 2_764_352),
    "dcgan-shared": (None, 2_824_003, 2_760_513),
    "sngan": (6_700_000, 3_805_699, 2_935_873),
    "wgan": (6_500_000, 3_576_323, 2_935_873),
    "resnet-dcgan": (2_200_000, 1_147_139, 1_053_824),
    "sngan-resnet": (5_330_563, 4_276_739, 1_053_824),
}

SECONDS = ("seconds", "draw_seconds", "evaluation_seconds")


@pytest.fixture(scope="module")
def finished(run_here, outcome_of, tmp_path_factory):
    """A small run: what it printed, and the JSON at its end."""
    output = tmp_path_factory.mktemp("output")
    ran = run_here(*SMALL, "--json", "--output", output)
    return ran, outcome_of(ran)


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
    assert len(records) == 5 * (1 + 2)
    verdict, ticket = outcome["verdict"], outcome["winning_ticket"] or outcome["candidate"]
    assert verdict["seeds"] == [0, 1, 2, 3, 4] and verdict["round"] == (ticket and ticket["round"])
    assert verdict["kind"] in ("winning ticket", "candidate", "none")
    assert list(verdict["at_tolerances"]) == ["0.05", "0.1", "0.2"]


def test_the_page_of_the_run_is_named_first_and_tells_its_numbers(finished):
    ran, outcome = finished
    run = pathlib.Path(outcome["run"])
    named = [line.strip() for line in ran.stdout.splitlines() if line.strip().startswith(str(run))]
    assert named[0] == str(run / "page.html")
    text = (run / "page.html").read_text()
    assert f"{outcome['dense']['reconstruction_loss']:.4g}" in text
    assert "vegaEmbed" in text and "Linear AE on scikit-learn&#39;s digits" in text


def test_the_settings_of_a_run_say_what_decides_its_bits(finished):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    settings = tt.read_settings(run)
    assert settings["method"] == {
        **{"name": "imp", "rate": 0.2, "component": "all", "pool": "model"},
        **{"retries": 0, "rewind_step": 2, "one_shot": False, "start": "rewind"},
        **{"rewind_share": None, "rewind_optimizer": False},
        **{"skip_dense": False, "random_redraws": "component"},
    }
    assert settings["recipe"]["epochs"] == 3 and settings["train"] == "digits-train-8-64"
    # More rounds, seeds and arms only add stages.
    assert settings.keys().isdisjoint({"rounds", "seeds", "arms", "metric", "tolerance"})


def test_the_run_is_seen_from_its_folder_alone(finished):
    _, outcome = finished
    run = tt.lab.Run.open(outcome["run"])
    assert (run.config.model, run.config.seeds, run.metric) == (
        *("linear-ae", (0, 1, 2, 3, 4)),
        "reconstruction_loss",
    )
    assert run.records == tt.read_results(run.path / "results.jsonl")
    found = run.verdict.comparison
    assert (run.verdict.kind, found and found.round) == (
        outcome["verdict"]["kind"],
        outcome["verdict"]["round"],
    )


def bits(run):
    return {
        file.relative_to(run).as_posix(): file.read_bytes() for file in run.rglob("*.safetensors")
    }


@pytest.mark.slow
def test_initial_weights_are_pruned_by_snip_with_all_controls_and_resumed(
    run_here, outcome_of, tmp_path
):
    words = "--model linear-ae --method snip --limit 64 --rate 0.5 --epochs 3 --seeds 0".split()
    words += "--batch-size 32 --json --arms winning random shuffled --output".split()
    ran = run_here(*words, tmp_path / "a", "--rounds", 2)
    run = pathlib.Path(outcome_of(ran)["run"])
    assert run.name.startswith("linear-ae-digits-snip-")
    method = tt.read_settings(run)["method"]
    assert method["name"] == "snip" and method.keys().isdisjoint({"rewind_step", "one_shot"})
    arms = ["winning", "random", "shuffled"]
    records = tt.read_results(run / "results.jsonl")
    assert [r["arm"] for r in records] == ["dense", *2 * ("winning", "shuffled", "random")]
    rewind = tt.Ticket.load(run / "seed-0/round-00/dense/rewind.safetensors").weights
    for number in (1, 2):
        winning, random, shuffled = (
            tt.Ticket.load(run / f"seed-0/round-0{number}/{arm}/ticket.safetensors") for arm in arms
        )
        assert winning.masks.sparsity == pytest.approx(1 - 0.5**number, abs=1e-5)
        assert winning.masks == random.masks != shuffled.masks
        for path, mask in winning.masks.items():
            np.testing.assert_array_equal(winning.weights[path], rewind[path] * mask)
            np.testing.assert_array_equal(
                shuffled.weights[path], rewind[path] * shuffled.masks[path]
            )
    assert "shuffled" in ran.stdout
    # Round by round, and without the controls, the same tickets are found.
    words = [*words, tmp_path / "b", "--arms", "winning", "--rounds"]
    assert run_here(*words, 1).returncode == 0
    resumed = pathlib.Path(outcome_of(run_here(*words, 2))["run"])
    assert resumed.name == run.name
    found = {name: content for name, content in bits(resumed).items() if name.startswith("seed-")}
    assert len(found) > 4 and found.items() <= bits(run).items()


@pytest.mark.slow
def test_early_bird_tickets_are_smaller_models_and_resumed(run_here, outcome_of, tmp_path):
    words = "--model dcgan-shared --method early-bird --width 4 --limit 64 --epochs 6".split()
    words += "--batch-size 16 --channel-sparsity 0.3 0.6 --mask-distance 1 --draw-every 2".split()
    words += "--evaluations 2 --seeds 0 --arms winning --json --output".split()
    outcome = outcome_of(run_here(*words, tmp_path / "a"))
    run = pathlib.Path(outcome["run"])
    assert run.name.startswith("dcgan-shared-digits-early-bird-")
    records = tt.read_results(run / "results.jsonl")
    assert [r["arm"] for r in records] == ["dense", "winning", "winning"]
    dense, first, second = records
    assert dense["params"] > first["params"] > second["params"]
    assert (first["drawn_step"], first["settled"]) == (12, True)  # the sixth of two steps each
    assert {path.name for path in (run / "figures").iterdir()} >= {"mask_distance.png", "fcd.png"}
    served = tf.saved_model.load(outcome["export"]).signatures["serving_default"]
    codes = tf.zeros((1, *served.structured_input_signature[1]["inputs"].shape[1:]))
    assert served(inputs=codes)["outputs"].shape == (1, 8, 8, 1)
    shutil.rmtree(run / "seed-0/round-02/winning")
    again = pathlib.Path(outcome_of(run_here(*words, tmp_path / "a"))["run"])
    machine = dict.fromkeys((*SECONDS, "peak_memory_bytes"), 0)  # differ from one time to the next
    before = [{**r, **machine} for r in records]
    after = tt.read_results(again / "results.jsonl")
    assert [{**r, **machine} for r in after] == before


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grasp", "synflow"])
def test_both_networks_of_a_gan_are_pruned_before_they_are_trained(
    method, run_here, outcome_of, tmp_path
):
    outcome = outcome_of(
        run_here(
            *f"--model sngan --method {method} --width 4 --limit 64 --rounds 1 --rate 0.5".split(),
            *"--epochs 1 --batch-size 16 --critic-steps 1 --evaluations 1 --seeds 0".split(),
            *"--arms winning --json --output".split(),
            tmp_path,
        )
    )
    recipe = tt.lab.resolve("sngan", "digits", network={"width": 4})
    check_pruned_gan(outcome, recipe, (8, 8, 1))
    assert f"sngan-digits-{method}-" in outcome["run"]


def test_a_line_of_results_holds_what_is_promised(finished):
    _, outcome = finished
    records = tt.read_results(pathlib.Path(outcome["run"]) / "results.jsonl")
    promised = {"seed", "round", "arm", "weight_sparsity", "params", "kept"}
    promised |= {"metrics", "protocol", "test_metrics", "test_protocol", "converged", *SECONDS}
    assert all(promised <= record.keys() for record in records)
    assert {record["arm"] for record in records} == {"dense", "winning", "random"}
    assert {record["round"] for record in records if record["arm"] == "dense"} == {0}


def test_the_ticket_and_the_saved_model_are_of_the_same_network(finished):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    trained = tt.Ticket.load(run / "winning_ticket" / "trained.safetensors")
    recipe = tt.lab.resolve("linear-ae", "digits")
    model = tt.lab.models.build("linear-ae", (8, 8, 1), **recipe.network)
    trained.apply(model)
    images = np.random.default_rng(0).uniform(-1, 1, (3, 8, 8, 1)).astype("float32")
    answer = tf.saved_model.load(outcome["export"]).signatures["serving_default"]
    (served,) = answer(tf.constant(images)).values()
    # The export may compute in bfloat16, where the hardware has it, and this model does not.
    np.testing.assert_allclose(served, model(images), atol=0.05)


def test_figures_and_samples_are_pictures(finished):
    _, outcome = finished
    pictures = sorted(pathlib.Path(outcome["run"]).rglob("*.png"))
    assert {picture.name for picture in pictures} == {
        "early_stopping.png",
        "images.png",
        "real.png",
        "reconstruction_loss.png",
        "samples.png",
    }
    assert all(tf.io.decode_png(picture.read_bytes()).shape[0] >= 8 for picture in pictures)


def test_off_a_terminal_it_prints_a_line_for_each_training_and_a_table(finished):
    ran, _ = finished
    trained = "seed 0 round 0/1 dense: trained, 14 left\n"
    assert ran.stderr.startswith(trained) and ran.stderr.count("\n") == 15
    assert "\nA training: 6 optimizer steps, 3 epochs\n" in ran.stdout
    assert "\x1b" not in ran.stdout + ran.stderr
    lines = [line for line in ran.stdout.splitlines() if "20.00 %" in line]
    assert any("±" in line for line in lines)


@pytest.mark.slow
def test_processes_side_by_side_make_the_same_bits(run_script, run_here, outcome_of, tmp_path):
    words = "--model linear-ae --limit 64 --rounds 1 --epochs 1 --batch-size 32 --rewind-step 1"
    words = [*words.split(), *"--seeds 0 1 --threads 1 --json --output".split()]
    ran = run_script(*words, tmp_path / "a", *"--engine processes --workers 2".split())
    outcome = outcome_of(ran)
    assert "\nTrainings: 2 side by side in processes of their own, one thread each\n" in ran.stdout
    assert ran.stderr.count(": trained, ") == ran.stderr.count("\n") == 6, ran.stderr
    here = outcome_of(run_here(*words, tmp_path / "b", "--engine", "here"))
    there = pathlib.Path(outcome["run"])
    assert there.name == pathlib.Path(here["run"]).name
    assert bits(there) == bits(pathlib.Path(here["run"])) and len(bits(there)) > 6
    assert outcome["dense"] == here["dense"] and outcome["rounds"] == here["rounds"]


def test_without_ray_its_engine_is_refused_by_one_line(
    run_here, assert_refused, monkeypatch, tmp_path
):
    monkeypatch.setattr(engine_options, "find_spec", lambda name: None)
    ran = run_here(*SMALL, "--engine", "ray", "--address", "auto", "--output", tmp_path / "new")
    expected = "can be ray only if Ray is installed: pip install 'tf-tickets[ray]'"
    assert_refused(ran, 2, f"argument --engine: {expected}. Received: ray")
    assert not (tmp_path / "new").exists()


def test_threads_that_this_process_has_not_are_refused_by_one_line(
    run_here, assert_refused, tmp_path
):
    ran = run_here(*SMALL, "--threads", 3, "--output", tmp_path / "new")
    message = "argument --threads: cannot be 3 in this process, as TensorFlow has begun with"
    assert_refused(ran, 2, message)
    assert not (tmp_path / "new").exists()


def when_written(run):
    return {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}


def test_running_it_again_makes_nothing_again(finished, run_here, outcome_of):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    before = when_written(run)
    again = run_here(*SMALL, "--json", "--output", run.parent)
    assert outcome_of(again) == outcome
    assert when_written(run) == before


def test_its_own_record_repeats_it_and_another_flag_beside_that_overrides(
    finished, run_here, outcome_of
):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    before = when_written(run)
    words = ["--config", run, "--json", "--output", run.parent]
    assert outcome_of(run_here(*words)) == outcome
    fewer = outcome_of(run_here(*words, "--seeds", "0"))
    assert fewer["run"] == str(run) and fewer["rounds"][0]["p"] is None
    stages = {file: when for file, when in before.items() if "seed-" in str(file)}
    assert stages.items() <= when_written(run).items()
    # The last command is the one that is repeated now.
    assert outcome_of(run_here("--config", run, "--json", "--output", run.parent)) == fewer
    assert outcome_of(run_here(*words, *SMALL, "--seeds", 0, 1, 2, 3, 4)) == outcome


@pytest.mark.slow
def test_a_default_that_does_not_fit_a_short_training_adapts(run_here, outcome_of, tmp_path):
    words = "--model linear-ae --limit 64 --epochs 1 --rounds 1 --seeds 0 --batch-size 16"
    words += " --arms winning --json --output"
    ran = run_here(*words.split(), tmp_path)
    outcome = outcome_of(ran)
    assert "\nNote: rewind step 3: a training has 4 steps\n" in ran.stdout
    assert tt.read_settings(outcome["run"])["method"]["rewind_step"] == 3
    # It was not asked for: a shorter training may adapt it again.
    ran = run_here("--config", outcome["run"], "--batch-size", 32, "--output", tmp_path, "--json")
    assert "\nNote: rewind step 1: a training has 2 steps\n" in ran.stdout
    assert tt.read_settings(outcome_of(ran)["run"])["method"]["rewind_step"] == 1


def test_tensorboard_logs_are_written(finished):
    _, outcome = finished
    events = list((pathlib.Path(outcome["run"]) / "tensorboard").rglob("events.*"))
    assert {"losses", "rounds"} == {
        event.relative_to(pathlib.Path(outcome["run"]) / "tensorboard").parts[0] for event in events
    }


@pytest.mark.parametrize(("model", "dataset"), slow_but(TABLE_1, ("resnet-vae", "cifar10")))
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
    assert {"all runs", "method imp", f"model {model}"} <= described["departures"].keys() | {
        "model conv-ae"
    }


@pytest.mark.parametrize("model", slow_but(GANS, "dcgan-table2"))
def test_describe_counts_a_gans_components_exactly(model, run_here):
    described = json.loads(run_here("--describe", "--model", model, "--dataset", "cifar10").stdout)
    paper, generator, discriminator = GAN_COUNTS[model]
    assert described["components"] == {"generator": generator, "discriminator": discriminator}
    assert described["params"] == generator + discriminator
    assert (described["paper"] is None) == (paper is None)
    if paper:
        assert described["params"] == pytest.approx(paper, rel=0.025)
        assert described["paper"]["params"] == paper
    trained_by = {"loss", "critic_steps", "clip_weights", "gradient_penalty", "ema_decay"}
    assert described["options"].keys() >= trained_by | {"latent_dim", "width"}
    assert model != "dcgan-table2" or described["params"] == paper


def test_describe_counts_what_the_component_leaves_to_prune(run_here):
    words = "--describe --model sngan --width 4".split()
    prunable = {
        component: json.loads(run_here(*words, "--component", component).stdout)["prunable"]
        for component in ("all", "generator", "discriminator")
    }
    assert prunable["all"] == prunable["generator"] + prunable["discriminator"]
    assert 0 < prunable["discriminator"] < prunable["generator"]


@pytest.mark.slow
def test_a_gan_with_averages_and_normalised_kernels_is_pruned_and_exported(
    run_here, outcome_of, tmp_path
):
    outcome = outcome_of(
        run_here(
            *"--model sngan-resnet --width 4 --limit 64 --rounds 1 --rate 0.5 --epochs 2".split(),
            *"--batch-size 16 --critic-steps 1 --rewind-step 1 --evaluations 2".split(),
            *"--pool component --discriminator-init trained --distill-discriminator".split(),
            *"--arms winning --seeds 0 --json --output".split(),
            tmp_path,
        )
    )
    recipe = tt.lab.resolve("sngan-resnet", "digits", network={"width": 4})
    check_pruned_gan(outcome, recipe, (8, 8, 1))
    options = tt.read_settings(pathlib.Path(outcome["run"]))["model_options"]
    assert (options["loss"], options["critic_steps"], options["spectral"]) == ("hinge", 1, True)
    records = tt.read_results(pathlib.Path(outcome["run"]) / "results.jsonl")
    assert [record["arm"] for record in records] == ["dense", "winning"]
    assert [point["step"] for point in records[0]["curve"]] == [4, 8]
    figures = {figure.name for figure in (pathlib.Path(outcome["run"]) / "figures").iterdir()}
    assert figures == {"fcd.png", "early_stopping.png", "discriminator_loss.png", "images.png"}


def check_pruned_gan(outcome, recipe, image_shape, sparsity=0.5):
    """Assert zeros where the ticket of a run's first round is pruned, and a generator to export."""
    path = pathlib.Path(outcome["run"]) / "seed-0/round-01/winning/trained.safetensors"
    trained = tt.Ticket.load(path)
    assert trained.masks.sparsity == pytest.approx(sparsity, abs=0.01)
    model = tt.lab.models.build(recipe.model, image_shape, **recipe.network)
    trained.apply(model)
    names = {id(variable): name for name, variable in tt.variable_names(model).items()}
    averages = {names[id(weight)]: average.numpy() for weight, average in model.averages}
    assert bool(averages) == (recipe.model == "sngan-resnet")
    for component in model.components.values():
        masked = {names[id(variable)] for variable in component.variables} & trained.masks.keys()
        assert sum(np.count_nonzero(~trained.masks[name]) for name in masked) > 0
        for name in masked:
            assert not trained.weights[name][~trained.masks[name]].any()
            if name in averages:
                assert not averages[name][~trained.masks[name]].any()
                assert averages[name][trained.masks[name]].any()
    codes = np.random.default_rng(0).normal(size=(3, model.latent_dim)).astype("float32")
    (served,) = (
        tf.saved_model.load(outcome["export"])
        .signatures["serving_default"](tf.constant(codes))
        .values()
    )
    assert served.shape == (3, *image_shape)
    # The export may compute in bfloat16, where the hardware has it, and this model does not.
    np.testing.assert_allclose(served, model.inference_model()(codes), atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["dcgan", "sngan", "wgan", "resnet-dcgan", "sngan-resnet"])
def test_each_gan_trains_a_round_on_512_real_images(
    model, run_here, outcome_of, tfds_folder, tmp_path
):
    outcome = outcome_of(
        run_here(
            *f"--model {model} --dataset cifar10 --limit 512 --rounds 1 --rate 0.5".split(),
            *"--epochs 1 --batch-size 32 --rewind-step 1 --evaluations 1 --seeds 0".split(),
            *"--arms winning --json --output".split(),
            tmp_path,
            "--data-dir",
            tfds_folder,
        )
    )
    check_pruned_gan(outcome, tt.lab.resolve(model, "cifar10"), (32, 32, 3))


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
    assert (
        tt.read_results(run / "results.jsonl")[0]["protocol"]["real"] == "cifar10-validation-32-64"
    )


def test_a_bad_option_is_refused_by_the_script_and_the_installed_command_alike(
    run_script, assert_refused, tmp_path
):
    """What else is refused so: see tests/lab/commands/test_run_parser.py."""
    ran = run_script("--component", "generator", "--output", tmp_path / "new")
    message = "argument --component: must be all, encoder or decoder for the model vae."
    assert_refused(ran, 2, f"find_tickets.py: error: {message} Received: generator\n")
    command = [sys.executable, "-m", "tf_tickets.lab.commands", "find", "--component", "generator"]
    installed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert_refused(installed, 2, f"tf-tickets find: error: {message} Received: generator\n")
    assert not (tmp_path / "new").exists()


SHORT = "--limit 64 --width 2"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            "--method early-bird --model conv-ae --limit 64",
            2,
            "conv_ae has no batch or group normalisation",
        ),
        (
            f"{SHORT} --batch-size 32 --epochs 1 --rewind-step 2",
            2,
            "argument --rewind-step: must be at most 1, as a training has 2 steps. Received: 2\n",
        ),
        ("--width 2 --rounds 9999", 2, "The last round leaves no weight: choose fewer --rounds."),
        ("--width 2 --method snip --rounds 60", 2, "of which none may be emptied. Choose fewer"),
        ("--limit 16 --width 2 --batch-size 32", 2, "--batch-size"),
        (
            f"{SHORT} --model sngan --critic-steps 5 --batch-size 16",
            2,
            "takes batch_size=16 images for each of critic_steps=5 updates",
        ),
        ("--model dcgan --metric loss", 2, "argument --metric: must be one of fcd, kcd"),
        (
            f"{SHORT} --batch-size 32 --epochs 2 --evaluations 5",
            2,
            "argument --evaluations: must be at most 4, as a training has 4 steps. Received: 5\n",
        ),
        ("--metric fid", 2, "--inception"),
        ("--metric discriminator_loss", 2, "argument --metric: must be one of"),
        ("--model dcgan --metric discriminator_loss", 2, "neither direction of it is better"),
        ("--model dcgan --metric reconstruction_loss", 2, "is not measured of such a model"),
        ("--model sngan --metric classifier_accuracy", 2, "is not measured of such a model"),
        ("--model wgan --metric loss", 2, "is not measured of such a model"),
        ("--image-size 4", 2, "Choose another image size, for example 32."),
        ("--model linear-ae --image-size 4", 2, "argument --image-size: must be at least 8"),
        ("--model dcgan --width 2 --image-size 20", 2, "multiple of 8"),
        ("--dataset images", 2, "argument --data-dir: must be the folder of PNG or JPEG files"),
        ("--dataset images --data-dir absent", 1, "absent"),
        ("--width 2 --dataset mnist --data-dir absent", 1, "mnist"),
        (f"{SHORT} --inception absent --batch-size 32 --rewind-step 0", 1, "absent"),
        (f"{SHORT} --batch-size 32 --output /dev/null/inside", 1, "/dev/null/inside"),
    ],
)
def test_what_cannot_work_is_one_clear_line(
    words, status, message, run_here, assert_refused, tmp_path
):
    ran = run_here("--output", tmp_path / "new", *words.split())
    assert_refused(ran, status, message)
    assert status == 1 or not (tmp_path / "new").exists()
    assert not list((tmp_path / "new").glob("*/seed-*"))  # nothing was trained


@pytest.mark.parametrize("words", ["--method synflow", "--method imp --component both"])
def test_what_a_vae_does_anyway_may_be_said(words, run_here):
    ran = run_here("--describe", *"--model vae --width 2".split(), *words.split())
    assert ran.returncode == 0 and ran.stderr == ""


def test_a_users_process_loads_tensorflow_in_silence(run_script):
    ran = run_script("--describe", "--width", "2", forked=False)
    assert (ran.returncode, ran.stderr) == (0, "")


# --- Cards and data of one's own


def test_a_score_in_an_extension_prunes(run_here, outcome_of, tmp_path, monkeypatch):
    monkeypatch.setattr(METHODS, "_cards", dict(METHODS._cards))
    path = tmp_path / "smallest.py"
    path.write_text(
        "import dataclasses\n"
        "import tf_tickets as tt\n"
        "from tf_tickets.lab.methods import AtInitialization\n"
        "@tt.lab.register\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Smallest(AtInitialization):\n"
        "    name, title, color = 'smallest', 'the largest initial weights', '#123456'\n"
        "    def scores(self, model, kernels, losses, seed):\n"
        "        pairs = zip(kernels.names, kernels, strict=True)\n"
        "        return {name: -abs(kernel.numpy()) for name, kernel in pairs}\n"
    )
    words = "--model linear-ae --limit 64 --rounds 1 --rate 0.5 --epochs 1 --batch-size 32"
    words += " --seeds 0 --arms winning --method smallest --json --output"
    ran = run_here("--extension", path, *words.split(), tmp_path / "output")
    run = pathlib.Path(outcome_of(ran)["run"])
    assert run.name.startswith("linear-ae-digits-smallest-")
    ticket = tt.Ticket.load(run / "seed-0/round-01/winning/ticket.safetensors")
    rewind = tt.Ticket.load(run / "seed-0/round-00/dense/rewind.safetensors").weights
    assert ticket.masks.sparsity == pytest.approx(0.5, abs=1e-4)
    removed = np.concatenate([abs(rewind[p][~mask]) for p, mask in ticket.masks.items()])
    stayed = np.concatenate([abs(rewind[p][mask]) for p, mask in ticket.masks.items()])
    assert removed.min() >= stayed.max()
    before = when_written(run)
    ran = run_here("--config", run, "--json", "--output", tmp_path / "output")
    assert outcome_of(ran)["run"] == str(run) and when_written(run) == before


@pytest.fixture
def pictures(tmp_path):
    """A folder of 200 PNG files of two sizes, without labels."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(200):
        size = (12, 9) if number % 2 else (20, 20)
        pixels = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number:03d}.png")
    return folder


OF_PICTURES = "--dataset images --image-size 8 --width 2 --rounds 1 --epochs 1 --seeds 0".split()
OF_PICTURES += "--batch-size 32 --arms winning --json".split()


def test_a_folder_of_pictures_trains_a_vae(pictures, run_here, outcome_of, tmp_path):
    ran = run_here(*OF_PICTURES, "--data-dir", pictures, "--output", tmp_path / "output")
    outcome = outcome_of(ran)
    note = "metric reconstruction_loss: fcd is not measured of these images"
    assert f"\nNote: {note}\n" in ran.stdout
    run = pathlib.Path(outcome["run"])
    assert run.name.startswith("vae-images-imp-")
    assert outcome["dense"]["reconstruction_loss"] > 0
    assert outcome["dense"].keys().isdisjoint({"fcd", "kcd", "classifier_accuracy"})
    assert tf.io.decode_png((run / "real.png").read_bytes()).shape[2] == 3
    records = tt.read_results(run / "results.jsonl")
    assert records[0]["protocol"]["image_shape"] == [8, 8, 3]


@pytest.mark.parametrize("words", ["--metric fcd", "--model dcgan --metric fcd", "--model dcgan"])
def test_pictures_without_labels_have_no_fcd(words, pictures, run_here, assert_refused, tmp_path):
    words = [*words.split(), "--data-dir", pictures, "--output", tmp_path / "new"]
    ran = run_here(*OF_PICTURES, *words)
    remain = "one that is measured of the model, but none of those can decide"
    if "dcgan" not in words:
        remain = "one of loss, reconstruction_loss"
    assert_refused(ran, 2, f"argument --metric: must be {remain}")
    assert "--inception adds fid, kid" in ran.stderr
    assert "Received: fcd, which needs images with labels" in ran.stderr
    assert not (tmp_path / "new").exists()


def test_a_broken_picture_is_one_line_that_names_the_file(
    pictures, run_here, assert_refused, tmp_path
):
    broken = pictures / "123.png"
    broken.write_bytes(broken.read_bytes()[:60])
    ran = run_here(*OF_PICTURES, "--data-dir", pictures, "--output", tmp_path / "new")
    assert_refused(ran, 1, f"Cannot read the image {broken}")
    assert not (tmp_path / "new").exists()
