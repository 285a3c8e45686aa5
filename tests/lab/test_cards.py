import dataclasses
from typing import ClassVar

import pytest

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.lab import METHODS, METRICS, MODELS, AtInitialization, Metric


def test_a_card_goes_to_those_of_its_kind():
    metric = tt.lab.register(Metric("zeros", "Zeros", "zeros", None, lambda evidence: 0.0))
    model = tt.lab.register(dataclasses.replace(MODELS["vae"], name="vae-of-mine"))

    @tt.lab.register
    @dataclasses.dataclass(frozen=True)
    class Smallest(AtInitialization):
        """Keep the smallest weights."""

        name: ClassVar[str] = "smallest-at-init"

    assert METRICS["zeros"] is metric and MODELS["vae-of-mine"] is model
    assert METHODS["smallest-at-init"] is Smallest


def test_what_is_no_card_is_refused():
    for card in (3, dict, "vae"):
        with pytest.raises(SettingError, match="`card` must be a ModelCard"):
            tt.lab.register(card)
