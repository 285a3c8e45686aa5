"""What is known of a data set before any of it is read."""

import dataclasses
from collections.abc import Callable, Mapping

SPLITS = ("train", "classifier", "validation", "test")


@dataclasses.dataclass(frozen=True)
class DatasetCard:
    """A data set by name: what its images are like, and how they are read.

    What depends on the folder that the user gives is None in the card of the registry; `at` returns
    a card in which it is filled in.

    Attributes:
        name: in settings and digests, such as "mnist".
        title: in texts, such as "MNIST".
        read: `read(split, size, limit, data_dir)` returns `(stored, num_available)`: the first
            `limit` images (None for all), square and of the side `size`, and how many the split
            holds in all. `stored` is a pair of arrays or tensors, images (n, size, size, channels)
            as uint8 or as floats in [-1, 1] and labels (n,) or None; of data too large for the
            memory, a `tf.data.Dataset` of such pairs, one image at a time, with int64 labels, -1 of
            an image without. It imports TensorFlow itself: to import a card must stay quick.
        channels: 1 or 3; twice as many of two domains.
        num_classes: number of different labels; 0 if the images have none.
        num_images: split -> how many images it holds; None if that is known from reading alone.
        splits: those that `read` knows, "train" and "test" at least. What is missing of `SPLITS` is
            taken from "train": "validation", on which tickets are chosen, and, if there are labels,
            "classifier", on which the classifier behind the metrics is trained.
        identity: a word for the content, if the name alone does not say it; part of digests.
        domains: titles of two domains, A and B, for data to translate between: each row is then an
            image of A with one of B on top of it, (size, size, channels), channels being those of
            both. () of a plain data set.
        has_truth: whether both images of a row of the splits but "train" show the same, so that a
            translation can be compared with what it should be.
        look: `look(data_dir)` returns the fields that depend on the folder, by name, without
            TensorFlow; None if none does.
    """

    name: str
    title: str
    read: Callable
    channels: int | None
    num_classes: int | None
    num_images: Mapping[str, int] | None = None
    splits: tuple[str, ...] = ("train", "test")
    identity: str = ""
    domains: tuple[str, ...] = ()
    has_truth: bool = False
    look: Callable[[str | None], Mapping] | None = None

    def at(self, data_dir: str | None) -> "DatasetCard":
        """Return the card with all that depends on the folder.

        Raises:
            SettingError, FileError: if the data set is a folder of the user's own, and it is not
                given or cannot be read.
        """
        if self.look is None:
            return self
        return dataclasses.replace(self, look=None, **self.look(data_dir))
