import itertools

import numpy as np
import pytest

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics.score import classifier_score, score_splits


def test_score_is_the_number_of_classes_for_clear_and_varied_images():
    logits = np.tile(100 * np.eye(5), (10, 1))
    np.testing.assert_allclose(classifier_score(logits), 5, rtol=1e-12)


def test_score_is_one_where_nothing_is_told():
    """Either every image is unclear, or all are of one class."""
    np.testing.assert_allclose(classifier_score(np.zeros((6, 4))), 1, rtol=1e-12)
    np.testing.assert_allclose(classifier_score(100 * np.eye(4)[[2, 2, 2]]), 1, rtol=1e-12)


def test_score_is_taken_in_parts_of_consecutive_images():
    """All of one class in the first half, two in the second: 1 and 2, against a score of all."""
    logits = 100 * np.eye(3)[[0, 0, 0, 0, 1, 2, 1, 2]]
    np.testing.assert_allclose(classifier_score(logits, num_splits=2), 1.5, rtol=1e-12)
    entropy = 0.5 * np.log(2) + 2 * 0.25 * np.log(4)
    np.testing.assert_allclose(classifier_score(logits, num_splits=1), np.exp(entropy), rtol=1e-12)


@pytest.mark.parametrize(
    ("num_splits", "bounds"), [(1, [0, 57]), (4, [0, 15, 29, 43, 57]), (10, None)]
)
def test_score_agrees_with_its_definition(num_splits, bounds):
    logits = np.random.default_rng(0).normal(0, 3, size=(57, 7)).astype(np.float32)
    answers = np.exp(logits.astype(np.float64))
    answers /= answers.sum(axis=1, keepdims=True)
    # Seven parts of six images and three of five.
    bounds = bounds or [0, 6, 12, 18, 24, 30, 36, 42, 47, 52, 57]
    scores = []
    for start, stop in itertools.pairwise(bounds):
        part = answers[start:stop]
        divergences = np.sum(part * np.log(part / part.mean(axis=0)), axis=1)
        scores.append(np.exp(divergences.mean()))
    score = classifier_score(logits, num_splits)
    np.testing.assert_allclose(score, np.mean(scores), rtol=1e-12)


@pytest.mark.parametrize(
    ("num_images", "num_parts"),
    [(1, 1), (3, 1), (4, 2), (19, 9), (20, 10), (10_000, 10)],
)
def test_few_images_make_few_parts_of_two_or_more(num_images, num_parts):
    assert score_splits(num_images) == num_parts


def test_no_part_is_no_score():
    with pytest.raises(
        SettingError, match=r"`num_splits` must be at least 1. Received: num_splits=0"
    ):
        classifier_score(np.zeros((4, 2)), num_splits=0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e3, 1e30, 1e308])
def test_classes_of_probability_zero_leave_the_score_right(scale):
    assert classifier_score([[scale, -scale, 0]] * 2) == pytest.approx(1)
    assert classifier_score(scale * np.eye(3), num_splits=1) == pytest.approx(3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_have_no_score(value):
    with pytest.raises(DivergedError, match="its logits are NaN or infinite"):
        classifier_score([[0.0, 1.0], [value, 0.0]])


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.zeros(3), np.zeros((2, 2, 2))])
def test_without_images_there_is_no_score(logits):
    with pytest.raises(SettingError, match="a row for each image"):
        classifier_score(logits)
