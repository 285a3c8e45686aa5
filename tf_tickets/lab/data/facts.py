"""What can be said of a data set without reading its images, nor loading TensorFlow."""

from tf_tickets.errors import SettingError, check_count
from tf_tickets.lab.data import DATASETS
from tf_tickets.lab.data.card import SPLITS, DatasetCard

_IMAGE_SIZE = 32


def image_shape(
    name: str, image_size: int | None = None, data_dir: str | None = None
) -> tuple[int, int, int]:
    """Return the (height, width, channels) that `load` gives, without reading any data.

    Args:
        name: of the data set, as `load` takes it.
        image_size: height and width in pixels; 32 by default. Whether such images can be had is
            for `load` to say.
        data_dir: as `load` takes it; only the data set "images" depends on it.
    """
    size = _IMAGE_SIZE if image_size is None else image_size
    return (size, size, DATASETS[name].at(data_dir).channels)


def resolve_card(name: str, split: str, limit: int | None, data_dir: str | None) -> DatasetCard:
    """Return the card of a data set in a folder, if it has the split; arguments as of `load`."""
    if split not in SPLITS:
        raise SettingError(f"Unknown split {split!r}. Choose one of: {', '.join(SPLITS)}.")
    if limit is not None:
        check_count("limit", limit)
    return DATASETS[name].at(data_dir)


def resolve_size(image_size: int | None) -> int:
    """Return the side of images in pixels, 32 by default."""
    size = _IMAGE_SIZE if image_size is None else image_size
    check_count("image_size", size, least=8)
    return size


def digest_of(card: DatasetCard, split: str, size: int, num_images: int) -> str:
    """Return the digest of so many images of a split."""
    parts = [card.name, card.identity, split, str(size), str(num_images)]
    return "-".join(part for part in parts if part)
