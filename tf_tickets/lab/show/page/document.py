"""A document: title, lead and sections, written as one HTML file that needs no other.

It knows of no run: its parts are texts, tables, pictures and charts.
"""

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from tf_tickets.files import write_whole
from tf_tickets.lab.show.page.charts.look import in_the_dark
from tf_tickets.lab.show.page.embedded import address_of, vega
from tf_tickets.lab.show.tables import Table

_TEMPLATES = pathlib.Path(__file__).parent / "templates"


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    words: str


@dataclasses.dataclass(frozen=True)
class Items:
    """A list of sentences."""

    kind: ClassVar[str] = "items"
    sentences: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Facts:
    """Names and what they are.

    Attributes:
        values: name -> value, as words.
    """

    kind: ClassVar[str] = "facts"
    values: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Code:
    """A command, as it is typed."""

    kind: ClassVar[str] = "code"
    lines: str


@dataclasses.dataclass(frozen=True)
class Numbers:
    """A table.

    Attributes:
        table: what it holds. The first cell of a row names it.
        marked: what the last cell of a row says that is to be seen at once.
    """

    kind: ClassVar[str] = "numbers"
    table: Table
    marked: str | None = None


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture, which is there with scripts and without.

    Attributes:
        png: its bytes.
        shows: what it shows, for those who do not see it.
        caption: what stands below; None for nothing.
    """

    kind: ClassVar[str] = "picture"
    png: bytes
    shows: str
    caption: str | None = None

    @property
    def address(self) -> str:
        """The picture itself, as an address."""
        return address_of(self.png)


@dataclasses.dataclass(frozen=True)
class Strips:
    """Rows of small pictures, each with a label.

    Attributes:
        title: of all rows.
        rows: label, PNG and what it shows, for each.
    """

    kind: ClassVar[str] = "strips"
    title: str
    rows: Sequence[tuple[str, bytes, str]]

    @property
    def addressed(self) -> list[tuple[str, str, str]]:
        """The rows with the pictures as addresses."""
        return [(label, address_of(png), shows) for label, png, shows in self.rows]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A chart, and what stands for it where no scripts run.

    Attributes:
        name: of the chart, in letters, digits and "-"; no two of a document have the same.
        spec: of Vega-Lite; its `description` says what it shows.
        caption: what stands below: how to read it.
        fallback: a PNG of the same; None if there is none.
    """

    kind: ClassVar[str] = "drawing"
    name: str
    spec: Mapping
    caption: str
    fallback: bytes | None = None

    @property
    def json(self) -> str:
        """The specification, fit to stand in HTML."""
        return json.dumps(self.spec, ensure_ascii=False, separators=(",", ":")).replace(
            "<", "\\u003c"
        )

    @property
    def shows(self) -> str:
        """What the chart shows, for those who do not see it."""
        return self.spec["description"]

    @property
    def address(self) -> str | None:
        """What stands for the chart, as an address."""
        return self.fallback and address_of(self.fallback)


@dataclasses.dataclass(frozen=True)
class Fold:
    """Parts that are seen once asked for.

    Attributes:
        title: what is asked for.
        parts: what is then seen.
    """

    kind: ClassVar[str] = "fold"
    title: str
    parts: Sequence


@dataclasses.dataclass(frozen=True)
class Section:
    """Parts under a heading; among them may be sections, whose headings are smaller.

    Attributes:
        title: the heading. Of the sections of a document no two have the same; those within others
            may.
        parts: in order.
        in_contents: what the list of contents calls it; None for its title.
    """

    kind: ClassVar[str] = "section"
    title: str
    parts: Sequence
    in_contents: str | None = None

    @property
    def id(self) -> str:
        """By which an address names the section."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")


@dataclasses.dataclass(frozen=True)
class Document:
    """All of a page.

    Attributes:
        title: of the page, and its only heading of the first rank.
        lead: what one should know who reads no further.
        sections: in order.
        note: what stands at the end.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    note: str = ""

    def html(self) -> str:
        """Return the page as one HTML file, which asks for no other."""
        drawings = list(_drawings(self.sections))
        return (
            _environment()
            .get_template("document.html")
            .render(
                document=self,
                drawings=drawings,
                vega=vega() if drawings else "",
                colors=_colors(drawings),
            )
        )

    def write(self, path) -> None:
        """Write the page; an existing file is replaced whole.

        Args:
            path: the file.
        """
        write_whole(path, self.html().encode())


def _drawings(parts) -> Iterator[Drawing]:
    for part in parts:
        if isinstance(part, Drawing):
            yield part
        elif isinstance(part, Section | Fold):
            yield from _drawings(part.parts)


def _colors(drawings) -> dict[str, str]:
    """Return the colours of charts, and those that take their places in the dark."""
    text = "".join(drawing.json for drawing in drawings)
    return {
        color: in_the_dark(color)
        for color in sorted(set(re.findall(r"-{2}c[0-9a-f]{6}, (#\w{6})", text)))
    }


@functools.cache
def _environment():
    import jinja2

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_unbroken,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _unbroken(value):
    """Return a text in which no line ends between a number and its percent sign."""
    is_text = type(value) is str  # and not HTML already
    return re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", value) if is_text else value
