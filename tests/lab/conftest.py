import pytest

from tf_tickets.lab import ARMS, DATASETS, METHODS, METRICS, MODELS


@pytest.fixture(autouse=True)
def cards_as_found(monkeypatch):
    """Let cards that a test registers be gone after it."""
    for registry in (ARMS, DATASETS, METHODS, METRICS, MODELS):
        monkeypatch.setattr(registry, "_cards", dict(registry._cards))
