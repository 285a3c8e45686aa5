"""Keras callbacks for `fit` of any Keras 3 model."""

from tf_tickets.callbacks.early_bird import EarlyBird
from tf_tickets.callbacks.hold_masks import HoldMasks
from tf_tickets.callbacks.prune_low_magnitude import PruneLowMagnitude
from tf_tickets.callbacks.pruning_report import PruningReport
from tf_tickets.callbacks.rewind_point import RewindPoint

__all__ = ["EarlyBird", "HoldMasks", "PruneLowMagnitude", "PruningReport", "RewindPoint"]
