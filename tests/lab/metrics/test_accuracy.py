import numpy as np
import pytest

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics import classifier_accuracy


def test_accuracy_by_hand():
    logits = [[0.1, 0.9], [2.0, -1.0], [0.0, 3.0], [5.0, 4.0]]
    assert classifier_accuracy(logits, [1, 0, 0, 0]) == 0.75


LOGITS = np.eye(3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], r"of each of 3 images, shape \(3,\). Received: shape \(2,\)"),
        ([[0], [1], [2]], r"Received: shape \(3, 1\)"),  # compared with each image otherwise
        (LOGITS, r"Received: shape \(3, 3\)"),
        ([0, 1, 3], "from 0 to 2. Received: 3"),
        ([-1, 1, 2], "Received: -1"),
        ([0, 1, 1.5], "Received: 1.5"),
    ],
)
def test_labels_that_are_no_classes_are_refused(labels, message):
    with pytest.raises(SettingError, match=message):
        classifier_accuracy(LOGITS, labels)


@pytest.mark.parametrize("logits", [np.zeros((0, 3)), np.zeros(3), LOGITS.astype(complex)])
def test_logits_that_are_no_answers_are_refused(logits):
    with pytest.raises(SettingError, match="`logits` must"):
        classifier_accuracy(logits, [0, 1, 2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_largest_of_logits_that_are_not_finite_says_nothing(value):
    with pytest.raises(DivergedError, match="its logits are NaN or infinite"):
        classifier_accuracy([[value, 0.0]], [0])
