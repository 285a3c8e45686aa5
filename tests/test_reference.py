"""The reference names all that is public, and its docstrings say what a caller has to know."""

import inspect
import pathlib
import re
import subprocess
import sys

import pytest

import tf_tickets as tt

ROOT = pathlib.Path(__file__).parents[1]
DOCUMENTED = re.findall(
    r"^\.\. (?:auto(?:function|class|exception)|py:data):: tf_tickets\.(\S+)",
    "\n".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md")),
    re.MULTILINE,
)
# Modules of public names, by where they are within tf_tickets.
MODULES = {
    "": tt,
    "callbacks.": tt.callbacks,
    "engines.": tt.engines,
    "search.": tt.search,
    "lab.": tt.lab,
    **{
        f"lab.{name}.": getattr(tt.lab, name)
        for name in tt.lab.__all__
        if inspect.ismodule(getattr(tt.lab, name))
    },
}
# What public functions return or take, and is not made by a caller.
RETURNED = {"lab.registry.Registry", "names.NamedVariables", "pruning.hold.HeldMasks"}


def public_objects():
    """Return the names of each public object: functions, classes, registries and cards."""
    names = {}
    for place, module in MODULES.items():
        for name in module.__all__:
            item = getattr(module, name)
            if not inspect.ismodule(item):
                names.setdefault(id(item), (item, []))[1].append(f"{place}{name}")
    return list(names.values())


OBJECTS = public_objects()
OURS = {
    names[0]: item for item, names in OBJECTS if inspect.isclass(item) or inspect.isfunction(item)
}


def test_every_public_name_is_in_the_reference_once():
    for _, names in OBJECTS:
        assert len([name for name in names if DOCUMENTED.count(name) == 1]) == 1, names
        assert sum(map(DOCUMENTED.count, names)) == 1, names
    public = {name for _, names in OBJECTS for name in names}
    assert set(DOCUMENTED) - public == RETURNED


@pytest.mark.parametrize("name", OURS)
def test_a_docstring_says_what_a_caller_has_to_know(name):
    item, text = OURS[name], inspect.getdoc(OURS[name])
    assert text.splitlines()[0].endswith((".", ":")), "no summary"
    undocumented = set(parameters(item)) - described(text)
    assert not undocumented
    if inspect.isfunction(item) and inspect.signature(item).return_annotation not in (None, "None"):
        assert re.search(r"^Return|\bReturns:|\bYields:|and return it", text), "what comes back?"


@pytest.mark.parametrize("name", OURS)
def test_what_raises_says_so(name):
    item = OURS[name]
    if re.search(r"^ +raise (?!NotImplemented)\w", inspect.getsource(item), re.MULTILINE):
        texts = [item.__doc__, *(member.__doc__ for member in vars(item).values())]
        assert any("Raises:" in text or "Raise SettingError" in text for text in texts if text)


@pytest.mark.parametrize(
    "name", ["tf_tickets", "tf_tickets.engines", "tf_tickets.search", "tf_tickets.lab"]
)
def test_every_name_of_a_stub_is_there_at_run_time(name):
    stub = ROOT.joinpath(*name.split("."), "__init__.pyi").read_text()
    names = re.findall(r'^    "(\w+)",$', stub, re.MULTILINE)
    module = sys.modules[name]
    assert sorted(names) == sorted(module.__all__)
    assert all(getattr(module, each) is not None for each in names)


def test_to_import_the_package_loads_nothing_heavy():
    code = "import sys, tf_tickets; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.split())
    assert "tf_tickets" in loaded
    assert not loaded & {"tensorflow", "keras", "matplotlib", "numpy", "scipy"}


def test_pyright_finds_the_public_names(tmp_path):
    pytest.importorskip("pyright")
    code = "import tf_tickets as tt\n"
    for name in ("slim", "Ticket.load", "search.TicketSearch", "lab.run", "callbacks.HoldMasks"):
        code += f"print(tt.{name})\n"
    path = tmp_path / "names.py"
    path.write_text(code)
    ran = subprocess.run(
        [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if " informations" not in ran.stdout:
        pytest.skip("pyright fetches itself when it is first used, which needs a network")
    assert ran.returncode == 0, ran.stdout


def parameters(item):
    """Return the names of what a function or a class of ours takes, less what it hands on."""
    function = item.__init__ if inspect.isclass(item) else item
    if inspect.isclass(item) and not own_init(item):
        return  # inherited from Keras, from Exception, or from a base class that describes it
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name != "self":
            yield parameter.name


def own_init(item):
    """Return whether a class says itself what it takes, and not by fields that help describes."""
    is_options = issubclass(item, tt.lab.Options)
    is_protocol = getattr(item, "_is_protocol", False)
    return "__init__" in vars(item) and not is_options and not is_protocol


def described(text):
    """Return the names that a docstring describes under Args or Attributes."""
    sections = re.findall(
        r"^(?:Args|Attributes|Class attributes):\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE
    )
    heads = re.findall(r"^    ([\w*, ]+):", "\n".join(sections), re.MULTILINE)
    return {name.strip(" *") for head in heads for name in head.split(",")}
