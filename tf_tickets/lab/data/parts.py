"""Splits that a data set does not have itself, taken from its training images."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tf_tickets.lab.data.card import DatasetCard

# Of every 20 images, in the order of the data set, which may be sorted by class.
_PERIOD = 20
_TAKEN = {"validation": 3, "classifier": 4}


def reader(card: DatasetCard) -> Callable:
    """Return a `read` of all splits, as `DatasetCard` describes it.

    Args:
        card: of a data set with "train" and "test" at least.
    """
    remainders = _remainders(card)

    def read(split, size, limit, data_dir):
        if split not in remainders:
            return card.read(split, size, limit, data_dir)
        chosen = remainders[split]
        needed = None if limit is None else _PERIOD * -(-limit // len(chosen))
        stored, num_available = card.read("train", size, needed, data_dir)
        count = len(_rows(num_available, chosen))
        return _taken(stored, chosen, limit), count

    return read


def _remainders(card: DatasetCard) -> dict[str, range]:
    """Return for each split that shares the training images which remainders of rows it has."""
    missing = [name for name in _TAKEN if name not in card.splits]
    # Without labels a classifier can be trained to tell two domains apart, and for nothing else.
    if not card.num_classes and not card.domains and "classifier" in missing:
        missing.remove("classifier")
    shares, start = {}, 0
    for name in missing:
        shares[name] = range(start, start + _TAKEN[name])
        start += _TAKEN[name]
    return {**shares, "train": range(start, _PERIOD)}


def _rows(num_images: int, chosen: range) -> np.ndarray:
    rows = np.arange(num_images)
    return rows[np.isin(rows % _PERIOD, chosen)]


def _taken(stored, chosen: range, limit: int | None):
    if isinstance(stored, tf.data.Dataset):
        first, last = chosen[0], chosen[-1]
        numbered = stored.enumerate()
        kept = numbered.filter(lambda row, _: (row % _PERIOD >= first) & (row % _PERIOD <= last))
        images = kept.map(lambda _, pair: pair)
        return images if limit is None else images.take(limit)
    images, labels = stored
    rows = _rows(len(images), chosen)[:limit]
    images = tf.gather(images, rows)
    return images, None if labels is None else tf.gather(labels, rows)
