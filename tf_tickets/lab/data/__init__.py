"""Image data sets, by name.

`DATASETS` holds a card for each; a new one is a file and a line here, or one of tensorflow_datasets
a card in `tfds`. Functions are loaded when they are first used: to import this module loads no
TensorFlow.
"""

from typing import TYPE_CHECKING

import lazy_loader

from tf_tickets.lab.data import digits, images, tfds, translations, two_folders
from tf_tickets.lab.data.card import DatasetCard
from tf_tickets.lab.registry import Registry

if TYPE_CHECKING:
    from tf_tickets.lab.data.dataset import (
        ImageDataset,
        load,
        steps_per_epoch,
        training_batches,
    )
    from tf_tickets.lab.data.facts import image_shape

DATASETS = Registry(
    "data set", [digits.CARD, *tfds.CARDS, *translations.CARDS, images.CARD, two_folders.CARD]
)

__all__ = [
    "DATASETS",
    "DatasetCard",
    "ImageDataset",
    "image_shape",
    "load",
    "steps_per_epoch",
    "training_batches",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submodules=["dataset"],
    submod_attrs={
        "dataset": ["ImageDataset", "load", "steps_per_epoch", "training_batches"],
        "facts": ["image_shape"],
    },
)
