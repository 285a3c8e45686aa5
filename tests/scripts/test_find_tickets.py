import json
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.lab.commands.common import GANS
from tf_tickets.names import names_of

SMALL = "--model linear-ae --limit 64 --rounds 2 --epochs 3 --batch-size 32 --rewind-step 2".split()
TABLE_1 = {
    ("linear-ae", "mnist"): 200_000,
    ("conv-ae", "cifar10"): 3_000_000,
    ("vae", "cifar10"): 5_600_000,
    ("beta-vae", "cifar10"): 5_600_000,
    ("resnet-vae", "cifar10"): 2_800_000,
}
# For images of 32x32x3: what the papers say (Table 1, Table 2's 5,651,584, paper C's code), if they
# have the model, and generator and discriminator here.
GAN_COUNTS = {
    "dcgan": (6_500_000, 3_576_323, 2_935_873),
    "dcgan-table2": (5_651_584, 2_887_232, 2_764_352),
    "dcgan-shared": (None, 2_824_003, 2_760_513),
    "sngan": (6_700_000, 3_805_699, 2_935_873),
    "wgan": (6_500_000, 3_576_323, 2_935_873),
    "resnet-dcgan": (2_200_000, 1_147_139, 1_053_824),
    "sngan-resnet": (5_330_563, 4_276_739, 1_053_824),
}


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
    assert len(records) == 3 * (1 + 2 * 2)
    if outcome["winning_ticket"]:
        assert outcome["winning_ticket"]["round"] in (1, 2)
        assert outcome["winning_ticket"]["p"] < 0.05


def test_the_settings_of_magnitude_pruning_are_those_of_before_there_were_other_methods(finished):
    _, outcome = finished
    settings = tt.read_settings(pathlib.Path(outcome["run"]))
    assert settings.keys().isdisjoint({"method", "model_options"})
    assert settings["rewind_step"] == 2


def bits(run):
    return {
        file.relative_to(run).as_posix(): file.read_bytes() for file in run.rglob("*.safetensors")
    }


def test_initial_weights_are_pruned_by_snip_with_all_controls_and_resumed(
    run_here, outcome_of, tmp_path
):
    words = "--model linear-ae --method snip --limit 64 --rate 0.5 --epochs 3 --seeds 0".split()
    words += "--batch-size 32 --json --arms winning random shuffled --output".split()
    run = pathlib.Path(outcome_of(run_here(*words, tmp_path / "a", "--rounds", 2))["run"])
    assert run.name.startswith("linear-ae-digits-snip-")
    settings = tt.read_settings(run)
    assert (settings["method"], settings["rewind_step"]) == ("snip", 0)
    arms = ["winning", "random", "shuffled"]
    records = tt.read_results(run / "results.jsonl")
    assert [r["arm"] for r in records] == ["dense", *arms, *arms]
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
    ran = run_here(*words, tmp_path / "b", "--rounds", 1)
    assert "shuffled" in ran.stdout
    resumed = pathlib.Path(outcome_of(run_here(*words, tmp_path / "b", "--rounds", 2))["run"])
    assert resumed.name == run.name
    # Round 1 may win where round 2 does not: the chosen ticket is then another.
    assert {k: v for k, v in bits(run).items() if k.startswith("seed-")} == {
        k: v for k, v in bits(resumed).items() if k.startswith("seed-")
    }


def test_early_bird_tickets_are_smaller_models_and_resumed(run_here, outcome_of, tmp_path):
    words = "--model dcgan-shared --method early-bird --width 4 --limit 64 --epochs 6".split()
    words += "--batch-size 16 --channel-sparsity 0.3 0.6 --mask-distance 1 --draw-every 2".split()
    words += "--seeds 0 --arms winning --json --output".split()
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
    assert served(inputs=codes)["outputs"].shape == (1, 32, 32, 1)
    shutil.rmtree(run / "seed-0/round-02/winning")
    again = pathlib.Path(outcome_of(run_here(*words, tmp_path / "a"))["run"])
    before = [{**r, "seconds": 0, "peak_memory_bytes": 0} for r in records]
    after = tt.read_results(again / "results.jsonl")
    assert [{**r, "seconds": 0, "peak_memory_bytes": 0} for r in after] == before


@pytest.mark.parametrize("method", [pytest.param("grasp", marks=pytest.mark.slow), "synflow"])
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
    recipe = tt.recipes.resolve("sngan", "digits", network={"width": 4})
    check_pruned_gan(outcome, recipe, (32, 32, 1))
    assert f"sngan-digits-{method}-" in outcome["run"]


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


def test_off_a_terminal_it_prints_a_line_for_each_training_and_a_table(finished):
    ran, _ = finished
    trained = "seed 0 round 0/2 dense: trained, 14 left\n"
    assert ran.stderr.startswith(trained) and ran.stderr.count("\n") == 15
    assert "\nA training: 6 optimizer steps, 3 epochs\n" in ran.stdout
    assert "\x1b" not in ran.stdout + ran.stderr
    lines = [line for line in ran.stdout.splitlines() if "36.0" in line]
    assert any("±" in line for line in lines)


def test_running_it_again_makes_nothing_again(finished, run_here, outcome_of):
    _, outcome = finished
    run = pathlib.Path(outcome["run"])
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    again = run_here(*SMALL, "--json", "--output", run.parent)
    assert outcome_of(again) == outcome
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


@pytest.mark.parametrize("model", GANS)
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
    prunable = {
        component: json.loads(
            run_here("--describe", "--model", "sngan", "--component", component).stdout
        )["prunable"]
        for component in ("both", "generator", "discriminator")
    }
    assert prunable["both"] == prunable["generator"] + prunable["discriminator"]
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
    recipe = tt.recipes.resolve("sngan-resnet", "digits", network={"width": 4})
    check_pruned_gan(outcome, recipe, (32, 32, 1))
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
    model = tt.models.build(recipe.model, image_shape, **recipe.network)
    trained.apply(model)
    names = names_of(model)
    averages = {names[id(weight)]: average for weight, average in model.averages}
    assert bool(averages) == (recipe.model == "sngan-resnet")
    for component in model.components.values():
        paths = {names[id(variable)] for variable in component.variables} & trained.masks.keys()
        assert sum(np.count_nonzero(~trained.masks[path]) for path in paths) > 0
        for path in paths:
            assert not trained.weights[path][~trained.masks[path]].any()
            if path in averages:
                assert not averages[path].numpy()[~trained.masks[path]].any()
                assert averages[path].numpy()[trained.masks[path]].any()
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
    check_pruned_gan(outcome, tt.recipes.resolve(model, "cifar10"), (32, 32, 3))


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
        ("--component generator", "argument --component: must be both, encoder or decoder"),
        ("--rate nan", "argument --rate"),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_loaded(
    words, message, run_script, assert_refused, tmp_path
):
    ran = run_script(*words.split(), "--output", tmp_path / "new")
    assert_refused(ran, 2, message)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--dataset faces", "invalid choice: 'faces'"),
        ("--channel-sparsity 0.5", "argument --channel-sparsity: is for --method early-bird"),
        ("--method early-bird --channel-sparsity 1", "argument --channel-sparsity: must be rising"),
        ("--method early-bird --channel-sparsity 0.5 0.3", "argument --channel-sparsity"),
        ("--method early-bird --mask-distance 0", "argument --mask-distance"),
        ("--method early-bird --scale-penalty -1", "argument --scale-penalty"),
        ("--method early-bird --draw-every 0", "argument --draw-every"),
        ("--method early-bird --round-to 0", "argument --round-to"),
        ("--method early-bird --rounds 3", "argument --rounds: means nothing"),
        ("--method early-bird --rewind-step 5", "argument --rewind-step: means nothing"),
        ("--method early-bird --component decoder", "argument --component: means nothing"),
        ("--method early-bird --arms winning shuffled", "argument --arms: has no shuffled"),
        ("--rate 1", "argument --rate"),
        ("--rate 0", "argument --rate"),
        ("--rounds 0", "argument --rounds"),
        ("--rounds two", "argument --rounds"),
        ("--epochs 0", "argument --epochs"),
        ("--limit 0", "argument --limit"),
        ("--image-size -8", "argument --image-size: must be at least 1"),
        ("--width 0", "argument --width: must be at least 1"),
        ("--learning-rate 0", "argument --learning-rate: must be above 0"),
        ("--learning-rate nan", "argument --learning-rate"),
        ("--evaluations 0", "argument --evaluations: must be at least 1"),
        ("--retries -1", "argument --retries: must be at least 0"),
        ("--seeds 1 1", "argument --seeds"),
        ("--seeds -1", "argument --seeds"),
        ("--arms random", "argument --arms"),
        ("--arms winning transferred", "invalid choice: 'transferred'"),
        ("--tolerance -1", "argument --tolerance"),
        ("--rewind-step -1", "argument --rewind-step"),
        ("--precision int8", "invalid choice: 'int8'"),
        ("--pool network", "invalid choice: 'network'"),
        ("--component head", "invalid choice: 'head'"),
        ("--component discriminator", "must be both, encoder or decoder for --model vae"),
        ("--model dcgan --component encoder", "must be both, generator or discriminator for"),
        ("--pool component --component decoder", "argument --pool"),
        ("--model wgan --pool component --component generator", "argument --pool"),
        ("--discriminator-init trained", "argument --discriminator-init: is for GANs"),
        ("--model dcgan --discriminator-init rewound", "invalid choice: 'rewound'"),
        ("--distill-discriminator", "argument --distill-discriminator: is for GANs"),
        ("--critic-steps 2", "argument --critic-steps: is for GANs"),
        ("--critic-steps 2", "which vae is not. Received: 2"),
        ("--pool component --component decoder", "Received: component"),
        ("--model dcgan --component discriminator --discriminator-init fresh", "Received: fresh"),
        ("--model wgan --distill-discriminator", "argument --distill-discriminator: is for verd"),
        ("--model wgan --gradient-penalty inf", "argument --gradient-penalty: must be a finite"),
        ("--learning-rate inf", "argument --learning-rate: must be a finite number"),
        ("--tolerance inf", "argument --tolerance: must be a finite number"),
        ("--model sngan --critic-steps 0", "argument --critic-steps: must be at least 1"),
        ("--gradient-penalty 10", "argument --gradient-penalty: is for GANs"),
        ("--gradient-penalty 0", "argument --gradient-penalty: is for GANs"),
        ("--model wgan --gradient-penalty -1", "argument --gradient-penalty: must be at least 0"),
        ("--model wgan --gradient-penalty nan", "argument --gradient-penalty"),
        ("--method lucky", "invalid choice: 'lucky'"),
        ("--method snip --one-shot", "argument --one-shot: is for --method imp"),
        ("--method synflow --rewind-step 10", "argument --rewind-step: must be 0"),
        (
            "--model dcgan --method grasp --distill-discriminator",
            "argument --distill-discriminator: is for --method imp",
        ),
        (
            "--model dcgan --method random --discriminator-init fresh",
            "argument --discriminator-init: is for --method imp",
        ),
        ("--arms shuffled", "argument --arms: must include winning"),
        (
            "--model dcgan --discriminator-init trained --arms winning shuffled",
            "argument --arms: shuffled keeps weights that have no trained values",
        ),
    ],
)
def test_a_bad_option_or_combination_is_refused(words, message, run_here, assert_refused, tmp_path):
    assert_refused(run_here(*words.split(), "--output", tmp_path / "new"), 2, message)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (
            "--method early-bird --model conv-ae --limit 64",
            2,
            "conv_ae has no batch or group normalisation",
        ),
        (
            "--limit 64 --batch-size 32 --epochs 1",
            2,
            "argument --rewind-step: must be at most 1 where a training has 2 steps. Received: 10, "
            "the default. Give a smaller --rewind-step or more --epochs.",
        ),
        ("--limit 64 --batch-size 32 --epochs 1 --rewind-step 2", 2, "Received: 2. Give"),
        ("--limit 16 --batch-size 32", 2, "batch_size"),
        (
            "--model sngan --critic-steps 5 --limit 64 --batch-size 16",
            2,
            "takes batch_size=16 images for each of critic_steps=5 updates",
        ),
        ("--model dcgan --metric loss", 2, "(choose from fcd, kcd, classifier_score)"),
        ("--limit 64 --batch-size 32 --epochs 2 --rewind-step 0 --evaluations 5", 2, "4 steps"),
        ("--model linear-ae --width 4", 2, "linear-ae has no option 'width'"),
        ("--metric beauty", 2, "argument --metric"),
        ("--metric fid", 2, "--inception"),
        ("--metric discriminator_loss", 2, "argument --metric"),
        ("--model dcgan --metric discriminator_loss", 2, "argument --metric"),
        ("--model dcgan --metric reconstruction_loss", 2, "not measured of a GAN"),
        ("--model sngan --metric classifier_accuracy", 2, "not measured of a GAN"),
        ("--model wgan --metric loss", 2, "not measured of a GAN"),
        ("--image-size 4", 2, "image size"),
        ("--model linear-ae --image-size 4", 2, "image_size"),
        ("--model dcgan --image-size 20", 2, "multiple of 8"),
        ("--dataset mnist --data-dir absent", 1, "mnist"),
        ("--inception absent --limit 64 --batch-size 32 --rewind-step 0", 1, "absent"),
        ("--output /dev/null/inside", 1, "/dev/null/inside"),
    ],
)
def test_what_cannot_work_is_one_clear_line(
    words, status, message, run_here, assert_refused, tmp_path
):
    ran = run_here("--output", tmp_path / "new", *words.split())
    assert_refused(ran, status, message)
    assert status == 1 or not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "words", ["--discriminator-init rewind", "--method synflow --rewind-step 0", "--method imp"]
)
def test_what_a_vae_does_anyway_may_be_said(words, run_here):
    ran = run_here("--describe", "--model", "vae", *words.split())
    assert ran.returncode == 0 and ran.stderr == ""
