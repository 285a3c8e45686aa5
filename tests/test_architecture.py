"""Holds the line that docs/architecture.md draws: imports point one way."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "tf_tickets"

# From the ground up: each part may import those before it, and no other.
LIBRARY = (
    *("errors", "files", "interop", "keras_internals", "strategy", "optimizers", "names"),
    *("pruning", "channels", "tickets", "callbacks", "costs", "shipping", "runs", "search"),
)


def imports_of(file):
    """Return the modules of the package that a file imports, at its top or anywhere within."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def parts_of(file):
    return {name.split(".")[1] for name in imports_of(file) if name.startswith("tf_tickets.")}


def files_of(part):
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("part", LIBRARY)
def test_imports_of_the_library_point_one_way(part):
    allowed = set(LIBRARY[: LIBRARY.index(part) + 1])
    for file in files_of(part):
        assert parts_of(file) <= allowed, file


def test_every_part_belongs_to_a_wing():
    found = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()
    }
    assert found - {"__init__"} == {*LIBRARY, "lab"}


def test_only_interop_opens_the_door_to_tf_mot_and_tf_gan():
    for file in PACKAGE.rglob("*.py"):
        if file.stem != "interop":
            text = file.read_text()
            assert "import tensorflow_gan" not in text and "from tensorflow_gan" not in text
            assert "tensorflow_model_optimization" not in text
