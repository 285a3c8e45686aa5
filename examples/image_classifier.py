"""Prunes an image classifier while it trains, and compares it with the dense one.

Usage: python examples/image_classifier.py

The data are 1,797 handwritten digits of 8 x 8 pixels that come with scikit-learn. Both models are
trained equally long. The example prints the accuracy of each on images that neither has seen, and
the size of its SavedModel on disk.
"""

import pathlib
import tempfile

import keras
import sklearn.datasets

import tf_tickets as tt

EPOCHS = 8
BATCH_SIZE = 32


def main():
    """Train both models, and print the accuracy and the size of each."""
    train, test = load_digits()
    dense = build()
    dense.fit(*train, BATCH_SIZE, EPOCHS, verbose=0)

    epoch = len(train[0]) // BATCH_SIZE
    # From the first epoch to the fifth; in the last three the network recovers.
    schedule = tt.PolynomialDecay(
        0.0, 0.8, begin_step=epoch, end_step=5 * epoch, frequency=epoch // 4
    )
    pruning = tt.callbacks.PruneLowMagnitude(schedule)
    sparse = build()
    sparse.fit(*train, BATCH_SIZE, EPOCHS, callbacks=[pruning], verbose=0)

    print(f"{'':8} {'kept':>8} {'accuracy':>9} {'SavedModel':>12}")
    for name, model in (("dense", dense), ("sparse", sparse)):
        kept = sum((kernel.numpy() != 0).sum() for kernel in tt.prunable(model))
        accuracy = model.evaluate(*test, verbose=0)[1]
        print(f"{name:8} {kept:8,} {accuracy:9.3f} {exported_bytes(model):12,}")
    for name, mask in pruning.masks.items():
        print(f"{name:16} {mask.mean():7.2%} kept")


def load_digits():
    """Return (images, labels) for training and for testing; pixels in [0, 1]."""
    digits = sklearn.datasets.load_digits()
    images, labels = digits.images[..., None] / 16, digits.target
    return (images[:1408], labels[:1408]), (images[1408:], labels[1408:])


def build():
    """Return a small convolutional network, the same at each call."""
    keras.utils.set_random_seed(0)
    x = inputs = keras.Input((8, 8, 1))
    for width in (32, 64):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv{width}")(x)
        # Few steps follow the last cut, so the moving statistics must catch up quickly.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm{width}")(x)
        x = keras.layers.MaxPooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(64, "relu", name="hidden")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x), name="classifier")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def exported_bytes(model):
    """Return the size of a packed SavedModel of the model on disk, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        path = tt.export_saved_model(model, pathlib.Path(folder) / "exported")
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
