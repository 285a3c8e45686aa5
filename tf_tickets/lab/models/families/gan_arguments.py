"""What the arguments of `GenerativeAdversarialNetwork` may be."""

import math
import numbers

from tf_tickets.errors import SettingError
from tf_tickets.lab.models.gan_losses import LOSSES


def check_arguments(loss, critic_steps, clip_weights, gradient_penalty, ema_decay) -> None:
    """Raise SettingError over an argument of a GAN that cannot work."""
    LOSSES[loss]  # refuses an unknown name
    if not isinstance(critic_steps, numbers.Integral) or critic_steps < 1:
        raise SettingError(
            f"`critic_steps` must be a whole number >= 1. Received: {critic_steps!r}."
        )
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
