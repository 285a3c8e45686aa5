"""The convolutional VAE and the beta-VAE, which differ in the weight of the KL divergence."""

import math

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.families import VARIATIONAL_AUTOENCODER

keras = LazyModule("keras")


def conv_vae(image_shape, width=64, latent_dim=32):
    """Return strided convolutions with batch norm, and their mirror.

    5,713,603 parameters for 32x32x3 (2,889,600 and 2,824,003). The layers are those of a draft of
    the paper's first author, who normalises means and log-variances over the batch too; that would
    tie the code of an image to the others of its batch.

    Args:
        image_shape: (height, width, channels); a square whose side is a power of two, at
            least 8. Twice the size adds a stage of half the width at the outer end.
        width: filters of the second-outermost stage at 64x64, of the outermost at 32x32.
        latent_dim: numbers in the latent code.
    """
    blocks.require_power_of_two("vae", image_shape)
    inputs = keras.Input(image_shape, name="encoder_input")
    x = strided_convs(inputs, width, 2 * latent_dim, "encoder", blocks.batch_norm_relu)
    encoder = blocks.gaussian_encoder(inputs, x, latent_dim)
    return encoder, conv_decoder(image_shape, width, latent_dim, "decoder")


def strided_convs(x, width, outputs, name, after):
    """Return `outputs` channels of 1x1, from images that strided convolutions halve down to 2x2.

    Args:
        x: images of a square whose side is a power of two.
        width: filters of the outermost convolution at 32x32; each next one has twice as many.
        outputs: channels that are left.
        name: prefix of the layers' names.
        after: function of (tensor, name), what follows every convolution but the last.
    """
    for i, filters in enumerate(_stage_widths(x.shape[1], width), 1):
        x = blocks.conv(x, filters, 4, f"{name}_conv{i}", 2, padding=1)
        x = after(x, f"{name}_conv{i}")
    return blocks.conv(x, outputs, 2, f"{name}_conv{i + 1}")


def conv_decoder(image_shape, width, latent_dim, name):
    """Return the mirror of `strided_convs`, from codes (batch, latent_dim) to images.

    Args:
        image_shape: (height, width, channels) of a square whose side is a power of two.
        width: filters of the outermost hidden layer at 32x32.
        latent_dim: numbers in a code.
        name: of the network, and prefix of its layers' names.
    """
    widths = _stage_widths(image_shape[0], width)[::-1]
    inputs = keras.Input((latent_dim,), name=f"{name}_input")
    x = keras.layers.Reshape((1, 1, latent_dim), name=f"{name}_reshape")(inputs)
    x = blocks.conv_transpose(x, widths[0], 2, f"{name}_conv1")
    x = blocks.batch_norm_relu(x, f"{name}_conv1")
    for i, filters in enumerate(widths[1:], 2):
        x = blocks.conv_transpose(x, filters, 4, f"{name}_conv{i}", 2, padding=1)
        x = blocks.batch_norm_relu(x, f"{name}_conv{i}")
    last = f"{name}_conv{len(widths) + 1}"
    x = blocks.conv_transpose(x, image_shape[-1], 4, last, 2, padding=1)
    return blocks.image_network(inputs, x, name)


def _stage_widths(side, width):
    """Return the filters of the stages that lead from the image down to 2x2, outermost first."""
    num_stages = int(math.log2(side)) - 1
    return [max(1, 8 * width // 2**i) for i in reversed(range(num_stages))]


_DEPARTURES = (
    "Means and log-variances are not normalised over the batch, which would tie the code of an "
    "image to the others (drafts of Kalibhat et al.).",
)

# All whose maker is `conv_decoder`.
SHARING = ("vae", "beta-vae", "dcgan-shared")

VAE = ModelCard(
    name="vae",
    title="VAE",
    family=VARIATIONAL_AUTOENCODER,
    networks=conv_vae,
    paper_params=5_600_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    shares_maker_with=SHARING,
    departures=_DEPARTURES,
)

BETA_VAE = ModelCard(
    name="beta-vae",
    title="beta-VAE",
    family=VARIATIONAL_AUTOENCODER,
    networks=conv_vae,
    options={"beta": 4.0},
    paper_params=5_600_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    shares_maker_with=SHARING,
    departures=_DEPARTURES,
)
