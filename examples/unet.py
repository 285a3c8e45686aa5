"""Makes a U-Net smaller: draws an early-bird ticket, removes channels, and trains on.

Usage: python examples/unet.py

The task is to find a disc beside a square in noisy images of 32 x 32 pixels, which are drawn here.
The skip connections are concatenations. If a channel of the encoder is removed, its slices in the
decoder's kernels are removed too.
"""

import keras
import numpy as np

import tf_tickets as tt

EPOCHS = 12


def main():
    """Draw the ticket, train both models on, and print the cost and quality of each."""
    images, masks = draw(256, seed=0)
    test = draw(128, seed=1)
    keras.utils.set_random_seed(0)
    model = build()
    early_bird = tt.callbacks.EarlyBird(channel_sparsity=0.5, look_back=3, pool="layer")
    model.fit(images, masks, epochs=EPOCHS, callbacks=[early_bird], verbose=0)
    if early_bird.masks is None:
        raise SystemExit("The masks have not settled: train for more epochs.")
    print(f"drawn after epoch {early_bird.epoch} of {EPOCHS}")

    small = tt.slim(model, early_bird.masks, round_to=4)
    rest = {"initial_epoch": early_bird.epoch, "epochs": EPOCHS, "verbose": 0}
    small.fit(images, masks, **rest)
    model.fit(images, masks, **rest)
    print(small.slim_report)

    print(f"{'':8} {'parameters':>11} {'FLOPs':>13} {'IoU':>6}")
    for name, each in (("whole", model), ("slim", small)):
        flops = tt.count_flops(each).forward
        overlap = intersection_over_union(each, *test)
        print(f"{name:8} {each.count_params():11,} {flops:13,} {overlap:6.3f}")


def build():
    """Return a U-Net of two levels, which computes a logit for each pixel."""
    inputs = keras.Input((32, 32, 1))
    first = block(inputs, 16, "down1")
    second = block(keras.layers.MaxPooling2D()(first), 32, "down2")
    x = block(keras.layers.MaxPooling2D()(second), 64, "bottom")
    x = keras.layers.Concatenate()([keras.layers.UpSampling2D()(x), second])
    x = block(x, 32, "up2")
    x = keras.layers.Concatenate()([keras.layers.UpSampling2D()(x), first])
    x = block(x, 16, "up1")
    model = keras.Model(inputs, keras.layers.Conv2D(1, 1, name="logits")(x), name="unet")
    model.compile("adam", keras.losses.BinaryCrossentropy(from_logits=True))
    return model


def block(x, width, name):
    """Return a convolution of `width` channels, normalized."""
    x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=name)(x)
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return keras.layers.ReLU()(x)


def draw(num_images, seed):
    """Return noisy images of a disc and a square, and the masks of the disc; (n, 32, 32, 1)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    places = random.uniform(6, 26, (num_images, 4, 1, 1))
    disc = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2 < 25
    square = np.maximum(abs(rows - places[:, 2]), abs(columns - places[:, 3])) < 4
    images = np.where(disc | square, 1.0, 0.0) + random.normal(0, 0.3, (num_images, 32, 32))
    return images[..., None].astype("float32"), disc[..., None].astype("float32")


def intersection_over_union(model, images, masks):
    """Return how well the pixels that were found match the discs, from 0 to 1."""
    found = model.predict(images, verbose=0) > 0
    return np.sum(found & (masks > 0)) / np.sum(found | (masks > 0))


if __name__ == "__main__":
    main()
