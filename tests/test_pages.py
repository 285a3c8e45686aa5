"""Runs the snippets and the commands of README and of every page of docs."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

from tests import processes
from tests.quick import slow_but

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))

# Pages whose snippets take seconds.
QUICK = ("early_bird.md", "from_tfmot.md")
# Pages whose commands are not run as they are written, and what runs or excuses them.
COMMANDS_ELSEWHERE = {
    "find_tickets.md": "they are run below, at a small scale",
    "many_machines.md": "tests/scripts/test_many_machines.py",
    "start.md": ".ci/run installs the package",
    "offline_fid.md": "they need a network, or what was fetched by one",
}


def blocks(language, page=README):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), flags=re.DOTALL)


def commands(page, *words):
    """Return the commands of a page that contain all of these words."""
    lines = [line for block in blocks("bash", page) for line in block.strip().splitlines()]
    return [line for line in lines if all(word in line for word in words)]


def command(page, *words):
    (only,) = commands(page, *words)
    return only


def pages_with(language):
    pages = [page for page in DOCS if blocks(language, page)]
    quick = [page for page in pages if page.name in QUICK]
    return pytest.mark.parametrize("page", slow_but(pages, *quick), ids=lambda page: page.name)


@pytest.fixture
def place(tmp_path):
    """A folder in which a page's snippets and commands find what they name."""
    for name in ("benchmarks", "examples", "saved_models", "scripts"):
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


def test_readme_begins_with_one_command_and_names_the_one_of_the_tests():
    assert commands(README)[0] == "pip install -e . && python scripts/find_tickets.py --model vae"
    assert command(README, "pytest") == "pip install -e '.[test]' && pytest"
    assert command(README, "pytest") in (ROOT / ".ci" / "run").read_text()


def test_readme_is_short():
    assert len(README.read_bytes()) < 7000


def test_the_snippets_of_readme_run_in_their_order(place):
    assert "times fewer FLOPs" in run_snippets(README, place)
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


FIND = ROOT / "docs" / "find_tickets.md"
SMALL = "--limit 64 --epochs 6 --batch-size 32 --seeds 0".split()


def words(command):
    """Return a command's script and its options."""
    _, script, *options = shlex.split(command.split("&&")[-1])
    return pathlib.Path(script).name, options


def run_small(run_script, command, path, *more):
    """Run a command of a page at a small scale, and return its run folder."""
    script, options = words(command)
    ran = run_script(*options, *SMALL, *more, "--output", path, script=script)
    assert ran.returncode == 0, ran.stderr
    (run,) = path.iterdir()
    assert list((run / "figures").glob("*.png"))
    return run


def test_the_main_command_runs_at_a_small_scale(run_script, tmp_path):
    run_small(run_script, commands(README)[0], tmp_path, "--rounds", "1")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["--model sngan", "--method snip"])
def test_a_command_of_find_tickets_runs_at_a_small_scale(run_script, tmp_path, which):
    run_small(run_script, command(FIND, which), tmp_path, "--rounds", "1")


@pytest.mark.slow
def test_channels_are_removed_at_a_small_scale(run_script, tmp_path):
    for page in (README, FIND):
        early_bird = command(page, "--method early-bird")
        more = ("--epochs", "8", "--batch-size", "16")
        run_small(run_script, early_bird, tmp_path / page.stem, *more)


@pytest.mark.slow
@pytest.mark.parametrize(("model", "target"), [("vae", "--to dcgan"), ("dcgan-shared", "--to vae")])
def test_tickets_move_both_ways_at_a_small_scale(run_script, tmp_path, model, target):
    source = f"python scripts/find_tickets.py --model {model}"
    run = run_small(run_script, source, tmp_path / "source", "--rounds", "1")
    transfer = re.sub(r"saved_models/\w+_RUN", str(run), command(FIND, target))
    run_small(run_script, transfer, tmp_path / "target", "--rounds", "1")
    more = re.sub("saved_models/RUN", str(run), command(FIND, "--config saved_models/RUN --seeds"))
    script, options = words(more)
    ran = run_script(*options, "--output", tmp_path / "source", script=script)
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in run.glob("seed-*")} == {f"seed-{i}" for i in range(7)}


@pytest.mark.slow
def test_a_folder_of_images_at_a_small_scale(run_script, tmp_path):
    folder = tmp_path / "images"
    random = np.random.default_rng(0)
    for number in range(100):
        path = folder / str(number % 2) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(random.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(path)
    given = command(FIND, "--dataset images").replace("FOLDER", str(folder))
    run_small(run_script, given, tmp_path / "runs", "--rounds", "1")


@pytest.mark.slow
def test_ways_are_compared_at_a_small_scale(run_script, tmp_path):
    script, options = words(command(FIND, "compare_pruning.py"))
    more = "--methods imp snip --width 4 --rounds 1".split()
    ran = run_script(*options, *SMALL, *more, "--output", tmp_path, script=script)
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.glob("compare-*/compare.md"))


@pytest.mark.slow
def test_a_model_is_described(run_script):
    script, options = words(command(FIND, "--describe"))
    described = json.loads(run_script(*options, script=script).stdout)
    assert described["params"] == 5_713_603


@pytest.mark.slow
def test_the_main_command_as_written_finds_a_winning_ticket(run_script, tmp_path):
    script, options = words(commands(README)[0])
    # Beside another worker's tests it takes twice the time that README says.
    ran = run_script(*options, "--output", tmp_path, script=script, engine=None, timeout=1200)
    assert "Winning ticket: round" in ran.stdout, ran.stderr


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
