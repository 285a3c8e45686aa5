"""Which of many parameters a test has by default: the others are for `pytest -m slow`."""

import pytest


def slow_but(everything, *quick):
    """Return parameters for `pytest.mark.parametrize`, all but the quick ones marked slow.

    Args:
        everything: values, or tuples if the test takes several.
        quick: those of them that the default run takes.
    """
    assert all(each in list(everything) for each in quick)
    return [each if each in quick else _slow(each) for each in everything]


def _slow(value):
    values = value if isinstance(value, tuple) else (value,)
    return pytest.param(*values, marks=pytest.mark.slow)
