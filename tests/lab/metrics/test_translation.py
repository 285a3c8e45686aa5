"""Translations are judged in both directions, and beside a model that does nothing."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.lab.data import load
from tf_tickets.lab.data.translations import relief
from tf_tickets.lab.metrics import METRICS, FeatureExtractor, Moments, frechet_distance
from tf_tickets.lab.metrics import TranslationEvaluator as Evaluator


class Translator(keras.Model):
    """Makes relief rightly, and of relief its negative."""

    def translate(self, images, direction):
        return relief(images) if direction == "a2b" else -images

    def test_step(self, images):
        return {"generator_loss": 1.0, "discriminator_loss": 2.0, "cycle_loss": 3.0}


def translator():
    model = Translator()
    model.compile()
    return model


def features(images):
    """Three numbers that tell images apart, and logits of twenty classes by their mean."""
    means = tf.reduce_mean(images, axis=(1, 2))
    spreads = tf.math.reduce_std(images, axis=(1, 2))
    found = tf.concat([means, spreads, means * spreads], axis=1)
    return found, tf.one_hot(tf.cast(10 * (means[:, 0] + 1), tf.int32), 20)


@pytest.fixture(scope="module")
def made():
    """The evaluator of 60 images, and these: of A, and of B."""
    real, other = (load("digits-relief", split, 16, 60) for split in ("validation", "test"))
    extractor = FeatureExtractor(
        features, kind="classifier", digest="0", num_features=3, batch_size=50
    )
    evaluator = Evaluator(real, [extractor], other, batch_size=25, has_truth=True)
    return evaluator, [np.asarray(real.of_domain(number).stored[0]) for number in (0, 1)], other


def distance(real, generated):
    moments = [Moments(3), Moments(3)]
    for each, images in zip(moments, (real, generated), strict=True):
        each.update(np.asarray(features(tf.constant(images))[0]))
    return frechet_distance(*moments)


def test_each_direction_is_judged_beside_its_own_domain(made):
    evaluator, (a, b), _ = made
    found, protocol = evaluator(translator())
    assert found["fcd_a2b"] == pytest.approx(0, abs=1e-4)
    assert found["fcd_b2a"] == pytest.approx(distance(a, -b), rel=1e-3)
    assert found["fcd"] == pytest.approx((found["fcd_a2b"] + found["fcd_b2a"]) / 2)
    assert found["translation_error_a2b"] == pytest.approx(0, abs=1e-10)
    assert found["translation_error_b2a"] == pytest.approx(np.mean((a + b) ** 2), rel=1e-5)
    assert protocol["generated"] == "translations"
    assert protocol["num_real_images"] == protocol["num_generated_images"] == 60


def test_losses_are_those_of_the_model(made):
    found, _ = made[0](translator())
    assert [found[f"{name}_loss"] for name in ("generator", "discriminator", "cycle")] == [1, 2, 3]


def test_a_translation_is_right_if_it_is_taken_for_its_class_in_the_other_domain(made):
    evaluator, (_, b), _ = made
    found, _ = evaluator(translator())
    logits = np.asarray(features(tf.constant(b))[1])
    labels = np.asarray(load("digits-relief", "validation", 16, 60).of_domain(1).stored[1])
    assert labels.min() >= 10
    expected = np.mean(np.argmax(logits, axis=1) == labels)
    assert found["translated_accuracy_a2b"] == pytest.approx(expected)


def test_what_copies_its_input_is_beside_it(made):
    evaluator, (a, b), _ = made
    copies = evaluator.copies
    assert copies["translation_error_a2b"] == pytest.approx(np.mean((a - b) ** 2), rel=1e-5)
    assert copies["fcd_a2b"] == pytest.approx(distance(b, a), rel=1e-3)
    assert evaluator(translator())[1]["copies"] == copies


def test_the_floor_is_that_of_each_domain(made):
    evaluator, (a, _), other = made
    floor = evaluator(translator())[1]["floor"]
    expected = distance(a, np.asarray(other.of_domain(0).stored[0]))
    assert floor["fcd_b2a"] == pytest.approx(expected, rel=1e-3)
    assert floor["fcd"] == pytest.approx((floor["fcd_a2b"] + floor["fcd_b2a"]) / 2)


def test_without_truth_there_is_no_error_of_translations(made):
    real = load("digits-relief", "validation", 16, 30)
    found, _ = Evaluator(real, [], has_truth=False)(translator())
    assert not [name for name in found if name.startswith("transl")]
    assert found["cycle_loss"] == 3.0


def test_every_number_has_a_card(made):
    evaluator, *_ = made
    found, protocol = evaluator(translator())
    assert set(found) | set(protocol["floor"]) | set(protocol["copies"]) <= set(METRICS)
    offers = {"translations", "truth"}
    applied = [
        name
        for name, card in METRICS.items()
        if card.applies(offers, ["classifier"], has_labels=True)
    ]
    assert set(applied) == set(found)
    assert METRICS["fcd_b2a"].title == "Fréchet classifier distance, B to A"


def test_an_evaluator_keeps_no_model_alive(made):
    model = translator()
    made[0](model)
    kept = weakref.ref(model)
    del model
    gc.collect()
    assert kept() is None
