"""The DCGAN that shares its generator with the VAE, so that tickets can move between the two."""

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks, vae
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.dcgan import DCGAN_RECIPE, NOT_NORMAL
from tf_tickets.lab.models.families import GAN

keras = LazyModule("keras")


def vae_shaped_gan(image_shape, width=64, latent_dim=32):
    """Return the decoder of `conv_vae` as a generator, and its encoder with one output.

    5,584,516 parameters (2,824,003 and 2,760,513) for 32x32x3. The DCGAN of 6.5 M in the paper's
    Table 1 cannot share a decoder with a symmetric VAE of 5.6 M.

    Args:
        image_shape: (height, width, channels) of a square whose side is a power of two.
        width: as in `conv_vae`.
        latent_dim: numbers in a code.
    """
    blocks.require_power_of_two("dcgan-shared", image_shape)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = vae.strided_convs(inputs, width, 1, "discriminator", blocks.batch_norm_leaky_relu)
    generator = vae.conv_decoder(image_shape, width, latent_dim, "generator")
    return generator, blocks.discriminator_network(inputs, x)


DCGAN_SHARED = ModelCard(
    name="dcgan-shared",
    title="DCGAN with the VAE's decoder",
    family=GAN,
    networks=vae_shaped_gan,
    recipe=DCGAN_RECIPE,
    shares_maker_with=vae.SHARING,
    departures=(
        "It has 5.6 M parameters; the DCGAN of 6.5 M cannot share a decoder with the VAE (Kalibhat "
        "et al., fig. 8 and Table 1).",
        NOT_NORMAL,
    ),
)
