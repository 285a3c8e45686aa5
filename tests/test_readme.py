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
    first, second = (block.strip() for block in blocks("bash")[:2])
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


SMALL = "--limit 64 --epochs 6 --batch-size 32 --seeds 0 --rounds 1 --output".split()


def words(command):
    """Return a README command's script and options, less the Python that it names."""
    return shlex.split(command.split("&&")[-1])[2:]


def run_small(run_script, command, path):
    script = pathlib.Path(shlex.split(command.split("&&")[-1])[1]).name
    ran = run_script(*words(command), *SMALL, path, script=script)
    assert ran.returncode == 0, ran.stderr
    (run,) = path.iterdir()
    assert list((run / "figures").glob("*.png"))
    return run


def test_the_main_command_runs_at_a_small_scale(run_script, tmp_path):
    run_small(run_script, blocks("bash")[0], tmp_path)


@pytest.mark.slow
def test_the_other_commands_run_at_a_small_scale(run_script, tmp_path):
    run = run_small(run_script, blocks("bash")[0], tmp_path / "vae")
    run_small(run_script, blocks("bash")[2], tmp_path / "gan")
    run_small(run_script, blocks("bash")[4], tmp_path / "snip")
    small = [*words(blocks("bash")[5]), *"--limit 64 --epochs 8 --batch-size 16 --seeds 0".split()]
    assert run_script(*small, "--output", tmp_path / "early-bird").returncode == 0
    for number, command in enumerate(blocks("bash")[3].strip().splitlines()):
        command = command.replace("saved_models/RUN", str(run))
        run_small(run_script, command, tmp_path / f"transfer-{number}")


@pytest.mark.slow
def test_the_main_command_as_written_finds_a_winning_ticket(run_script, tmp_path):
    ran = run_script(*words(blocks("bash")[0]), "--output", tmp_path)
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
