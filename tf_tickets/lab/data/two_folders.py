"""Two folders of images of the user's own, to translate between: each is read as `images` is."""

import os
import pathlib

from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.data import images
from tf_tickets.lab.data.card import DatasetCard


def _folders(data_dir: str | None) -> list[pathlib.Path]:
    """Return the folders of A and B, by their names."""
    if data_dir is None:
        raise SettingError(
            "`data_dir` must be a folder that holds two folders of images, one for each domain. "
            "Received: data_dir=None"
        )
    path = pathlib.Path(os.path.expanduser(data_dir)).resolve()
    try:
        found = sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise FileError(
            f"Cannot read the folder {path}: {error.strerror}. Give one that holds two folders of "
            "images as `data_dir`."
        ) from error
    if len(found) != 2:
        raise FileError(
            f"{path} must hold two folders of images, one for each domain. It holds {len(found)}."
        )
    return found


def _look(data_dir: str | None) -> dict:
    folders = _folders(data_dir)
    a, b = (images.study(folder) for folder in folders)
    splits = [split for split in a.names if split in b.names]
    return {
        "channels": 2 * max(a.channels, b.channels),
        "identity": f"{a.identity}-{b.identity}",
        "splits": tuple(splits),
        "num_images": {split: _num_rows(split, a, b) for split in splits},
        "domains": tuple(folder.name for folder in folders),
        "has_truth": _has_truth(a, b),
    }


def _has_truth(a, b) -> bool:
    """Return whether images of the same names are in both folders, and so show the same."""
    return a.names == b.names


def _num_rows(split, a, b) -> int:
    counts = len(a.names[split]), len(b.names[split])
    if split != "train":
        return min(counts)
    return counts[0] // 2 if _has_truth(a, b) else max(counts)


def _read(split: str, size: int, limit: int | None, data_dir: str | None):
    import numpy as np
    import tensorflow as tf

    folders = _folders(data_dir)
    studied = [images.study(folder) for folder in folders]
    num_available = _num_rows(split, *studied)
    count = min(limit or num_available, num_available)
    is_halved = split == "train" and _has_truth(*studied)
    channels = max(folder.channels for folder in studied)
    halves = []
    for number, folder in enumerate(folders):
        stored = images.CARD.read(split, size, None, str(folder))[0]
        if isinstance(stored, tf.data.Dataset):
            raise SettingError(
                f"The images of {folder} are more than fit in memory. Choose a smaller "
                f"`image_size`. Received: image_size={size}."
            )
        stored, _ = stored
        # What is trained on is unpaired: of the same names each domain has another half.
        rows = np.arange(count) + (number * num_available if is_halved else 0)
        half = tf.gather(stored, rows % len(stored))
        halves.append(tf.image.grayscale_to_rgb(half) if half.shape[-1] < channels else half)
    return (tf.concat(halves, axis=-1), None), num_available


CARD = DatasetCard(
    name="two-folders",
    title="two folders of images",
    read=_read,
    look=_look,
    channels=None,
    num_classes=0,
    domains=("A", "B"),
)
