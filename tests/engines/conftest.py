import pytest

from tests.engines.toy import Workshop, bytes_of, make


@pytest.fixture
def notes(tmp_path):
    """A folder for what workshops note."""
    path = tmp_path / "notes"
    path.mkdir()
    return path


@pytest.fixture
def expected(tmp_path):
    """The bytes of all stages, as this process makes them."""
    make(tmp_path / "here", Workshop(tmp_path))
    return bytes_of(tmp_path / "here")
