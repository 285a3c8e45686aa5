"""Random scores: what any others have to beat."""

import numpy as np

from tf_tickets.errors import check_count
from tf_tickets.names import named


def random_scores(variables, seed: int) -> dict[str, np.ndarray]:
    """Return a random number in [0, 1) for every weight: variable name -> float64 array.

    Args:
        variables: Keras variables, as `prunable` returns them.
        seed: decides the scores, together with the shapes and order of the variables; a whole
            number, at least 0.

    Raises:
        SettingError: if the seed is no such number.
    """
    check_count("seed", seed, least=0)
    random = np.random.default_rng(seed)
    return {name: random.random(variable.shape) for name, variable in named(variables).items()}
