import pathlib

import pytest

from tests.lab.show.page import run_folder
from tf_tickets.lab.commands import page
from tf_tickets.lab.commands.console import exit_with_one_line
from tf_tickets.lab.show.page import document


@pytest.fixture
def called(monkeypatch, capsys):
    """Call the command with words, and return its status and what it printed."""
    monkeypatch.setattr(document, "vega", lambda: "VEGA")
    monkeypatch.setattr(page, "start_tensorflow", lambda: None)

    def call(*words):
        monkeypatch.setattr("sys.argv", ["tf-tickets page", *map(str, words)])
        try:
            exit_with_one_line(page.main)
            status = 0
        except SystemExit as stopped:
            status = stopped.code
        return status, *capsys.readouterr()

    return call


def test_it_writes_the_pages_of_all_runs_and_says_where(called, tmp_path):
    runs = [tmp_path / name for name in ("one", "two")]
    for run in runs:
        run.mkdir()
        run_folder.make_run(run, rounds=1, seeds=1)
    status, out, error = called(*runs)
    written = [pathlib.Path(line) for line in out.splitlines()]
    assert (status, error) == (0, "") and written == [run / "page.html" for run in runs]
    assert all("Lottery tickets" in path.read_text() for path in written)


def test_a_folder_without_a_run_is_one_line(called, tmp_path):
    status, out, error = called(tmp_path)
    assert (status, out) == (1, "") and error.count("\n") == 1
    assert "holds no run: it has no config.json" in error


def test_no_folder_is_refused(called):
    status, _, error = called()
    assert status == 2 and "RUN" in error
