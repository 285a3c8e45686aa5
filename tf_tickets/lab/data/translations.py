"""Two domains of which the true translation is known: images, and other images as a relief."""

import dataclasses
import functools

from tf_tickets.lab.data import digits, tfds
from tf_tickets.lab.data.card import SPLITS, DatasetCard


def relief(images):
    """Return images as a relief that is lit from the upper left.

    A pixel is half the difference of its neighbours below on the right and above on the left. What
    it was itself does not matter, so no change of colours does the same.

    Args:
        images: float (n, h, w, c) in [-1, 1].

    Returns:
        As many in [-1, 1]; 0 where nothing changes.
    """
    import tensorflow as tf

    padded = tf.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), "SYMMETRIC")
    return (padded[:, 2:, 2:] - padded[:, :-2, :-2]) / 2


def _with_relief(card: DatasetCard) -> DatasetCard:
    """Return the card of the images of another one as domain A, and of relief as domain B.

    What is trained on is unpaired: the relief is of the second half of the images. In the other
    splits it is of the same images.
    """
    counts = {split: card.num_images[split] for split in SPLITS}
    return dataclasses.replace(
        card,
        name=f"{card.name}-relief",
        title=f"{card.title} and their relief",
        read=functools.partial(_read, card),
        channels=2 * card.channels,
        num_images={**counts, "train": counts["train"] // 2},
        splits=SPLITS,
        domains=(card.title, "relief"),
        has_truth=True,
    )


def _read(card, split, size, limit, data_dir):
    import tensorflow as tf

    from tf_tickets.lab.data.pixels import to_float

    is_paired = split != "train"
    # Of what is trained on all, so that the halves do not depend on how much is asked for.
    (images, labels), num_available = card.read(split, size, limit if is_paired else None, data_dir)
    images = to_float(tf.convert_to_tensor(images))
    if is_paired:
        return (tf.concat([images, relief(images)], axis=-1), labels), num_available
    half = num_available // 2
    kept = min(limit or half, half)
    pairs = [images[:kept], relief(images[half : half + kept])]
    return (tf.concat(pairs, axis=-1), labels[:kept]), half


CARDS = tuple(
    _with_relief(card) for card in (digits.CARD, *(c for c in tfds.CARDS if c.name == "mnist"))
)
