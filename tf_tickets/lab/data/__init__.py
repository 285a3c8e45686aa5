"""Image data sets, by name."""

from tf_tickets.lab.data.dataset import (
    NAMES,
    ImageDataset,
    image_shape,
    load,
    steps_per_epoch,
    training_batches,
)

__all__ = ["NAMES", "ImageDataset", "image_shape", "load", "steps_per_epoch", "training_batches"]
