"""Mean and covariance of features that come batch by batch."""

import numpy as np

from tf_tickets.errors import SettingError, check_count


class Moments:
    """Count, mean and covariance of features that come batch by batch.

    A Frechet distance needs no more than these, so memory does not grow with the number of
    images. Sums are kept in float64 around the running mean: a plain sum of squares would lose
    the small variances next to large means.

    Args:
        num_features: length d of one image's features.

    Source: Chan, Golub and LeVeque, 1979, "Updating formulae and a pairwise algorithm for
    computing sample variances".
    """

    def __init__(self, num_features: int):
        check_count("num_features", num_features)
        self.count = 0
        self.mean = np.zeros(num_features)
        self._scatter = np.zeros((num_features, num_features))

    @property
    def covariance(self) -> np.ndarray:
        """The unbiased covariance, float64 of shape (d, d).

        Raises:
            SettingError: if there were fewer than two images.
        """
        if self.count < 2:
            raise SettingError(
                f"A covariance needs at least 2 images. Received: {self.count}. Use more images."
            )
        return self._scatter / (self.count - 1)

    def update(self, features):
        """Add the images whose features are the rows of `features`, shape (n, d).

        Raises:
            SettingError: if they are of another shape.
        """
        features = np.asarray(features, dtype=np.float64)
        if features.ndim != 2 or features.shape[1] != len(self.mean):
            raise SettingError(
                f"Moments of {len(self.mean)} features take features of shape (n, "
                f"{len(self.mean)}). Received: shape {features.shape}."
            )
        if len(features) == 0:
            return
        # Infinity minus infinity needs no warning here: `frechet_distance` refuses the result.
        with np.errstate(invalid="ignore", over="ignore"):
            mean = features.mean(axis=0)
            centred = features - mean
            scatter = centred.T @ centred
            total = self.count + len(features)
            step = mean - self.mean
            self._scatter += scatter + np.outer(step, step) * (self.count * len(features) / total)
            self.mean = self.mean + step * (len(features) / total)
            self.count = total
