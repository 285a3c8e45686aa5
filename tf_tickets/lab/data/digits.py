"""The digits that come with scikit-learn: 1,797 images of 8 x 8, which need no download."""

from tf_tickets.lab.data.card import SPLITS, DatasetCard

# Each image belongs to one split alone.
_NUM_IMAGES = {"train": 647, "classifier": 450, "validation": 350, "test": 350}


def _read(split: str, size: int, limit: int | None, data_dir: str | None):
    import numpy as np
    from sklearn import datasets

    from tf_tickets.lab.data.pixels import square

    digits = datasets.load_digits()
    rows = _rows(digits.target)[split]
    # Values 0..16 stay exact as floats, which eight bits would round.
    images = (digits.images[rows[:limit], ..., np.newaxis] / 8.0 - 1.0).astype("float32")
    return (square(images, size), digits.target[rows[:limit]]), len(rows)


def _rows(labels):
    """Return the rows of each split, in which all classes are as frequent as among all images."""
    import numpy as np
    from sklearn import model_selection

    left, rows = np.arange(len(labels)), {}
    for split in ("test", "validation", "classifier"):
        left, rows[split] = model_selection.train_test_split(
            left, test_size=_NUM_IMAGES[split], stratify=labels[left], random_state=0
        )
    return {**rows, "train": left}


CARD = DatasetCard(
    name="digits",
    title="scikit-learn's digits",
    read=_read,
    channels=1,
    num_classes=10,
    num_images=_NUM_IMAGES,
    splits=SPLITS,
)
