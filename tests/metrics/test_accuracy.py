import numpy as np

from tf_tickets.metrics import classifier_accuracy, classifier_score


def test_accuracy_by_hand():
    logits = [[0.1, 0.9], [2.0, -1.0], [0.0, 3.0], [5.0, 4.0]]
    assert classifier_accuracy(logits, [1, 0, 0, 0]) == 0.75


def test_score_is_the_number_of_classes_for_clear_and_varied_images():
    np.testing.assert_allclose(classifier_score(100 * np.eye(5)), 5, rtol=1e-12)


def test_score_is_one_where_nothing_is_told():
    """Either every image is unclear, or all are of one class."""
    np.testing.assert_allclose(classifier_score(np.zeros((6, 4))), 1, rtol=1e-12)
    np.testing.assert_allclose(classifier_score(100 * np.eye(4)[[2, 2, 2]]), 1, rtol=1e-12)


def test_score_agrees_with_its_definition():
    logits = np.random.default_rng(0).normal(0, 3, size=(50, 7)).astype(np.float32)
    answers = np.exp(logits.astype(np.float64))
    answers /= answers.sum(axis=1, keepdims=True)
    divergences = np.sum(answers * np.log(answers / answers.mean(axis=0)), axis=1)
    np.testing.assert_allclose(classifier_score(logits), np.exp(divergences.mean()), rtol=1e-12)
