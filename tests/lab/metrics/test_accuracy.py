from tf_tickets.lab.metrics import classifier_accuracy


def test_accuracy_by_hand():
    logits = [[0.1, 0.9], [2.0, -1.0], [0.0, 3.0], [5.0, 4.0]]
    assert classifier_accuracy(logits, [1, 0, 0, 0]) == 0.75
