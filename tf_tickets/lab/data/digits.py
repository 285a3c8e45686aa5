"""The digits that come with scikit-learn: 1,797 images of 8 x 8, which need no download."""

from tf_tickets.lab.data.card import DatasetCard

_NUM_IMAGES = {"train": 1437, "test": 360}


def _read(split: str, size: int, limit: int | None, data_dir: str | None):
    import numpy as np
    from sklearn import datasets, model_selection

    from tf_tickets.lab.data.pixels import square

    digits = datasets.load_digits()
    rows = model_selection.train_test_split(
        np.arange(len(digits.target)),
        test_size=_NUM_IMAGES["test"],
        stratify=digits.target,
        random_state=0,
    )[("train", "test").index(split)]
    # Values 0..16 stay exact as floats, which eight bits would round.
    images = (digits.images[rows[:limit], ..., np.newaxis] / 8.0 - 1.0).astype("float32")
    return (square(images, size), digits.target[rows[:limit]]), len(rows)


CARD = DatasetCard(
    name="digits",
    title="scikit-learn's digits",
    read=_read,
    channels=1,
    num_classes=10,
    num_images=_NUM_IMAGES,
)
