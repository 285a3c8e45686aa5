"""The reference names all that is public, and its docstrings say what a caller has to know."""

import inspect
import pathlib
import re

import pytest

import tf_tickets as tt

REFERENCE = pathlib.Path(__file__).parents[1] / "docs" / "reference"
DOCUMENTED = [
    name
    for page in REFERENCE.glob("*.md")
    for name in re.findall(r"^\.\. auto\w+:: tf_tickets\.(\S+)", page.read_text(), re.MULTILINE)
]


def public_objects():
    """Return all that is public by its name after `tf_tickets.`: functions, classes, modules."""
    found = {name: getattr(tt, name) for name in tt.__all__}
    return found | {
        f"callbacks.{name}": getattr(tt.callbacks, name) for name in tt.callbacks.__all__
    }


def functions_and_classes():
    """Return those of ours, those of the public modules too, by name."""
    found = {}
    for name, item in public_objects().items():
        if inspect.ismodule(item):
            names = getattr(item, "__all__", [each for each in vars(item) if each[0] != "_"])
            found |= {f"{name}.{each}": getattr(item, each) for each in names}
        else:
            found[name] = item
    return {
        name: item
        for name, item in found.items()
        if (inspect.isclass(item) or inspect.isfunction(item))
        and item.__module__.startswith(public_module(name))
    }


def public_module(name):
    """Return where what is found under a name has to be defined to be ours, and not imported."""
    module, _, _ = name.rpartition(".")
    listed = not module or hasattr(getattr(tt, module), "__all__")
    return "tf_tickets" if listed else f"tf_tickets.{module}"


OURS = functions_and_classes()


def test_every_public_name_is_in_the_reference_once():
    # The callbacks are there one by one.
    assert sorted(DOCUMENTED) == sorted(public_objects().keys() - {"callbacks"})


@pytest.mark.parametrize("name", OURS)
def test_a_docstring_says_what_a_caller_has_to_know(name):
    item, text = OURS[name], inspect.getdoc(OURS[name])
    assert text.splitlines()[0].endswith((".", ":")), "no summary"
    undocumented = set(parameters(item)) - described(text)
    assert not undocumented
    if inspect.isfunction(item) and inspect.signature(item).return_annotation not in (None, "None"):
        assert re.search(r"^Return|\bReturns:|\bYields:", text), "what comes back?"


@pytest.mark.parametrize("name", OURS)
def test_what_raises_says_so(name):
    item = OURS[name]
    if re.search(r"^ +raise (?!NotImplemented)\w", inspect.getsource(item), re.MULTILINE):
        texts = [item.__doc__, *(member.__doc__ for member in vars(item).values())]
        assert any("Raises:" in text for text in texts if text)


def parameters(item):
    """Return the names of what a function or a class of ours takes, less what it hands on."""
    function = item.__init__ if inspect.isclass(item) else item
    if not getattr(function, "__module__", "").startswith("tf_tickets"):
        return  # inherited from Keras, or from Exception
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name != "self":
            yield parameter.name


def described(text):
    """Return the names that a docstring describes under Args or Attributes."""
    sections = re.findall(r"^(?:Args|Attributes):\n((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
    heads = re.findall(r"^    ([\w*, ]+):", "\n".join(sections), re.MULTILINE)
    return {name.strip(" *") for head in heads for name in head.split(",")}
