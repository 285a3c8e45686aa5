"""Runs every example as a process of its own, and looks at what it prints."""

import ast
import pathlib
import re

import pytest

from tests import processes

EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def run(name, folder):
    ran = processes.run(EXAMPLES / name, cwd=folder, warnings_are_errors=True)
    assert ran.returncode == 0, ran.stderr
    assert not list(folder.iterdir()), "an example leaves files behind"
    return ran.stdout


def numbers(line):
    return [float(number.replace(",", "")) for number in re.findall(r"\d[\d,.]*", line)]


@pytest.mark.slow
def test_the_image_classifier_is_sparse_and_not_much_worse(tmp_path):
    lines = run("image_classifier.py", tmp_path).splitlines()
    (kept, accuracy, size), (sparse_kept, sparse_accuracy, sparse_size) = map(numbers, lines[1:3])
    assert sparse_kept == pytest.approx(0.2 * kept, abs=1)
    assert sparse_accuracy > accuracy - 0.08 > 0.8
    assert sparse_size < 0.5 * size


def test_the_gan_keeps_its_zeros_through_two_optimizers(tmp_path):
    printed = run("gan.py", tmp_path)
    assert re.findall(r"round (\d): Ticket\((\d+\.\d)", printed) == [
        ("1", "40.0"),
        ("2", "64.0"),
        ("3", "78.4"),
    ]
    assert "0 of 80,507 removed weights are not 0" in printed


@pytest.mark.slow
def test_the_table_is_learned_by_both_arms(tmp_path):
    lines = run("tabular.py", tmp_path).splitlines()
    assert [numbers(line)[0] for line in lines[1:4]] == [60, 84, 93.6]
    assert all(0.8 < accuracy <= 1 for line in lines[1:4] for accuracy in numbers(line)[1:])
    assert re.search("(winning ticket|candidate): round [1-3]|no round wins", lines[4])


@pytest.mark.slow
def test_cards_of_ones_own_go_to_a_table_figures_and_an_export(run_script, tmp_path):
    words = "--model dense-vae --dataset discs --method lamp-at-init --metric brightness_gap"
    words += " --rounds 2 --rate 0.5 --seeds 0 --epochs 2 --limit 64 --batch-size 32 --output"
    ran = run_script("--extension", EXAMPLES / "my_cards.py", *words.split(), tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "brightness_gap by round" in ran.stdout
    assert re.search(r"^ +2 +75.00 %", ran.stdout, flags=re.MULTILINE)
    assert "inning ticket" in ran.stdout.splitlines()[-6]  # above the files
    (run,) = tmp_path.iterdir()
    assert list((run / "figures").glob("*brightness_gap*.png"))
    assert (run / "export" / "saved_model" / "saved_model.pb").exists()


def test_cards_of_ones_own_are_few_lines():
    assert len((EXAMPLES / "my_cards.py").read_text().splitlines()) <= 65


@pytest.mark.slow
def test_the_slim_unet_finds_the_disc_with_a_quarter_of_the_work(tmp_path):
    whole, slim = map(numbers, run("unet.py", tmp_path).splitlines()[-2:])
    assert slim[0] < 0.3 * whole[0] and slim[1] < 0.3 * whole[1]
    assert slim[2] > whole[2] - 0.1 and slim[2] > 0.5


def test_every_example_is_run_and_says_what_it_is():
    here = pathlib.Path(__file__).read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in here
        usage = re.search("Usage: python .*", ast.get_docstring(ast.parse(path.read_text())))[0]
        assert f"examples/{path.name}" in usage
