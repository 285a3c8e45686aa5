"""Builds the documentation: `sphinx-build -W --keep-going -b html docs build/docs`, offline."""

import dataclasses
import inspect
import os
import pathlib
import pydoc
import re
import sys

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.util.inspect import stringify_signature

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import tf_tickets as tt

project = "tf_tickets"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
html_theme = "furo"
html_title = project
html_show_sphinx = False
html_show_copyright = False

# Pages link to headings of each other, as GitHub names them.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
# Our docstrings are Google's, in which single backticks are code.
default_role = "code"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [("Attributes", "params_style")]
extlinks = {"arxiv": ("https://arxiv.org/abs/%s", "arXiv:%s")}
extlinks_detect_hardcoded_links = False


def _public_names():
    """Return how pages may call what is public -> the name that the reference has it under."""
    pages = pathlib.Path(__file__).parent.glob("reference/*.md")
    text = "\n".join(page.read_text() for page in pages)
    documented = re.findall(r"^\.\. (?:auto\w+|py:data):: tf_tickets\.(\S+)", text, re.MULTILINE)
    objects = {id(pydoc.locate(f"tf_tickets.{name}")): name for name in documented}
    places = {"": tt, "callbacks.": tt.callbacks, "search.": tt.search, "lab.": tt.lab}
    for place, module in list(places.items()):
        for name in module.__all__:
            inner = getattr(module, name)
            if inspect.ismodule(inner):
                places.setdefault(f"{place}{name}.", inner)
    names = {}
    for place, module in places.items():
        for name in module.__all__:
            item = getattr(module, name)
            if id(item) in objects:
                names[f"{place}{name}"] = objects[id(item)]
    return names


_PUBLIC = _public_names()


def as_sphinx_reads_it(app, what, name, obj, options, lines):
    """Mark up what our docstrings leave bare: code without prompts, papers, and their source."""
    text = "\n".join([*lines, *_options_of(obj, lines)])
    # A block that follows a colon, in the summary or as the example, is code.
    text = re.sub(r"^(?! )(.*\S):\n\n(?=    \S)", r"\1::\n\n", text, flags=re.MULTILINE)
    text = re.sub(r"^Example:\n(?=    (?!>>>))", "Example::\n\n", text, flags=re.MULTILINE)
    # Not the beginning of bold text: "function of (shape, **options)".
    text = re.sub(r"(?<=, )\*\*(?=\w+\)(?!`))", r"\\*\\*", text)
    text = re.sub(r"^Source: ", "**Source:** ", text, flags=re.MULTILINE)
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r":arxiv:`\1`", text)
    lines[:] = text.split("\n")


def _options_of(obj, lines):
    """Return the lines that describe a group of options: each has its help text in its field."""
    is_group = inspect.isclass(obj) and issubclass(obj, tt.lab.Options)
    if not is_group or "Attributes:" in lines:
        return []
    helps = {field.name: field.metadata.get("help") for field in dataclasses.fields(obj)}
    described = [f"    {name}: {text}." for name, text in helps.items() if text]
    return ["", "Attributes:", *described] if described else []


def signature_of_init(app, what, name, obj, options, signature, return_annotation):
    """Return what a Keras class of ours takes if Keras's own `__new__` hides it."""
    if what == "class" and signature == "(*args, **kwargs)":
        taken = inspect.signature(obj.__init__)
        taken = taken.replace(parameters=list(taken.parameters.values())[1:])  # without self
        return stringify_signature(taken, unqualified_typehints=True), None


class LinkPublicNames(SphinxTransform):
    """Makes each public name that is marked as code a link to its entry."""

    default_priority = 500

    def apply(self):
        """Look at every literal of the page."""
        for literal in list(self.document.findall(nodes.literal)):
            name = _PUBLIC.get(literal.astext().split("(")[0].removeprefix("tt."))
            if name and not isinstance(literal.parent, (nodes.reference, addnodes.pending_xref)):
                link = addnodes.pending_xref(
                    "",
                    refdomain="py",
                    reftype="obj",
                    reftarget=f"tf_tickets.{name}",
                    refexplicit=True,
                    refdoc=self.env.docname,
                )
                literal.replace_self(link)
                link += literal


def setup(app):
    """Connect them."""
    # Before napoleon, whose priority is Sphinx's default of 500.
    app.connect("autodoc-process-docstring", as_sphinx_reads_it, priority=400)
    app.connect("autodoc-process-signature", signature_of_init)
    app.add_transform(LinkPublicNames)
