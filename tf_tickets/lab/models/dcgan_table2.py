"""The DCGAN with exactly the count of Table 2 of Kalibhat et al., arXiv:2010.02350."""

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.dcgan import DCGAN_RECIPE, NOT_NORMAL, cnn_generator
from tf_tickets.lab.models.families import GAN

keras = LazyModule("keras")


def cnn_gan_without_biases(image_shape, width=64, latent_dim=16):
    """Return networks of 5,651,584 parameters (2,887,232 and 2,764,352) for 32x32x3.

    Table 1 gives the same model 6.5 M. The layout was found by searching for the count.

    Args:
        image_shape: (height, width, channels) of a square whose side is a multiple of 8.
        width: filters of the outermost stage; each next one has twice as many.
        latent_dim: numbers in a code.
    """
    blocks.require_multiple_of_8(image_shape)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = inputs
    for i, (kernel, stride) in enumerate([(3, 1), (4, 2), (4, 2), (4, 2)], 1):
        name = f"discriminator_conv{i}"
        x = blocks.conv(x, width * 2 ** (i - 1), kernel, name, stride, padding=1, use_bias=False)
        x = blocks.batch_norm_leaky_relu(x, name)
    x = blocks.conv(x, 1, x.shape[1], "discriminator_conv5", use_bias=False)
    generator = cnn_generator(image_shape, width, latent_dim, use_bias=False)
    return generator, blocks.discriminator_network(inputs, x)


DCGAN_TABLE2 = ModelCard(
    name="dcgan-table2",
    title="DCGAN of Table 2",
    family=GAN,
    networks=cnn_gan_without_biases,
    recipe=DCGAN_RECIPE,
    paper_params=5_651_584,
    paper="Kalibhat et al., arXiv:2010.02350, Table 2",
    departures=(
        "The layout was found by a search for the paper's count, which does not give it (Kalibhat "
        "et al., Table 2).",
        NOT_NORMAL,
    ),
)
