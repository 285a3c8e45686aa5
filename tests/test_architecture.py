"""Holds the line that docs/architecture.md draws: imports point one way."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parents[1] / "tf_tickets"

# What each part may import of the package, besides itself, `errors`, `files` and `graphs`.
ALLOWED = {
    "errors": set(),
    "files": set(),
    "graphs": set(),
    "cli": set(),
    "commands": {"cli"},
    "precision": set(),
    "interop": set(),
    "data": set(),
    "models": set(),
    "plots": set(),
    "recipes": set(),
    "runs": {"strategy"},
    "export": set(),
    "metrics": {"interop"},
    "pruning": {"interop"},
    "tickets": {"pruning"},
    "saving": {"pruning"},
    "tflite": {"export"},
    "reporting": {"export", "metrics", "pruning", "tflite", "tickets"},
    "callbacks": {"interop", "pruning", "strategy", "tickets"},
    "search": {"callbacks", "pruning", "tickets", "runs", "interop"},
    "training": {"data"},
    "strategy": set(),
    "progress": {"search"},
    "experiments": {"data", "metrics", "models", "pruning", "recipes", "strategy", "training"},
    "scoring": {"data", "models", "pruning", "recipes"},
    "comparison": {"data", "experiments", "metrics", "pruning", "runs", "scoring", "search"},
    "results": {"comparison", "experiments", "export", "plots", "runs", "search", "tickets"},
}


def imported_parts(file):
    """Return the parts of the package that a file imports."""
    parts = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        parts |= {name.split(".")[1] for name in names if name.startswith("tf_tickets.")}
    return parts


def files_of(part):
    folder = PACKAGE / part
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [folder.with_suffix(".py")]


@pytest.mark.parametrize("part", ALLOWED)
def test_imports_point_one_way(part):
    allowed = ALLOWED[part] | {part, "errors", "files", "graphs"}
    for file in files_of(part):
        assert imported_parts(file) <= allowed, file.name


def test_every_part_is_in_the_table():
    found = {path.stem for path in PACKAGE.glob("*.py")} | {
        path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()
    }
    assert found - {"__init__"} == set(ALLOWED)


def test_only_interop_opens_the_door_to_tf_mot_and_tf_gan():
    for file in PACKAGE.rglob("*.py"):
        if file.stem != "interop":
            text = file.read_text()
            assert "import tensorflow_gan" not in text and "from tensorflow_gan" not in text
            assert "tensorflow_model_optimization" not in text
