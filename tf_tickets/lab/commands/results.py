"""The tables and figures of docs/results.md, written from run folders.

Refresh them: `python -m tf_tickets.lab.commands.results docs/results.md NAME=RUN [NAME=RUN ...]`.
What stands between `<!-- run: NAME -->` and `<!-- end -->` is made anew, and the run's figures are
copied to `images/` beside the page, as NAME-FIGURE.png. The prose around them is written by hand.
"""

import pathlib
import re
import shutil
import sys
import textwrap

from tf_tickets.errors import SettingError
from tf_tickets.files import write_whole
from tf_tickets.lab.commands.repeat import command_of, in_lines
from tf_tickets.lab.config import read_config
from tf_tickets.lab.run_view import Run
from tf_tickets.lab.show import outcome
from tf_tickets.lab.show.making import made_on
from tf_tickets.lab.show.tables import tables
from tf_tickets.runs import paths

_WIDTH = 100


def filled(page: str, blocks: dict[str, str]) -> str:
    """Return a page with the blocks of some runs made anew.

    Args:
        page: Markdown; a block begins with `<!-- run: NAME -->` and reaches to `<!-- end -->`.
        blocks: name -> Markdown.

    Raises:
        SettingError: if the page has no place for one of them.
    """
    for name, block in blocks.items():
        begin = f"<!-- run: {name} -->"
        if begin not in page:
            raise SettingError(f"The page has no line `{begin}` to write the run below.")
        place = re.compile(rf"{re.escape(begin)}\n.*?<!-- end -->", re.DOTALL)
        page = place.sub(lambda _, new=f"{begin}\n\n{block}\n<!-- end -->": new, page)
    return page


def block_of(run: Run, images: dict[str, str]) -> str:
    """Return what a page says of a run: command, machine, verdict, tables and figures.

    Args:
        run: a finished run.
        images: title -> address of each of its figures.
    """
    shown = [
        f"{table.title[0].upper()}{table.title[1:]}:\n\n{table.markdown()}" for table in tables(run)
    ]
    pictures = [f"![{title}]({address})\n" for title, address in images.items()]
    told = textwrap.fill(outcome.sentence(run), _WIDTH)
    return "\n".join(
        [
            command_lines(run.path),
            textwrap.fill(made_on(run), _WIDTH),
            "",
            f"{told}\n",
            *shown,
            *pictures,
        ]
    )


def command_lines(path) -> str:
    """Return the command that repeats a run as a block of code, broken before flags.

    Args:
        path: the run folder.
    """
    lines = in_lines(command_of(read_config(path)), _WIDTH - 12)
    return "    " + " \\\n        ".join(lines) + "\n"


def copied_figures(run: Run, name: str, folder: pathlib.Path) -> dict[str, str]:
    """Copy a run's figures beside a page, and return their titles and addresses.

    Args:
        run: a finished run.
        name: what the copies' names begin with.
        folder: in which they go.
    """
    folder.mkdir(exist_ok=True)
    images = {}
    for figure in sorted((run.path / paths.FIGURES).glob("*.png")):
        shutil.copyfile(figure, folder / f"{name}-{figure.name}")
        title = figure.stem.replace("_", " ")
        images[f"{title[0].upper()}{title[1:]}"] = f"{folder.name}/{name}-{figure.name}"
    return images


def main():
    """Write the blocks of the runs that the command line names into its page."""
    page, blocks = pathlib.Path(sys.argv[1]), {}
    for word in sys.argv[2:]:
        name, _, folder = word.partition("=")
        run = Run.open(folder)
        blocks[name] = block_of(run, copied_figures(run, name, page.parent / "images"))
    write_whole(page, filled(page.read_text(), blocks).encode())


if __name__ == "__main__":
    main()
