"""A convolutional autoencoder without batch normalisation."""

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.families import AUTOENCODER

keras = LazyModule("keras")


def conv_autoencoder(image_shape, width=32):
    """Return five convolutions with pooling, and their mirror.

    2,937,507 parameters for 32x32x3 (1,541,952 and 1,395,555). The code of an image is
    (height / 16, width / 16, 16 * width). The layers are those of a draft of the paper's first
    author.

    Args:
        image_shape: (height, width, channels); both sides multiples of 16, for other sizes the
            author's paddings do not lead back to the size of the input.
        width: filters of the first convolution; each next one has twice as many.
    """
    blocks.require("conv-ae", image_shape, lambda side: side % 16 == 0, "a multiple of 16")
    widths = [width * 2**i for i in range(5)]
    inputs = keras.Input(image_shape, name="encoder_input")
    x = inputs
    for i, (kernel, stride, padding) in enumerate([(3, 1, 1), (4, 2, 1), (2, 2, 2), (3, 1, 1)], 1):
        x = blocks.conv(
            x, widths[i - 1], kernel, f"encoder_conv{i}", stride, padding, activation="relu"
        )
    x = keras.layers.MaxPooling2D(2, 2, name="encoder_pool1")(x)
    x = blocks.conv(x, widths[4], 3, "encoder_conv5", 2, padding=1, activation="relu")
    x = keras.layers.MaxPooling2D(2, 1, name="encoder_pool2")(x)
    encoder = keras.Model(inputs, x, name="encoder")

    inputs = keras.Input(encoder.output_shape[1:], name="decoder_input")
    x = inputs
    for i, (kernel, stride, padding) in enumerate([(3, 2, 0), (2, 2, 0), (2, 2, 1), (5, 1, 1)], 1):
        x = blocks.conv_transpose(
            x, widths[4 - i], kernel, f"decoder_conv{i}", stride, padding, activation="relu"
        )
    x = blocks.conv_transpose(x, image_shape[-1], 2, "decoder_conv5", 2, padding=4)
    return encoder, blocks.image_network(inputs, x, "decoder")


CONV_AE = ModelCard(
    name="conv-ae",
    title="Conv AE",
    family=AUTOENCODER,
    networks=conv_autoencoder,
    recipes_on={
        "digits": {
            "image_size": 16,
            "network": {"width": 8},
            "epochs": 60,
            "learning_rate": 3e-3,
        },
        "mnist": {"network": {"width": 8}, "epochs": 4, "learning_rate": 3e-3},
    },
    paper_params=3_000_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
)
