"""How far the fcd rises if images get worse, in units of its floor.

    python benchmarks/fcd_sensitivity.py [--dataset digits] [--image-size 8] [--figure FILE]

Real test images are made worse in four ways, little by little, and compared with as many real
validation images. Neither are among the images that the classifier behind the fcd was trained on.
Unharmed, the two are the floor apart: no generator can be better. The ways are:

- blur: a Gaussian, whose standard deviation is the strength times a quarter of the side;
- noise: added to each pixel value, of the strength as standard deviation, values being in [-1, 1];
- dropped classes: the strength is the share of the classes that are missing;
- repeated images: the strength is the share of the images that show another one again.

Images of noise alone, uniform in [-1, 1], are the reference at the other end. Target: each way
raises the fcd, step by step, and noise alone is more than 20 floors away.
"""

import argparse

import numpy as np

from tf_tickets.lab.data import dataset
from tf_tickets.lab.metrics import Moments, frechet_distance, load_classifier

STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# Colours that can be told apart by readers who see some colours alike.
STYLES = {
    "blur": ("#0072B2", "o"),
    "noise": ("#D55E00", "s"),
    "dropped classes": ("#009E73", "^"),
    "repeated images": ("#CC79A7", "D"),
}


def blurred(images: np.ndarray, strength: float) -> np.ndarray:
    """Return images (n, h, w, c) seen through a Gaussian."""
    from scipy.ndimage import gaussian_filter

    sigma = strength * images.shape[1] / 4
    return gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest")


def noisy(images: np.ndarray, strength: float) -> np.ndarray:
    """Return images with noise added to every pixel value."""
    noise = np.random.default_rng(0).normal(0, strength, images.shape)
    return np.clip(images + noise, -1, 1).astype("float32")


def repeated(images: np.ndarray, strength: float) -> np.ndarray:
    """Return as many images, a share of which show one of the others again."""
    order = np.random.default_rng(0).permutation(len(images))
    return images[np.resize(order[: round((1 - strength) * len(images))], len(images))]


def of_some_classes(images, labels, num_images: int, strength: float) -> np.ndarray:
    """Return the first images of the classes that are left."""
    classes = np.unique(labels)
    left = classes[: round((1 - strength) * len(classes))]
    rows = np.flatnonzero(np.isin(labels, left))
    return images[np.resize(rows, num_images)]


def read(name, split, size, num_images, data_dir):
    """Return the images and the labels of a split."""
    loaded = dataset.load(name, split, size, num_images, data_dir)
    images, labels = loaded.examples.batch(loaded.num_images).get_single_element()
    return images.numpy(), labels.numpy()


class Yardstick:
    """Says how far images are from real ones.

    Args:
        name: of the data set.
        size: of its images, in pixels.
        num_images: how many are compared, at most.
        data_dir: where the data set is.
    """

    def __init__(self, name, size, num_images=None, data_dir=None):
        for_classifier = dataset.load(name, "classifier", size, data_dir=data_dir)
        self._extractor = load_classifier(for_classifier)
        (here, labels), self._there, self._more = (
            read(name, split, size, num_images, data_dir)
            for split in ("validation", "test", "train")
        )
        self.num_images = min(len(here), len(self._there[0]))
        self._here, logits = self._seen(here[: self.num_images])
        self.accuracy = float(np.mean(logits.argmax(-1) == labels[: self.num_images]))

    def _seen(self, images):
        features, logits = self._extractor(images)
        moments = Moments(features.shape[1])
        moments.update(features)
        return moments, logits

    def fcd(self, images: np.ndarray) -> float:
        """Return the Frechet distance of images to real ones of the validation split."""
        return frechet_distance(self._here, self._seen(images)[0])

    def worse(self, way: str, strength: float) -> np.ndarray:
        """Return as many test images, made worse."""
        number = self.num_images
        images, labels = self._there
        if way == "dropped classes":
            # Training images fill up, so that none has to be repeated while others are left.
            images, labels = (
                np.concatenate(pair) for pair in zip(self._there, self._more, strict=True)
            )
            return of_some_classes(images, labels, number, strength)
        make = {"blur": blurred, "noise": noisy, "repeated images": repeated}[way]
        return make(images[:number], strength)

    def noise_alone(self) -> np.ndarray:
        """Return as many images of noise."""
        shape = (self.num_images, *self._there[0].shape[1:])
        return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def measure(yardstick: Yardstick, strengths=STRENGTHS) -> dict[str, list[float]]:
    """Return for each way of making images worse the fcd at each strength."""
    return {
        way: [yardstick.fcd(yardstick.worse(way, strength)) for strength in strengths]
        for way in STYLES
    }


def draw(found, reference, path, title):
    """Draw the fcd in units of the floor against the strength."""
    from tf_tickets.lab.show import styles

    figure = styles.new_figure(4.5, layout="constrained")
    axes = figure.subplots()
    for way, (color, marker) in STYLES.items():
        axes.plot(STRENGTHS, found[way], label=way, color=color, marker=marker)
    axes.axhline(reference, color=styles.GREY, linestyle="--")
    axes.annotate("images of noise alone", (0, reference), (0, -4), **_SMALL, va="top")
    axes.axhline(1, color=styles.GREY, linestyle=":")
    axes.annotate("floor", (0.9, 1), (0, 4), **_SMALL, va="bottom", ha="right")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    styles.frame(axes, title, "strength", "fcd in units of its floor")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", frameon=False)
    styles.save(figure, path)


_SMALL = {"textcoords": "offset points", "fontsize": 9, "color": "#555555"}


def main():
    """Print the table, and draw the figure if one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="digits")
    parser.add_argument("--image-size", type=int, default=8)
    parser.add_argument("--data-dir")
    parser.add_argument("--images", type=int, help="compare so many at most (default: all)")
    parser.add_argument("--figure", help="a PNG file to draw")
    given = parser.parse_args()
    size = given.image_size
    yardstick = Yardstick(given.dataset, size, given.images, given.data_dir)
    found = measure(yardstick)
    floor = found["blur"][0]  # unharmed
    print(
        f"{given.dataset} of {size}x{size}: {yardstick.num_images} images on either side, "
        f"classifier's accuracy {yardstick.accuracy:.3f}, floor {floor:.4g}\n"
    )
    print("strength        " + "".join(f"{strength:>8.1f}" for strength in STRENGTHS))
    found = {way: np.divide(values, floor) for way, values in found.items()}
    for way, values in found.items():
        print(f"{way:<16}" + "".join(f"{value:>8.1f}" for value in values))
    reference = yardstick.fcd(yardstick.noise_alone()) / floor
    print(f"noise alone     {reference:>8.1f}")
    if given.figure:
        title = f"What the fcd sees of worse {given.dataset}, {size}x{size} pixels"
        draw(found, reference, given.figure, title)


if __name__ == "__main__":
    main()
