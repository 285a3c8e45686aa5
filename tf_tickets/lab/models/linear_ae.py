"""An autoencoder of dense networks."""

import math

from tf_tickets.errors import SettingError
from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.families import AUTOENCODER

keras = LazyModule("keras")


def linear_autoencoder(image_shape, widths=(116, 64, 12, 3)):
    """Return dense networks that squeeze an image to `widths[-1]` numbers and back.

    199,515 parameters for 28x28x1. A draft of the paper's first author has 128 units where here are
    116, which give the paper's 200 K. Hidden layers are rectified, the code is linear.

    Args:
        image_shape: (height, width, channels), of any size.
        widths: units of the encoder's layers; the decoder mirrors them.
    """
    if not widths or min(widths) < 1:
        raise SettingError(f"`widths` must hold one number or more, each at least 1. {widths=}.")
    inputs = keras.Input(image_shape, name="encoder_input")
    x = keras.layers.Flatten(name="encoder_flatten")(inputs)
    x = _dense_stack(x, widths, "encoder")
    encoder = keras.Model(inputs, x, name="encoder")

    inputs = keras.Input((widths[-1],), name="decoder_input")
    x = _dense_stack(inputs, (*reversed(widths[:-1]), math.prod(image_shape)), "decoder")
    x = keras.layers.Reshape(image_shape, name="decoder_reshape")(x)
    return encoder, blocks.image_network(inputs, x, "decoder")


def _dense_stack(x, widths, prefix):
    for i, units in enumerate(widths, 1):
        activation = "relu" if i < len(widths) else None
        x = keras.layers.Dense(units, activation=activation, name=f"{prefix}_dense{i}")(x)
    return x


LINEAR_AE = ModelCard(
    name="linear-ae",
    title="Linear AE",
    family=AUTOENCODER,
    networks=linear_autoencoder,
    # Chosen here, by when the validation loss settles: 3,750 and 2,000 steps, minutes on two cores.
    recipes_on={
        "mnist": {
            "image_size": 28,
            "batch_size": 32,
            "learning_rate": 3e-3,
            "epochs": 3,
            "precision": "float32",
        },
        "digits": {"learning_rate": 3e-3, "epochs": 100},
    },
    paper_params=200_000,
    paper_dataset="mnist",
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    departures=(
        "The first hidden layer has 116 units, which give the paper's count; the draft has 128 "
        "(Kalibhat et al., Table 1).",
    ),
)
