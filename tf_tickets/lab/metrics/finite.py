"""What metrics are computed from, checked: rows for images, and finite numbers."""

import numpy as np

from tf_tickets.errors import DivergedError, SettingError


def check_rows(values, name: str) -> np.ndarray:
    """Return values as an array with a row for each image.

    Args:
        values: of shape (n, d).
        name: what they are called in an error.

    Raises:
        SettingError: if they are of another shape or kind, or there is no image.
    """
    try:
        rows = np.asarray(values)
    except ValueError:  # of unlike lengths
        rows = np.asarray(None)
    if rows.ndim != 2 or 0 in rows.shape:
        raise SettingError(
            f"{name} must have a row for each image, shape (n, d), and one image at least. "
            f"Received: shape {rows.shape}."
        )
    if not np.can_cast(rows.dtype, np.float64):  # bfloat16 can be, text and complex cannot
        raise SettingError(f"{name} must be real numbers. Received: {rows.dtype}.")
    return rows


def check_finite(values, what: str) -> None:
    """Raise DivergedError if a value is NaN or infinite; `what` says of what they are."""
    if not np.all(np.isfinite(np.asarray(values, np.float64))):
        raise DivergedError(
            f"The model has diverged: its {what} are NaN or infinite. Try a lower learning rate, "
            "or float32."
        )
