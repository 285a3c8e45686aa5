import pytest

from tf_tickets.lab import ARMS, DATASETS, METHODS, METRICS, MODELS, engine_options


@pytest.fixture(autouse=True)
def cards_as_found(monkeypatch):
    """Let cards that a test registers be gone after it."""
    for registry in (ARMS, DATASETS, METHODS, METRICS, MODELS):
        monkeypatch.setattr(registry, "_cards", dict(registry._cards))


@pytest.fixture
def ray_is_installed(monkeypatch):
    """Let Ray be found, whether it is there or not."""
    monkeypatch.setattr(engine_options, "find_spec", lambda name: name)
