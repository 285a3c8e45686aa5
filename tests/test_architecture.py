"""Holds the line that docs/architecture.md draws: imports point one way."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGE = ROOT / "tf_tickets"

# From the ground up: each part may import those before it, and no other.
LIBRARY = (
    *("errors", "quiet", "files", "interop", "keras_internals", "protocols", "strategy"),
    *("optimizers", "names"),
    *(
        "pruning",
        "channels",
        "tickets",
        "callbacks",
        "costs",
        "shipping",
        "runs",
        "engines",
        "search",
    ),
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


def is_private(name):
    return name.startswith("_") and not name.endswith("__")


def names_defined_in(tree):
    """Return the names that a module gives to functions, classes, variables and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node):
            yield node.attr


def is_own(attribute):
    return isinstance(attribute.value, ast.Name) and attribute.value.id in ("self", "cls")


def foreign_private_names(source):
    """Yield the underscore attributes that a module uses of objects that are not its own."""
    tree = ast.parse(source)
    own = set(names_defined_in(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if ast.unparse(node) == "os._exit":  # which Python documents
                continue
            if not is_own(node) and node.attr not in own:
                yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("attr"):
            # getattr, hasattr, setattr and delattr by a name that is written out
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            private = [name for name in names if isinstance(name, str) and is_private(name)]
            yield from (name for name in private if name not in own)
        elif isinstance(node, ast.ImportFrom | ast.Import):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names]
            parts = {part for name in names for part in name.split(".")}
            yield from (part for part in parts if is_private(part))
            if any(name.startswith("keras.src") for name in names):
                yield "keras.src"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("optimizer._learning_rate", ["_learning_rate"]),
        ("model.optimizer._variables = []", ["_variables"]),
        ("getattr(layer, '_use_gate', False)", ["_use_gate"]),
        ("setattr(model, '_functional', None)", ["_functional"]),
        ("from keras.src import ops", ["keras.src"]),
        ("import keras._tf_keras", ["_tf_keras"]),
        ("self._made", []),
        ("type(layer).__name__", []),
        ("class A:\n  def __init__(self): self._x = 0\n  def __eq__(self, o): return o._x", []),
        ("class A:\n  def _walk(self): ...\nA._walk", []),
    ],
)
def test_private_names_of_others_are_seen(source, found):
    assert list(foreign_private_names(source)) == found


def test_only_keras_internals_uses_private_names_of_others():
    doors = {*files_of("keras_internals"), PACKAGE / "interop.py"}
    folders = [PACKAGE, *(ROOT / name for name in ("scripts", "examples", "benchmarks"))]
    files = {file for folder in folders for file in folder.rglob("*.py")}
    assert doors < files
    for file in sorted(files - doors):
        assert not list(foreign_private_names(file.read_text())), file
    assert list(foreign_private_names((PACKAGE / "keras_internals" / "graphs.py").read_text()))


def code_lines(node):
    """Return how many lines of a function are code, less its docstring and its signature."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def functions_of(file):
    tree = ast.parse(file.read_text())
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def num_parameters(function):
    taken = function.args
    names = [each.arg for each in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.name)
def test_files_functions_and_parameter_lists_stay_short(file):
    assert len(file.read_text().splitlines()) <= 400
    for function in functions_of(file):
        assert code_lines(function) <= 50, function.name
        assert num_parameters(function) <= 10, function.name


def test_scripts_parse_run_and_show_and_no_more():
    for file in (ROOT / "scripts").glob("*.py"):
        assert len(file.read_text().splitlines()) <= 40, file


def test_only_commands_speak_of_flags():
    """The library names its arguments, in backticks; the command maps them to flags."""
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name != "commands":
            found = re.findall(r"[\s\"'`(]--[a-z][a-z-]+", file.read_text())
            # Those of TensorBoard and of Ray are theirs.
            assert set(found) <= {" --logdir", " --head", '"--from'}, file
