import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets.errors import DivergedError


def test_normalized_scores_sum_to_one_and_keep_their_signs():
    scores = {"a": np.array([1.0, -2.0]), "b": np.array([[3.0, -2.0]])}
    found = tt.normalized_scores(scores)
    np.testing.assert_allclose(found["a"], [0.125, -0.25])
    np.testing.assert_allclose(found["b"], [[0.375, -0.25]])


def test_scores_that_choose_nothing_are_refused():
    with pytest.raises(DivergedError, match="All scores are zero, of a "):
        tt.normalized_scores({"a": np.zeros(3)})
