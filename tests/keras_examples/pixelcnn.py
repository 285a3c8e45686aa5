"""A PixelCNN, as keras.io has it: convolutions that set a part of their kernels to zero."""

import keras
import numpy as np
from keras import layers

from tests.keras_examples.example import Example, images

IMAGES = np.round(images(16, 8, 8, 1, low=0.0))


class PixelConvLayer(layers.Layer):
    """A convolution that sees only pixels before the one it is for."""

    def __init__(self, mask_type, **options):
        super().__init__()
        self.mask_type = mask_type
        self.conv = layers.Conv2D(**options)

    def build(self, input_shape):
        self.conv.build(input_shape)
        height, width, *_ = shape = self.conv.kernel.shape
        self.mask = np.zeros(shape)
        self.mask[: height // 2] = 1.0
        self.mask[height // 2, : width // 2] = 1.0
        if self.mask_type == "B":
            self.mask[height // 2, width // 2] = 1.0

    def call(self, inputs):
        self.conv.kernel.assign(self.conv.kernel * self.mask)
        return self.conv(inputs)


class ResidualBlock(layers.Layer):
    def __init__(self, filters, **options):
        super().__init__(**options)
        self.conv1 = layers.Conv2D(filters, 1, activation="relu")
        self.pixel_conv = PixelConvLayer(
            "B", filters=filters // 2, kernel_size=3, activation="relu", padding="same"
        )
        self.conv2 = layers.Conv2D(filters, 1, activation="relu")

    def call(self, inputs):
        return layers.add([inputs, self.conv2(self.pixel_conv(self.conv1(inputs)))])


def network():
    inputs = keras.Input((8, 8, 1))
    options = {"filters": 16, "activation": "relu", "padding": "same"}
    x = PixelConvLayer("A", kernel_size=7, **options)(inputs)
    for _ in range(2):
        x = ResidualBlock(16)(x)
    for _ in range(2):
        x = PixelConvLayer("B", kernel_size=1, strides=1, **options)(x)
    x = layers.Conv2D(1, 1, activation="sigmoid", padding="valid")(x)
    return keras.Model(inputs, x, name="pixel_cnn")


def compiled(pixel_cnn):
    pixel_cnn.compile(optimizer=keras.optimizers.Adam(5e-4), loss="binary_crossentropy")
    return pixel_cnn


EXAMPLES = {"PixelCNN": Example(lambda: {"pixel_cnn": network()}, compiled, (IMAGES, IMAGES))}
