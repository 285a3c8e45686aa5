import html.parser
import io
import re

import numpy as np
import PIL.Image
import pytest

from tf_tickets.lab.show.page import document, embedded
from tf_tickets.lab.show.page.document import (
    Code,
    Document,
    Drawing,
    Facts,
    Fold,
    Items,
    Numbers,
    Picture,
    Section,
    Strips,
    Text,
)
from tf_tickets.lab.show.tables import Table

TABLE = Table("title", ("round", "loss", ""), (("1", "2 %", "matches"), ("2", "3", "")), "What?")


def png(size=(4, 4), noise=False):
    buffer = io.BytesIO()
    shape = (*size[::-1], 3)
    pixels = np.random.default_rng(0).integers(0, 255, shape) if noise else np.zeros(shape)
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def drawing(**options):
    spec = {
        "description": "A </script> chart.",
        "mark": {"type": "point", "color": "var(--c444444, #444444)"},
        "usermeta": {"legend": [{"input": "show_0", "color": "red", "sign": "●"}]},
    }
    return Drawing("one", spec, "How to read it.", **options)


@pytest.fixture(autouse=True)
def no_scripts(monkeypatch):
    """Let pages hold a word in place of Vega, which takes seconds to put together."""
    monkeypatch.setattr(document, "vega", lambda: "VEGA")


def page(*parts):
    return Document("Title & more", "Lead.", [Section("A section", parts)]).html()


def test_headings_are_in_order_and_contents_lead_to_sections():
    inner = Section("Inner", [Text("words")])
    made = Document("Title", "Lead.", [Section("Outer & all", [inner], "Outer")], "Note.").html()
    assert re.findall(r"<(h\d)[^>]*>([^<]*)", made) == [
        ("h1", "Title"),
        ("h2", "Outer &amp; all"),
        ("h3", "Inner"),
    ]
    assert '<a href="#outer-all">Outer</a>' in made and '<h2 id="outer-all">' in made
    assert made.index("Skip to the content") < made.index("<header>") < made.index("<nav")
    assert '<html lang="en">' in made and "<footer><p>Note.</p></footer>" in made


def test_sections_within_others_may_have_the_same_title_and_no_id_is_there_twice():
    inner = Section("The same", [Text("Words.")])
    made = Document("T", "L", [Section(title, [inner]) for title in ("One", "Two")]).html()
    ids = re.findall(r' id="([^"]+)"', made)
    assert {"one", "two"} <= set(ids) and len(ids) == len(set(ids))
    assert made.count("<h3>The same</h3>") == 2 and made.count("<section ") == 2


def test_texts_are_texts_and_no_html():
    told = page(Text("<b>&"), Items(["<i>"]), Facts({"<dt>": "<dd>"}), Code("<code>"))
    assert "&lt;b&gt;&amp;" in told and "&lt;i&gt;" in told
    assert "&lt;dt&gt;" in told and "&lt;dd&gt;" in told and "<code>&lt;code&gt;" in told
    assert "<title>Title &amp; more</title>" in told


def test_a_table_has_a_caption_and_says_what_its_heads_are_of():
    made = page(Numbers(TABLE, marked="matches"))
    assert "<span>Title</span></caption>" in made and '<p class="note">What?</p>' in made
    assert made.count('<th scope="col">') == 2 and made.count('<th scope="row">') == 2
    assert made.count('class="marked"') == 1 and "2\N{NO-BREAK SPACE}%" in made
    assert 'tabindex="0" role="region" aria-label="Title"' in made


def test_pictures_have_words():
    made = page(
        Picture(png(), "A black square.", "Below."), Strips("Rows", [("real", png(), "Ten.")])
    )
    assert 'alt="A black square."' in made and 'alt="Ten."' in made
    assert made.count('src="data:image/png;base64,') == 2


def test_a_large_picture_is_compressed():
    large = png((300, 300), noise=True)
    address = embedded.address_of(large)
    assert address.startswith("data:image/webp;") and len(address) < len(large)


def test_a_chart_has_its_specification_and_stands_for_itself_without_scripts():
    made = page(Fold("More", [drawing(fallback=png())]))
    assert "A \\u003c/script> chart." in made and made.count("VEGA") == 1
    noscript = re.search(r"<noscript>(.*?)</noscript>", made, re.DOTALL)[1]
    assert 'src="data:image/png' in noscript and "A &lt;/script&gt; chart." in noscript
    assert "no chart" not in page(drawing()) and "stands here" in page(drawing())
    assert "--c444444: #444444;" in made and re.search(r"--c444444: #[789a-f]\w{5};", made)
    assert '#controls-one label:has([name="show_0"]) { --own: red; --sign: "●"; }' in made


def test_without_charts_no_scripts_are_held():
    assert "VEGA" not in page(Text("words"))


class Addresses(html.parser.HTMLParser):
    """Collects the addresses that a page asks for."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "data")]


def test_a_page_asks_for_no_other_file():
    parser = Addresses()
    parser.feed(page(drawing(fallback=png()), Numbers(TABLE)))
    assert parser.found and all(a.startswith(("#", "data:")) for a in parser.found)
    assert "default-src 'none'" in page()


def test_a_page_is_written_whole(tmp_path):
    made = Document("Title", "Lead.", [])
    made.write(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == made.html()


def test_the_scripts_are_put_together_once(cache, monkeypatch, tmp_path):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(tmp_path))
    embedded.vega.cache_clear()
    calls = []
    monkeypatch.setattr("vl_convert.javascript_bundle", lambda: calls.append(1) or "a </script>")
    assert embedded.vega() == "a <\\/script>"
    embedded.vega.cache_clear()
    assert embedded.vega() == "a <\\/script>" and len(calls) == 1
    embedded.vega.cache_clear()
