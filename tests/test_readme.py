"""Runs README's commands and every snippet of it."""

import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def test_the_two_commands_come_first():
    first, second = (block.strip() for block in blocks("bash"))
    assert first == "pip install -e . && python scripts/find_tickets.py --model vae"
    assert second == "pip install -e '.[test]' && pytest"
    assert second in (ROOT / ".ci" / "run").read_text()


def test_the_snippets_run_in_their_order(tmp_path):
    snippets = "\n".join(blocks("python"))
    (tmp_path / "saved_models").symlink_to(ROOT / "saved_models")
    ran = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", snippets],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "% kept" in ran.stdout
    assert (tmp_path / "exported" / "saved_model.pb").exists()


def test_the_main_command_runs_at_a_small_scale(run_script, tmp_path):
    command = blocks("bash")[0].split("&&")[1]
    words = shlex.split(command)[2:]
    small = "--limit 64 --rounds 1 --epochs 6 --batch-size 32 --seeds 0 --output".split()
    ran = run_script(*words, *small, tmp_path)
    assert ran.returncode == 0, ran.stderr
    (run,) = tmp_path.iterdir()
    assert list((run / "figures").glob("*.png"))


@pytest.mark.slow
def test_the_main_command_as_written_finds_a_winning_ticket(run_script, tmp_path):
    words = shlex.split(blocks("bash")[0].split("&&")[1])[2:]
    ran = run_script(*words, "--output", tmp_path)
    assert "Winning ticket: round" in ran.stdout, ran.stderr


def test_every_option_of_the_table_exists(run_script):
    shown = run_script("--help").stdout
    table = TEXT.split("## Options")[1].split("## ")[0]
    options = set(re.findall(r"--[a-z][a-z-]*", table))
    assert len(options) > 15
    assert all(option in shown for option in options - {"--help"})


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", TEXT):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target
