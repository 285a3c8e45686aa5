"""Runs the snippets and the commands of README and of every page of docs."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from tests import processes

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))

# Pages whose commands are not run as they are written, and what runs or excuses them.
COMMANDS_ELSEWHERE = {
    "many_machines.md": "tests/scripts/test_many_machines.py",
    "start.md": ".ci/run installs the package",
    "offline_fid.md": "they need a network, or what was fetched by one",
}


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def pages_with(language):
    pages = [page for page in DOCS if blocks(language, page)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


@pytest.fixture
def place(tmp_path):
    """A folder in which a page's snippets and commands find what they name."""
    for name in ("saved_models", "scripts"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run_snippets(page, place):
    """Run a page's snippets, one after another, and return what they print."""
    code = "\n".join(blocks("python", page))
    ran = processes.run_code(code, cwd=place, warnings_are_errors=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def without_numbers(text):
    """Return the lines of what was printed, in which digits and widths of columns are the same."""
    masked = re.sub(r"\d[\d,.]*", "#", text)
    return {" ".join(line.split()) for line in masked.splitlines()}


def test_the_two_commands_come_first():
    first, second = (block.strip() for block in blocks("bash")[:2])
    assert first == "pip install -e . && python scripts/find_tickets.py --model vae"
    assert second == "pip install -e '.[test]' && pytest"
    assert second in (ROOT / ".ci" / "run").read_text()


def test_the_snippets_of_readme_run_in_their_order(place):
    assert "% kept" in run_snippets(README, place)
    assert (place / "exported" / "saved_model.pb").exists()


@pages_with("python")
def test_the_snippets_of_a_page_run_and_print_what_it_shows(page, place):
    printed = without_numbers(run_snippets(page, place))
    for shown in blocks("text", page):
        assert without_numbers(shown) <= printed


@pytest.mark.slow
@pages_with("bash")
def test_the_commands_of_a_page_run(page, place, cache):
    if page.name in COMMANDS_ELSEWHERE:
        pytest.skip(COMMANDS_ELSEWHERE[page.name])
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command in blocks("bash", page):
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=place,
            env={**os.environ, "PATH": path, "TF_TICKETS_CACHE": str(cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


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
    table = README.read_text().split("## Options")[1].split("## ")[0]
    options = set(re.findall(r"--[a-z][a-z-]*", table))
    assert len(options) > 15
    assert all(option in shown for option in options - {"--help"})


@pytest.mark.parametrize("page", [README, *DOCS], ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_table_of_contents():
    (*trees,) = re.findall(
        r"```{toctree}\n(.*?)```", (ROOT / "docs" / "index.md").read_text(), re.S
    )
    listed = {line for tree in trees for line in tree.splitlines() if line[:1].isalpha()}
    pages = {path.relative_to(ROOT / "docs").with_suffix("") for path in ROOT.glob("docs/**/*.md")}
    assert listed == {str(page) for page in pages} - {"index"}
