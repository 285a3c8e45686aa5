"""The command lines of the three commands, as far as no TensorFlow is needed to read them."""

import dataclasses
import json
import re
import resource
import subprocess
import sys

import pytest

from tf_tickets.errors import FileError
from tf_tickets.lab.commands import compare, find, transfer
from tf_tickets.lab.commands.run_parser import Output, RunParser
from tf_tickets.lab.config import Data, Judging, RunConfig
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.methods import METHODS, EarlyBird, IterativeMagnitude, Snip, Transfer
from tf_tickets.lab.models import MODELS, AdversarialTraining, GanTraining, Training

ADVERSARIAL = [
    name for name, card in MODELS.items() if issubclass(card.family.training, AdversarialTraining)
]
GANS = [name for name, card in MODELS.items() if card.family.training is GanTraining]


def parse(words, **options):
    """Return the config and the output of a command line of find_tickets.py."""
    parser = RunParser(words.split() if isinstance(words, str) else words, "", **options)
    config, arguments = parser.parse()
    return config, parser.output(arguments)


def test_the_bare_command_is_the_default_run():
    assert parse("") == (RunConfig(), Output("saved_models", False))


def test_each_word_fills_its_group():
    words = (
        "--model sngan --method early-bird --channel-sparsity 0.2 0.4 --round-to 8 --whole-groups "
        "--dataset cifar10 --limit 512 --critic-steps 2 --epochs 3 --metric kcd --tolerance 0.2 "
        "--num-samples 5000 --inception somewhere --seeds 4 5 --arms winning --strategy mirrored "
        "--output there --json"
    )
    assert parse(words) == (
        RunConfig(
            "sngan",
            EarlyBird(channel_sparsity=(0.2, 0.4), round_to=8, whole_groups=True),
            Data("cifar10", limit=512),
            GanTraining(critic_steps=2, epochs=3),
            Judging("kcd", 0.2, inception="somewhere", num_samples=5000),
            seeds=(4, 5),
            arms=("winning",),
            strategy="mirrored",
        ),
        Output("there", True),
    )


def engine_of(words):
    """Return where a command line of find_tickets.py lets train."""
    parser = RunParser(words.split(), "")
    config, arguments = parser.parse()
    return parser.engine(arguments, config)


def test_a_command_lets_processes_train_unless_it_is_told_otherwise(ray_is_installed):
    assert engine_of("") == EngineOptions("processes")
    assert engine_of("--strategy mirrored") == EngineOptions("here")
    words = "--engine ray --workers 8 --workers-per-gpu 2 --address auto"
    assert engine_of(words) == EngineOptions("ray", 8, 2, "auto")


def test_where_it_is_trained_is_not_of_the_config_but_the_threads_are():
    words = "--engine processes --workers 3 --workers-per-gpu 2"
    assert parse(words) == parse("") and parse("--engine here")[0] == RunConfig()
    assert parse("--threads 3")[0] == RunConfig(threads=3)


def test_all_rounds_may_be_asked_for():
    assert parse("--all-rounds")[0].method == IterativeMagnitude(all_rounds=True)


def test_a_command_can_fix_the_method_with_its_defaults_and_name_the_model_otherwise():
    options = {"method": IterativeMagnitude(rounds=7), "model_flag": ("--of", "dcgan")}
    assert parse("--rewind-step 3", **options)[0] == RunConfig(
        "dcgan", IterativeMagnitude(rounds=7, rewind_step=3)
    )
    assert parse("--of vae --rounds 2", **options)[0].method.rounds == 2


@pytest.mark.parametrize("name", [name for name, card in METHODS.items() if card.in_find])
def test_every_method_of_find_can_be_chosen(name):
    assert parse(["--method", name])[0] == RunConfig(method=METHODS[name]())


BAD = [
    ("--model gan", "argument --model: invalid choice: 'gan'"),
    ("--method lucky", "argument --method: invalid choice: 'lucky'"),
    ("--method transfer", "argument --method: invalid choice: 'transfer'"),
    ("--dataset faces", "argument --dataset: must be one of digits"),
    ("--metric beauty", "argument --metric: must be one of"),
    ("vae", "unrecognized arguments: vae"),
    ("--speed 3", "unrecognized arguments: --speed"),
    ("--rate 1", "argument --rate: must be below 1. Received: 1.0"),
    ("--rate 0", "argument --rate: must be above 0. Received: 0.0"),
    ("--rate nan", "argument --rate: must be a finite number. Received: nan"),
    ("--rounds 0", "argument --rounds: must be at least 1. Received: 0"),
    ("--rounds two", "argument --rounds: invalid int value: 'two'"),
    ("--epochs 0", "argument --epochs: must be at least 1. Received: 0"),
    ("--limit 0", "argument --limit: must be at least 1. Received: 0"),
    ("--image-size -8", "argument --image-size: must be at least 1. Received: -8"),
    ("--width 0", "argument --width: must be at least 1. Received: 0"),
    ("--model linear-ae --width 4", "argument --width: must not be given for linear-ae"),
    ("--learning-rate 0", "argument --learning-rate: must be above 0. Received: 0.0"),
    ("--learning-rate nan", "argument --learning-rate: must be a finite number"),
    ("--learning-rate inf", "argument --learning-rate: must be a finite number"),
    ("--evaluations 0", "argument --evaluations: must be at least 1. Received: 0"),
    ("--batch-size 0", "argument --batch-size: must be at least 1. Received: 0"),
    ("--retries -1", "argument --retries: must be at least 0. Received: -1"),
    ("--rewind-step -1", "argument --rewind-step: must be at least 0. Received: -1"),
    ("--tolerance -1", "argument --tolerance: must be at least 0. Received: -1"),
    ("--tolerance inf", "argument --tolerance: must be a finite number. Received: inf"),
    ("--seeds 1 1", "argument --seeds: must be different numbers. Received: (1, 1)"),
    ("--seeds -1", "argument --seeds: must be at least 0. Received: -1"),
    ("--arms random", "argument --arms: must include winning, whose masks the others take"),
    ("--arms shuffled", "argument --arms: must include winning"),
    (
        "--arms winning winning",
        "argument --arms: must include winning, whose masks the others take",
    ),
    ("--arms winning transferred", "argument --arms: invalid choice: 'transferred'"),
    ("--precision int8", "argument --precision: invalid choice: 'int8'"),
    ("--strategy two", "argument --strategy: invalid choice: 'two'"),
    ("--pool network", "argument --pool: invalid choice: 'network'"),
    ("--num-samples 1", "argument --num-samples: must be at least 2. Received: 1"),
    ("--num-samples 50001", "argument --num-samples: must be at most 50000. Received: 50001"),
    ("--threads 0", "argument --threads: must be at least 1. Received: 0"),
    # what fits only some engines
    ("--engine threads", "argument --engine: invalid choice: 'threads'"),
    ("--workers 0", "argument --workers: must be at least 1. Received: 0"),
    ("--workers-per-gpu 0", "argument --workers-per-gpu: must be at least 1. Received: 0"),
    ("--workers 2 --engine here", "argument --workers: must be 1 if the engine is here. Receiv"),
    ("--address auto", "argument --address: is for the engine ray. Received: auto"),
    ("--address auto --engine processes", "argument --address: is for the engine ray. Received"),
    (
        "--engine processes --strategy mirrored",
        "argument --engine: must be here if the strategy is mirrored. Received: processes",
    ),
    ("--engine ray --strategy multi-worker", "argument --engine: must be here if the strategy is"),
    ("--workers 2 --strategy mirrored", "argument --workers: must be 1 if the engine is here"),
    # what fits only some models
    ("--component head", "argument --component: must be all, encoder or decoder for the model vae"),
    ("--component discriminator", "must be all, encoder or decoder for the model vae"),
    ("--model dcgan --component encoder", "must be all, generator or discriminator for"),
    ("--pool component --component decoder", "argument --pool: must be model or layer"),
    ("--pool component --component decoder", "Received: component"),
    ("--model wgan --pool component --component generator", "argument --pool: must be model or"),
    ("--model dcgan --discriminator-init rewound", "invalid choice: 'rewound'"),
    (
        "--model dcgan --component discriminator --discriminator-init fresh",
        "argument --discriminator-init: must be rewind or trained if only the discriminator is "
        "pruned. Received: fresh",
    ),
    (
        "--model wgan --distill-discriminator",
        "argument --distill-discriminator: needs a discriminator that outputs probabilities",
    ),
    ("--model sngan --critic-steps 0", "argument --critic-steps: must be at least 1. Received: 0"),
    ("--model wgan --gradient-penalty inf", "argument --gradient-penalty: must be a finite"),
    ("--model wgan --gradient-penalty nan", "argument --gradient-penalty: must be a finite"),
    ("--model wgan --gradient-penalty -1", "argument --gradient-penalty: must be at least 0"),
    (
        "--model dcgan --discriminator-init trained --arms winning shuffled",
        "argument --arms: cannot have shuffled if --discriminator-init is trained",
    ),
    # what fits only some methods
    ("--method early-bird --channel-sparsity 1", "argument --channel-sparsity: must be below 1"),
    ("--method early-bird --channel-sparsity 0.5 0.3", "argument --channel-sparsity: must be ris"),
    ("--method early-bird --mask-distance 0", "argument --mask-distance: must be above 0"),
    ("--method early-bird --scale-penalty -1", "argument --scale-penalty: must be at least 0"),
    ("--method early-bird --draw-every 0", "argument --draw-every: must be at least 1"),
    ("--method early-bird --round-to 0", "argument --round-to: must be at least 1. Received: 0"),
    ("--method early-bird --arms winning shuffled", "argument --arms: invalid choice: 'shuffled'"),
    (
        "--model dcgan --method grasp --distill-discriminator",
        "argument --distill-discriminator: is for the method imp",
    ),
    (
        "--model dcgan --method random-at-init --discriminator-init fresh",
        "argument --discriminator-init: is for the method imp",
    ),
    (
        "--model dcgan --method early-bird --discriminator-init fresh",
        "argument --discriminator-init: is for the method imp",
    ),
]


@pytest.mark.parametrize(("words", "message"), BAD)
def test_a_bad_option_or_combination_is_one_line(words, message, refused):
    refused(find, words.split(), message)


# The flag -> whose option it is.
FOREIGN = [
    ("--channel-sparsity 0.5", "--method early-bird"),
    ("--round-to 8", "--method early-bird"),
    ("--draw-every=2", "--method early-bird"),
    ("--method snip --one-shot", "--method imp"),
    ("--method synflow --rewind-step 10", "--method imp"),
    *(
        (
            f"--method early-bird {words}",
            "--method imp, snip, grasp, synflow, magnitude-at-init or random-at-init",
        )
        for words in ("--rounds 3", "--rate 0.3", "--component decoder")
    ),
    ("--method early-bird --rewind-step 5", "--method imp"),
    *(
        (words, f"--model {', '.join(GANS[:-1])} or {GANS[-1]}")
        for words in (
            "--critic-steps 2",
            "--gradient-penalty 0",
            "--ema-decay 0.9",
            "--distill-discriminator",
        )
    ),
    (
        "--discriminator-init trained",
        f"--model {', '.join(ADVERSARIAL[:-1])} or {ADVERSARIAL[-1]}",
    ),
]


@pytest.mark.parametrize(("words", "owner"), FOREIGN)
def test_an_option_of_another_method_or_model_is_refused_by_whose_it_is(words, owner, refused):
    flag = re.findall(r"--[\w-]+", words)[-1]
    refused(find, words.split(), f"find: error: {flag} is an option of {owner}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "argument --to is required"),
        ("--from somewhere", "argument --to is required"),
        ("--from somewhere --rounds 2", "argument --to is required"),
        ("--to vae", "argument --from: is required: give the folder of a run of find_tickets.py"),
        ("--from somewhere --to gan", "argument --to: invalid choice: 'gan'"),
        ("--from somewhere --to vae --rounds 0", "argument --rounds: must be at least 1"),
        ("--from somewhere --to vae --seeds 1 1", "argument --seeds: must be different numbers"),
        ("--from somewhere --to vae --evaluations 0", "argument --evaluations: must be at least"),
        ("--from somewhere --to vae --dataset faces", "argument --dataset: must be one of "),
        ("--from somewhere --to vae --workers 0", "argument --workers: must be at least 1"),
        ("--from somewhere --to vae --component all", "unrecognized arguments: --component"),
        ("--from somewhere --to vae --arms winning", "unrecognized arguments: --arms"),
        ("--from somewhere --to vae --critic-steps 2", "--critic-steps is an option of --to dcgan"),
        ("--from somewhere --to vae --gradient-penalty 1", "is an option of --to dcgan"),
        (
            "--from somewhere --to dcgan --discriminator-init fresh",
            "argument --discriminator-init: means nothing to tickets that are transferred",
        ),
        (
            "--from somewhere --to dcgan --distill-discriminator",
            "argument --distill-discriminator: means nothing to tickets that are transferred",
        ),
    ],
)
def test_a_bad_option_of_a_transfer_is_one_line(words, message, refused):
    refused(transfer, words.split(), message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--precision mixed_bfloat16", "argument --precision: is always float32 here"),
        ("--rounds 0", "argument --rounds: must be at least 1"),
        ("--channel-sparsity 0.5", "unrecognized arguments: --channel-sparsity"),
        ("--methods lasso", "argument --methods: invalid choice: 'lasso'"),
        ("--seeds 1 1", "argument --seeds: must be different numbers"),
        ("--width 0", "argument --width: must be at least 1"),
        ("--workers 2 --engine here", "argument --workers: must be 1 if the engine is here"),
        ("--rate 0.3", "unrecognized arguments: --rate"),
        ("--method imp", "unrecognized arguments: --method"),
        ("--model vae --critic-steps 2", "--critic-steps is an option of --model dcgan"),
        ("--discriminator-init fresh", "argument --discriminator-init: is for the method imp"),
    ],
)
def test_a_bad_option_of_a_comparison_is_one_line(words, message, refused):
    refused(compare, words.split(), message)


def test_a_refusal_takes_less_than_a_second_and_loads_no_tensorflow():
    check = (
        "import sys\n"
        "from tf_tickets.lab.commands.console import exit_with_one_line\n"
        "from tf_tickets.lab.commands.find import main\n"
        "try:\n"
        "    exit_with_one_line(main)\n"
        "finally:\n"
        "    print('tensorflow' in sys.modules)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-c", check, "--round-to", "8"],
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (ran.returncode, ran.stdout) == (2, "False\n")
    assert ran.stderr == "-c: error: --round-to is an option of --method early-bird\n"
    # Of the processor, as other processes may have the machine.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.parametrize("words", ["", "--method imp", "--component both", "--arms random winning"])
def test_what_is_so_anyway_may_be_said(words):
    assert parse(words)[0] == RunConfig()


# --- Help: only what belongs to the chosen model and method


def help_of(command, ended_early, *words):
    status, out, error = ended_early(command, *words, "--help")
    assert (status, error) == (0, "")
    return out


def groups_of(text):
    return re.findall(r"^(\w[\w -]*):$", text, flags=re.MULTILINE)


def test_help_shows_the_groups_of_the_chosen_model_and_method(ended_early):
    plain = help_of(find, ended_early)
    expected = ["options", "search", "run", "method imp", "data", "training", "judging"]
    assert groups_of(plain) == [*expected, "engine", "output"]
    assert "--rewind-step" in plain and "--round-to" not in plain
    assert "--critic-steps" not in plain and "transferred}" not in plain
    chosen = help_of(find, ended_early, "--model", "sngan", "--method", "early-bird")
    assert "method early-bird" in groups_of(chosen) and "method imp" not in groups_of(chosen)
    assert "--round-to" in chosen and "--critic-steps" in chosen
    assert "--rewind-step" not in chosen and "--rounds" not in chosen
    assert "{winning,random}" in chosen


def test_help_of_the_other_commands(ended_early):
    moved = help_of(transfer, ended_early, "--to", "dcgan")
    assert "--from FROM" in moved and "--method" not in moved and "--arms" not in moved
    assert "method transfer" in groups_of(moved) and "--critic-steps" in moved
    assert "engine" in groups_of(moved) and "--threads" in moved
    compared = help_of(compare, ended_early)
    assert "3 7)" in compared and "--rate" not in compared
    assert "(default: dcgan-table2)" in " ".join(compared.split())


def test_help_names_each_method_with_what_a_round_prunes(ended_early):
    shown = " ".join(help_of(find, ended_early).split())
    for name, card in METHODS.items():
        assert (f"{name}: {card.title}" in shown) == card.in_find


# --- --config: a run from its own record


@pytest.fixture
def record(tmp_path):
    """Write a run folder's config.json, and return the folder."""

    def write(config):
        (tmp_path / "config.json").write_text(json.dumps({"config": config.to_dict()}))
        return str(tmp_path)

    return write


FOUND = RunConfig(
    "sngan",
    Snip(rounds=3, rate=0.4, component="generator"),
    Data("cifar10", limit=512),
    GanTraining(epochs=2, critic_steps=2, width=8),
    Judging("kcd", 0.3),
    seeds=(7,),
    arms=("winning", "shuffled"),
    network={"latent_dim": 8},
)


def test_a_record_is_read_whole_and_another_flag_overrides(record):
    folder = record(FOUND)
    assert parse(["--config", folder])[0] == FOUND
    assert parse(["--config", f"{folder}/config.json"])[0] == FOUND
    changed = parse(["--config", folder, *"--rounds 5 --epochs 4 --seeds 1 2".split()])[0]
    assert changed == dataclasses.replace(
        FOUND,
        method=dataclasses.replace(FOUND.method, rounds=5),
        training=dataclasses.replace(FOUND.training, epochs=4),
        seeds=(1, 2),
    )


def test_beside_another_method_or_model_the_options_that_both_have_are_kept(record):
    folder = record(FOUND)
    other = parse(["--config", folder, "--method", "early-bird"])[0]
    assert other == dataclasses.replace(FOUND, method=EarlyBird(), arms=("winning",))
    other = parse(["--config", folder, "--method", "grasp"])[0]
    assert other.method == METHODS["grasp"](rounds=3, rate=0.4, component="generator")
    words = "--model vae --component decoder --metric fcd"
    other = parse(["--config", folder, *words.split()])[0]
    assert other.training == Training(epochs=2, width=8) and other.data == FOUND.data
    assert other.method == dataclasses.replace(FOUND.method, component="decoder")


def test_an_option_that_is_foreign_to_the_record_is_refused(record, refused):
    words = ["--config", record(FOUND), "--rewind-step", "3"]
    refused(find, words, "--rewind-step is an option of --method imp")


def test_a_record_of_a_transfer_is_for_its_own_command(record, refused):
    moved = RunConfig("dcgan", Transfer(source="somewhere", rounds=2), seeds=(3,))
    words = ["--config", record(moved)]
    refused(find, words, "argument --config: must be of a run of find_tickets.py")
    options = {"method": Transfer(), "model_flag": ("--to", None), "leave_out": ("arms",)}
    assert parse(words, **options)[0] == moved


def test_a_record_that_cannot_be_read_is_one_line(tmp_path, ended_early):
    (tmp_path / "broken.json").write_text("[")
    for name, message in (("absent", "Cannot read"), ("broken.json", "is not the JSON of a run's")):
        status, _, error = ended_early(find, "--config", tmp_path / name)
        assert status == 1 and message in error and error.count("\n") == 1


# --- --extension: cards of one's own


SCORE = """
import dataclasses
import tf_tickets as tt
from tf_tickets.lab.methods import AtInitialization

@tt.lab.register
@dataclasses.dataclass(frozen=True)
class Smallest(AtInitialization):
    name, title, color = "{name}", "the largest initial weights", "#123456"

    def scores(self, model, kernels, losses, seed):
        return {{name: -abs(v.numpy()) for name, v in zip(kernels.names, kernels, strict=True)}}
"""


def test_a_score_in_a_file_is_found_by_its_name(tmp_path, ended_early):
    path = tmp_path / "smallest.py"
    path.write_text(SCORE.format(name="smallest-of-options"))
    words = ["--extension", str(path), *"--method smallest-of-options --rate 0.3".split()]
    config = parse(words)[0]
    assert config.method == METHODS["smallest-of-options"](rate=0.3)
    assert config.extensions == (str(path),)
    assert "smallest-of-options: the largest" in " ".join(help_of(find, ended_early).split())


def test_a_record_names_its_extensions(tmp_path, record):
    path = tmp_path / "smallest.py"
    path.write_text(SCORE.format(name="smallest-of-record"))
    found = {**FOUND.to_dict(), "extensions": [str(path)]}
    found["method"]["name"] = "smallest-of-record"
    (tmp_path / "config.json").write_text(json.dumps({"config": found}))
    config = parse(["--config", str(tmp_path)])[0]
    assert config.method.name == "smallest-of-record" and config.extensions == (str(path),)


def test_an_extension_that_fails_is_one_line_that_names_the_file(tmp_path, ended_early):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0")
    status, _, error = ended_early(find, "--extension", path)
    assert status == 1
    assert "broken.py failed: ZeroDivisionError: division by zero" in error
    assert error.count("\n") == 1
    with pytest.raises(FileError, match="no Python file"):
        parse(["--extension", str(tmp_path / "absent.py")])


def test_a_name_that_is_taken_is_one_line(tmp_path, ended_early):
    path = tmp_path / "again.py"
    path.write_text(SCORE.format(name="snip"))
    status, _, error = ended_early(find, "--extension", path)
    assert status == 1 and "There is already a method 'snip'" in error
