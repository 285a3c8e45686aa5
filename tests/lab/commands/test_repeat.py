import shlex

import pytest

from tf_tickets.lab.commands.find import FindOutput
from tf_tickets.lab.commands.repeat import command_of
from tf_tickets.lab.commands.run_parser import RunParser


@pytest.mark.parametrize(
    "words",
    [
        "--model vae",
        "--model linear-ae --dataset mnist --epochs 5 --seeds 5 6 7 --all-rounds",
        "--model dcgan --method early-bird --channel-sparsity 0.2 0.4 --ema-decay 0.98",
        "--model sngan --critic-steps 2 --distill-discriminator --metric kcd --tolerance 0.05",
        "--model vae --method snip --rounds 3 --threads 2 --arms winning shuffled --limit 64",
        "--model vae --num-samples 500 --precision mixed_bfloat16 --component decoder",
    ],
)
def test_the_command_asks_for_the_same_config(words):
    config, _ = parsed(words.split())
    python, script, *repeated = shlex.split(command_of(config))
    assert (python, script) == ("python", "scripts/find_tickets.py")
    assert parsed(repeated)[0] == config


def test_the_command_says_no_more_than_was_asked():
    config, _ = parsed("--model vae --rounds 3 --seeds 0 1 2 3 4".split())
    assert command_of(config) == "python scripts/find_tickets.py --model vae --rounds 3"


def test_a_folder_of_the_machine_is_left_out():
    config, _ = parsed(["--model", "vae", "--dataset", "mnist", "--data-dir", "/somewhere"])
    assert "/somewhere" not in command_of(config)


def parsed(words):
    return RunParser(words, "Find tickets.", FindOutput).parse()
