"""Runs the snippets of the pages under docs, each page's in a fresh process."""

import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("page", ["shipping"])
def test_the_snippets_of_a_page_run_in_their_order(page, tmp_path):
    text = (ROOT / "docs" / f"{page}.md").read_text()
    snippets = "\n".join(re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL))
    ran = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", snippets],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    # What the page shows of a printed table is worded as it was printed; its numbers are its own.
    printed = [re.split(r"  +", line) for line in ran.stdout.splitlines()]
    ends = [(cells[0], cells[-1]) for cells in printed]
    for block in re.findall(r"```text\n(.*?)```", text, flags=re.DOTALL):
        for line in re.findall(r"^\S.*  .*$", block, flags=re.MULTILINE):
            cells = re.split(r"  +", line)
            assert (cells[0], cells[-1]) in ends, line
