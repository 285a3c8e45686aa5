import pathlib
import shutil
import time

import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.files import read_sealed_json, write_sealed_json

SCRIPT = "transfer_ticket.py"
TRAINING = "--limit 64 --epochs 2 --batch-size 16 --rewind-step 1 --evaluations 1".split()
FINDING = [*TRAINING, *"--width 4 --rate 0.5 --arms winning --all-rounds --json".split()]
# What is found, what it is for, and what that is called where they share an architecture.
WAYS = {"vae": ("dcgan", "dcgan-shared"), "dcgan-shared": ("vae", "vae")}


@pytest.fixture(scope="module")
def found(run_here, outcome_of, tmp_path_factory):
    """A run of find_tickets.py for each of the two ways, by its model."""
    output = tmp_path_factory.mktemp("found")
    return {
        model: pathlib.Path(outcome_of(run_here(*words, *FINDING, "--output", output))["run"])
        for model, *words in (
            ("vae", *"--model vae --seeds 0 1 --rounds 1".split()),
            ("dcgan-shared", *"--model dcgan-shared --seeds 0 --rounds 2".split()),
        )
    }


@pytest.fixture(scope="module", params=slow_but(["vae", "dcgan-shared"]))
def transferred(request, run_here, outcome_of, found, tmp_path_factory):
    """The source model, the words of the command, and its outcome."""
    output = tmp_path_factory.mktemp("transferred")
    to, _ = WAYS[request.param]
    words = ["--from", found[request.param], "--to", to, *TRAINING, "--json", "--output", output]
    return request.param, words, outcome_of(run_here(*words, script=SCRIPT))


def test_three_arms_keep_equally_many_weights(transferred, found):
    source, _, outcome = transferred
    run = pathlib.Path(outcome["run"])
    assert run.name.startswith(f"{source}-to-{WAYS[source][1]}-digits-")
    records = tt.read_results(run / "results.jsonl")
    kept = {}
    for record in records:
        kept.setdefault((record["seed"], record["round"]), {})[record["arm"]] = record["kept"]
    vae = source == "vae"
    assert list(kept) == [(0, 0), (0, 1), (1, 0), (1, 1)] if vae else [(0, 0), (0, 1), (0, 2)]
    for (seed, number), by_arm in kept.items():
        if number:
            assert list(by_arm) == ["winning", "transferred", "random"]
            ticket = tt.Ticket.load(
                found[source] / f"seed-{seed}/round-{number:02d}/winning/ticket.safetensors"
            )
            part = "decoder" if vae else "generator"
            kept_there = [m.sum() for path, m in ticket.masks.items() if path.startswith(part)]
            assert set(by_arm.values()) == {sum(kept_there)}
        else:
            assert list(by_arm) == ["dense"]


def test_a_transferred_ticket_starts_from_the_other_models_weights(transferred, found):
    source, _, outcome = transferred
    stage = "seed-0/round-01/{}/ticket.safetensors"
    old = tt.Ticket.load(found[source] / stage.format("winning"))
    new = tt.Ticket.load(pathlib.Path(outcome["run"]) / stage.format("transferred"))
    random = tt.Ticket.load(pathlib.Path(outcome["run"]) / stage.format("random"))
    here, there = ("decoder", "generator") if source == "vae" else ("generator", "decoder")
    moved = [path for path in old.weights if path.startswith(here)]
    assert len(moved) > 10
    for path in moved:
        path_there = path.replace(here, there)
        assert (new.weights[path_there] == old.weights[path]).all()
        if path in old.masks:
            assert (new.masks[path_there] == old.masks[path]).all()
            assert (random.weights[path_there] != old.weights[path]).any()
    assert random.masks == new.masks
    # The rest of the other model is dense.
    assert all(path.startswith(there) for path in new.masks)


def test_its_figures_and_its_json(transferred):
    source, _, outcome = transferred
    run = pathlib.Path(outcome["run"])
    figures = {figure.name for figure in (run / "figures").iterdir()}
    of_model = {"fcd.png", "discriminator_loss.png"} if source == "vae" else {"loss.png"}
    assert figures == {"images.png"} | of_model
    assert all(tf.io.decode_png((run / "figures" / name).read_bytes()).shape for name in figures)
    assert outcome["dense"]["fcd"] > 0
    rounds = [(line["arm"], line["round"]) for line in outcome["rounds"]]
    assert rounds == [("transferred", number + 1) for number in range(len(rounds))]
    assert len(rounds) == (1 if source == "vae" else 2)


@pytest.mark.parametrize("by_record", [False, True])
def test_running_it_again_makes_nothing_again(by_record, transferred, run_here, outcome_of):
    source, words, outcome = transferred
    run = pathlib.Path(outcome["run"])
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")}
    if by_record:
        words = ["--config", run, "--json", "--output", run.parent]
    again = run_here(*words, script=SCRIPT)
    assert outcome_of(again) == outcome
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*.safetensors")} == before
    assert ("Note: model dcgan-shared: the tickets do not fit dcgan\n" in again.stdout) == (
        WAYS[source][0] == "dcgan"
    )
    assert "\nA training: 8 optimizer steps, 2 epochs\n" in again.stdout
    table = [line.split() for line in again.stdout.splitlines()]
    heads = "round sparsity winning transferred random % worse than own p".split()
    assert heads in table


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("--to sngan", 2, "first in decoder_"),
        ("--to sngan", 2, "A ticket of vae cannot go to sngan. "),
        ("--to sngan", 2, "It could go to beta-vae, dcgan-shared."),
        ("--to linear-ae", 2, "first in decoder_"),
        ("--to dcgan --dataset cifar10", 2, "first in decoder_conv"),
        ("--to dcgan --seeds 2", 1, "has no ticket of seed 2, round 1. Choose other --seeds or"),
        ("--to dcgan --rounds 2", 1, "has no ticket of seed 0, round 2"),
        ("--to dcgan --metric discriminator_loss", 2, "argument --metric"),
        ("--to dcgan --metric reconstruction_loss", 2, "is not measured of such a model"),
        ("--to dcgan --rewind-step 8", 2, "argument --rewind-step: must be at most 7"),
        ("--to dcgan --evaluations 9", 2, "argument --evaluations: must be at most 8"),
        ("--to dcgan --batch-size 65", 2, "--batch-size"),
    ],
)
def test_what_cannot_be_transferred_is_one_clear_line(
    words, status, message, run_here, assert_refused, found, tmp_path
):
    source = ["--from", found["vae"], *TRAINING, "--output", tmp_path / "new"]
    assert_refused(run_here(*source, *words.split(), script=SCRIPT), status, message)
    assert not (tmp_path / "new").exists()


def test_as_many_images_are_used_as_in_the_run(run_here, assert_refused, found, tmp_path):
    words = [*"--to dcgan --batch-size 80 --output".split(), tmp_path / "new"]
    for limit, number in (([], 64), (["--limit", 72], 72)):
        ran = run_here("--from", found["vae"], *words, *limit, script=SCRIPT)
        assert_refused(ran, 2, f"must not exceed the {number} images of digits-")


@pytest.fixture
def copy(found, tmp_path):
    """A copy of the VAE's run, to be spoilt."""
    return pathlib.Path(shutil.copytree(found["vae"], tmp_path / "copy"))


@pytest.fixture
def refused(run_here, assert_refused, tmp_path):
    """Assert that a run's tickets are refused before anything is made."""

    def check(run, status, message, *words):
        words = [*TRAINING, *words, "--output", tmp_path / "new"]
        ran = run_here("--from", run, "--to", "dcgan", *words, script=SCRIPT)
        assert_refused(ran, status, message)
        assert not (tmp_path / "new").exists()

    return check


def test_what_is_no_run_is_refused(refused, tmp_path):
    refused(tmp_path, 1, "holds no run")
    refused(tmp_path / "absent", 1, "holds no run")


def test_a_run_of_another_script_is_refused(refused, transferred):
    _, _, outcome = transferred
    refused(outcome["run"], 2, "argument --from: must be a run of find_tickets.py")


def test_a_run_that_has_not_come_far_is_refused(refused, copy):
    (copy / "results.jsonl").unlink()  # which the stages make anew
    shutil.rmtree(copy / "seed-1/round-01/winning")
    refused(copy, 1, "has no ticket of seed 1, round 1", "--seeds", "0", "1")
    flip(copy / "seed-0/round-01/winning/result.json")
    refused(copy, 1, "result.json is damaged", "--seeds", "0")
    for stage in copy.glob("seed-*/round-01"):
        shutil.rmtree(stage)
    refused(copy, 1, "no finished round")


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 4
    file.write_bytes(content)


def test_a_damaged_run_is_refused(refused, copy):
    ticket = copy / "seed-0/round-01/winning/ticket.safetensors"
    flip(ticket)
    refused(copy, 1, "is damaged")
    ticket.unlink()
    refused(copy, 1, "Cannot read the ticket")
    (copy / "run.json").write_text("{}")
    refused(copy, 1, "run.json")


def test_a_run_that_pruned_only_the_encoder_has_nothing_to_transfer(refused, copy):
    for file in copy.rglob("ticket.safetensors"):
        ticket = tt.Ticket.load(file)
        encoder = {path: mask for path, mask in ticket.masks.items() if path.startswith("encoder")}
        tt.Ticket(tt.Masks(encoder), ticket.weights, ticket.config).save(file)
    refused(copy, 2, "prunes nothing of the decoder")


def test_the_other_model_is_as_wide_as_the_run_on_any_data_set(refused, copy):
    """The recipes for digits are narrower than those for MNIST."""
    content = read_sealed_json(copy / "run.json")
    recipe = {**content["settings"]["recipe"], "dataset": "mnist", "network": {"width": 64}}
    options = {**content["settings"]["model_options"], "width": 64, "latent_dim": 32}
    settings = {**content["settings"], "recipe": recipe, "model_options": options}
    for network in ({"width": 64}, {}):
        settings["recipe"]["network"] = network
        write_sealed_json(copy / "run.json", {**content, "settings": settings})
        refused(
            copy, 2, "--batch-size: must not exceed", "--dataset", "digits", "--batch-size", "65"
        )


@pytest.mark.slow
@pytest.mark.parametrize("source", WAYS)
def test_finding_and_transferring_take_less_than_five_minutes(
    source, run_script, outcome_of, tmp_path
):
    begun = time.perf_counter()
    small = "--limit 512 --epochs 3 --rounds 3 --rate 0.5 --evaluations 1 --json --output".split()
    run = outcome_of(run_script("--model", source, *small, tmp_path))["run"]
    to, _ = WAYS[source]
    words = "--limit 512 --epochs 3 --evaluations 1 --json --output".split()
    ran = run_script("--from", run, "--to", to, *words, tmp_path, script=SCRIPT)
    assert len(outcome_of(ran)["rounds"]) == 3
    assert time.perf_counter() - begun < 300
