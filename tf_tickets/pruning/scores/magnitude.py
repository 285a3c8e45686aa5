"""Magnitudes: what a training has made of each weight."""

import warnings

import numpy as np

from tf_tickets.names import named
from tf_tickets.pruning.zeros import has_yet_to_learn


def magnitude_scores(variables) -> dict[str, np.ndarray]:
    """Return the magnitude of every weight: variable name -> float array, higher means keep.

    A variable that is zero everywhere has nothing to rank its weights by: it has yet to learn, and
    among others it would be the first to go. So it is left out, as what is not to be pruned is.

    Args:
        variables: Keras variables, as `prunable` returns them.

    Raises:
        SettingError: if they are no variables.

    Warns:
        UserWarning: if a variable is zero everywhere; the message names it.

    Source: Han et al., 2015, arXiv:1506.02626; Kalibhat et al., 2021,
    arXiv:2010.02350, sec. 3.1.
    """
    values = {name: variable.numpy() for name, variable in named(variables).items()}
    zero = [name for name, value in values.items() if has_yet_to_learn(value)]
    if zero:
        warnings.warn(
            f"{', '.join(zero)}: zero everywhere, so not ranked by magnitude and not pruned now. "
            "Such a kernel has yet to learn: prune it when it has been trained.",
            stacklevel=2,
        )
    return {name: np.abs(value) for name, value in values.items() if name not in zero}
