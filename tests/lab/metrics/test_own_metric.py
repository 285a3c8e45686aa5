"""A metric that a user adds is evaluated, recorded and may decide, as ours are."""

import keras
import numpy as np
import pytest

from tests.lab.metrics.test_evaluation import GAN, VAE, Autoencoder
from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics import METRICS, Evaluator, Metric, check_metric, measured_metrics
from tf_tickets.pruning.schedules import IterativeSparsity
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search import ByMagnitude, Task, TicketSearch, judge


def mean_brightness_gap(evidence):
    return abs(evidence.generated.images.mean() - evidence.real.images.mean())


@pytest.fixture
def add():
    """Add metrics for one test."""
    names = []

    def add(name, compute, **fields):
        fields = {"title": name, "unit": "u", "higher_is_better": False, **fields}
        names.append(METRICS.add(Metric(name, compute=compute, **fields)).name)

    yield add
    for name in names:
        del METRICS._cards[name]


def test_it_is_the_last_of_those_that_are_evaluated(tiny, add):
    model = Autoencoder()
    before, _ = Evaluator(tiny[1])(model)
    add("brightness_gap", mean_brightness_gap)
    metrics, _ = Evaluator(tiny[1])(model)
    images = np.stack([image for image, _ in tiny[1].examples.as_numpy_iterator()])
    expected = abs(model.reconstruct(images).numpy().mean() - images.mean())
    assert list(metrics) == [*before, "brightness_gap"]
    assert metrics.pop("brightness_gap") == pytest.approx(expected, rel=1e-4)
    assert metrics == before


def test_it_is_recorded_and_decides(tiny, tmp_path, add):
    add("brightness_gap", mean_brightness_gap)
    batches = tiny[0].examples.batch(10).map(lambda image, label: image)

    def build(seed):
        keras.utils.clear_session(free_memory=False)  # the same names in each
        keras.utils.set_random_seed(seed)
        return Autoencoder()

    def train(model, seed, start_step, stop_step):
        for images in batches.take(stop_step - start_step):
            model.decoder.layers[0].bias.assign_add(0.01 * np.ones(192) * float(images[0, 0, 0, 0]))

    task = Task(build, train, Evaluator(tiny[1]), num_steps=3)
    search = TicketSearch(task, ByMagnitude(IterativeSparsity(0.5)), rounds=1)
    with RunFolder.named(tmp_path, "own", {"anything": 1}, {}) as folder:
        records = search.run([0], folder)
    assert all("brightness_gap" in record["metrics"] for record in records)
    check_metric("brightness_gap", {"reconstructions"}, [], False)
    (comparison,) = judge(records, "brightness_gap", tolerance=0.1).comparisons
    assert comparison.mean == records[1]["metrics"]["brightness_gap"]


@pytest.mark.parametrize("features", [[], ["classifier"], ["classifier", "inception"]])
def test_it_may_decide_if_it_has_a_direction(add, features):
    offers = {"samples"}
    add("brightness_gap", mean_brightness_gap)
    add("brightness", mean_brightness_gap, higher_is_better=None)
    assert measured_metrics(offers, features, True)[-2:] == ["brightness_gap", "brightness"]
    check_metric("brightness_gap", offers, features, True)
    with pytest.raises(SettingError, match="neither direction of it is better"):
        check_metric("brightness", offers, features, True)


def test_pairs_of_reconstructions_and_originals(tiny, add):
    def worst_pixel(evidence):
        pairs = evidence.reconstructions
        assert pairs.images.shape == pairs.originals.shape == (30, 8, 8, 3)
        assert pairs.images.dtype == pairs.originals.dtype == np.float32
        return np.abs(pairs.images - pairs.originals).max()

    add("worst_pixel", worst_pixel, of="reconstructions")
    model = VAE()
    model.reconstruct = lambda images: images + 0.25
    assert Evaluator(tiny[1])(model)[0]["worst_pixel"] == pytest.approx(0.25)
    assert "worst_pixel" not in Evaluator(tiny[1])(GAN())[0]


def test_a_loss_of_the_models_own(tiny, add):
    add("balance", lambda evidence: evidence.losses["balance"], of="losses")
    model = GAN()
    evaluate = model.evaluate
    model.evaluate = lambda *args, **kwargs: {**evaluate(*args, **kwargs), "balance": 2.5}
    assert Evaluator(tiny[1])(model)[0]["balance"] == 2.5
    assert "balance" not in Evaluator(tiny[1])(GAN())[0]


def test_it_may_say_how_it_was_taken(tiny, add):
    add("pairs", lambda evidence: 1.0, protocol=lambda num_images: {"num_pairs": num_images // 2})
    _, protocol = Evaluator(tiny[1])(VAE())
    assert protocol["num_pairs"] == 15
    assert protocol["features"] == [] and protocol["floor"] == {}


def test_one_that_is_not_finite_is_named(tiny, add):
    add("broken", lambda evidence: float("nan"))
    with pytest.raises(DivergedError, match="its broken is nan"):
        Evaluator(tiny[1])(VAE())


def test_a_name_that_is_taken(add):
    with pytest.raises(SettingError, match="already a metric 'fid'"):
        add("fid", mean_brightness_gap)


def test_only_the_first_thousand_images_are_kept(tiny, add, monkeypatch):
    monkeypatch.setattr("tf_tickets.lab.metrics.evidence.MOST_IMAGES", 7)
    seen = []

    def look(evidence):
        seen.extend([evidence.generated, evidence.real])
        return 0.0

    add("look", look)
    Evaluator(tiny[1], batch_size=5)(VAE())
    assert [len(images.images) for images in seen] == [7, 7]
    assert [images.count for images in seen] == [30, 30]
    assert seen[0].features is seen[0].logits is seen[0].moments is None
