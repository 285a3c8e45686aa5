"""What the arguments of `GenerativeAdversarialNetwork` may be."""

import math
import numbers

from tf_tickets.errors import SettingError
from tf_tickets.lab.models.gan_losses import LOSSES


def check_counts(**counts) -> None:
    """Raise SettingError over an argument of a GAN that has to count something, and does not."""
    for name, value in counts.items():
        if not isinstance(value, numbers.Integral) or value < 1:
            raise SettingError(f"`{name}` must be a whole number >= 1. Received: {value!r}.")


def check_arguments(loss, clip_weights, gradient_penalty, ema_decay) -> None:
    """Raise SettingError over another argument of a GAN that cannot work."""
    LOSSES[loss]  # refuses an unknown name
    if clip_weights is not None and not (_is_finite(clip_weights) and clip_weights > 0):
        raise SettingError(f"`clip_weights` must be a number above 0. Received: {clip_weights!r}.")
    if not (_is_finite(gradient_penalty) and gradient_penalty >= 0):
        raise SettingError(
            f"`gradient_penalty` must be a number >= 0. Received: {gradient_penalty!r}."
        )
    if ema_decay is not None and not (_is_finite(ema_decay) and 0 <= ema_decay < 1):
        raise SettingError(f"`ema_decay` must be in [0, 1). Received: {ema_decay!r}.")


def _is_finite(value):
    return isinstance(value, numbers.Real) and math.isfinite(value)
