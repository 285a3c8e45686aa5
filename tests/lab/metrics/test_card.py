import subprocess
import sys

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.metrics import METRICS, Metric

BOTH = {"samples", "reconstructions"}


def card(**fields):
    fields = {"title": "T", "unit": "u", "higher_is_better": True, "compute": len, **fields}
    return Metric("mine", **fields)


def test_neither_cards_nor_the_choice_among_them_load_tensorflow():
    code = """if True:
        import sys
        from tf_tickets.lab.metrics import METRICS, check_metric, frechet_distance
        check_metric("fid", {"samples"}, ["inception"], False)
        for name in ("tensorflow.python", "keras", "PIL", "sklearn", "matplotlib"):
            assert name not in sys.modules, name
        print(*METRICS)
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "kid_b2a"


def test_they_are_in_the_order_of_records():
    assert list(METRICS) == [
        *("loss", "discriminator_loss", "generator_loss", "cycle_loss", "reconstruction_loss"),
        *("classifier_accuracy", "sample_deviation"),
        *("fcd", "fid", "kcd", "kid", "classifier_score", "inception_score"),
        *("translation_error", "translation_error_a2b", "translation_error_b2a"),
        *("translated_accuracy", "translated_accuracy_a2b", "translated_accuracy_b2a"),
        *("fcd_a2b", "fcd_b2a", "fid_a2b", "fid_b2a"),
        *("kcd_a2b", "kcd_b2a", "kid_a2b", "kid_b2a"),
    ]


def test_each_metric_has_a_title_and_a_unit_of_its_own():
    assert all(metric.title and metric.unit for metric in METRICS.values())
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


@pytest.mark.parametrize(
    ("fields", "situation", "applies"),
    [
        ({}, (BOTH, [], False), True),
        ({"features": "inception"}, (BOTH, [], True), False),
        ({"features": "inception"}, (BOTH, ["inception"], False), True),
        ({"needs_labels": True}, (BOTH, ["classifier"], False), False),
        ({"of": "samples"}, ({"reconstructions"}, [], True), False),
        ({"of": "reconstructions"}, ({"reconstructions"}, [], True), True),
        ({"only_with": "samples"}, ({"reconstructions"}, [], True), False),
        ({"only_without": "samples"}, (BOTH, [], True), False),
        ({"only_without": "samples"}, ({"reconstructions"}, [], True), True),
        # What a model's `evaluate` returns is known for certain once it has been asked.
        ({"of": "losses", "only_with": "samples"}, (BOTH, [], True, ["other"]), False),
        ({"of": "losses", "only_without": "samples"}, (BOTH, [], True, ["mine"]), True),
    ],
)
def test_what_a_metric_needs(fields, situation, applies):
    assert card(**fields).applies(*situation) is applies


@pytest.mark.parametrize(
    "fields", [{"of": "sounds"}, {"features": "vgg"}, {"only_with": "loss"}, {"only_without": "x"}]
)
def test_a_card_that_asks_for_what_there_is_not(fields):
    (name,) = fields
    with pytest.raises(SettingError, match=f"`{name}` of the metric mine must be one of") as caught:
        card(**fields)
    assert "\n" not in str(caught.value)
