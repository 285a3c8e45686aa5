"""The convolutional GANs of one layout, which differ in their losses: DCGAN, SNGAN and WGAN."""

import functools

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.families import GAN

keras = LazyModule("keras")


def cnn_gan(image_shape, width=64, latent_dim=100, spectral=False, slope=0.2):
    """Return a generator of transposed convolutions and a discriminator of stacked convolutions.

    6,512,196 parameters (3,576,323 and 2,935,873) for 32x32x3, of the paper's 6.5 M; with codes of
    128 numbers, as SNGAN has them, 6,741,572 of 6.7 M. The discriminator has no batch norm. It ends
    in a convolution over all of the image that is left, which does the same, weight for weight, as
    the dense layer of Miyato et al.

    Args:
        image_shape: (height, width, channels) of a square whose side is a multiple of 8.
        width: filters of the outermost stage; each next one has twice as many.
        latent_dim: numbers in a code.
        spectral: whether the discriminator's kernels are spectrally normalised.
        slope: of its leaky rectifiers.

    Source: Miyato et al., 2018, arXiv:1802.05957, table 3.
    """
    blocks.require_multiple_of_8(image_shape)
    conv = functools.partial(blocks.conv, spectral=spectral)
    inputs = keras.Input(image_shape, name="discriminator_input")
    x = inputs
    for i, factor in enumerate([1, 2, 4], 1):
        names = [f"discriminator_conv{2 * i - 1}", f"discriminator_conv{2 * i}"]
        filters = factor * width
        x = blocks.leaky_relu(conv(x, filters, 3, names[0], padding=1), names[0], slope)
        x = blocks.leaky_relu(conv(x, filters, 4, names[1], 2, padding=1), names[1], slope)
    x = conv(x, 8 * width, 3, "discriminator_conv7", padding=1)
    x = blocks.leaky_relu(x, "discriminator_conv7", slope)
    x = conv(x, 1, x.shape[1], "discriminator_conv8")
    generator = cnn_generator(image_shape, width, latent_dim)
    return generator, blocks.discriminator_network(inputs, x)


def cnn_generator(image_shape, width, latent_dim, use_bias=True):
    """Return the network that grows an image of an eighth of the size out of the code."""
    name = "generator"
    inputs = keras.Input((latent_dim,), name=f"{name}_input")
    x = keras.layers.Reshape((1, 1, latent_dim), name=f"{name}_reshape")(inputs)
    kernel, stride, padding = image_shape[0] // 8, 1, 0
    for i, factor in enumerate([8, 4, 2, 1], 1):
        conv_name = f"{name}_conv{i}"
        x = blocks.conv_transpose(x, factor * width, kernel, conv_name, stride, padding, use_bias)
        x = blocks.batch_norm_relu(x, conv_name)
        kernel, stride, padding = 4, 2, 1
    x = blocks.conv(x, image_shape[-1], 3, f"{name}_conv5", padding=1, use_bias=use_bias)
    return blocks.image_network(inputs, x, name)


# Adam as Radford et al. set it, arXiv:1511.06434.
DCGAN_RECIPE = {"learning_rate": 2e-4, "optimizer_options": {"beta_1": 0.5}}
# Adam as Miyato et al. set it, arXiv:1802.05957.
SNGAN_RECIPE = {"learning_rate": 2e-4, "optimizer_options": {"beta_1": 0.0, "beta_2": 0.9}}

NOT_NORMAL = (
    "Kernels do not begin by N(0, 0.02), which `initializer` dcgan draws (Radford et al., "
    "arXiv:1511.06434)."
)

DCGAN = ModelCard(
    name="dcgan",
    title="DCGAN",
    family=GAN,
    networks=cnn_gan,
    recipe=DCGAN_RECIPE,
    paper_params=6_500_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    # It is too large to share a decoder with the VAE; its smaller variant does.
    variant_for={"vae": "dcgan-shared", "beta-vae": "dcgan-shared"},
    departures=(
        "The networks are those of Miyato et al. without spectral normalization, which have the "
        "paper's count; the draft has wider and fewer layers (Kalibhat et al., Table 1).",
        NOT_NORMAL,
        "The discriminator has no batch normalization (Radford et al., arXiv:1511.06434).",
    ),
)

SNGAN = ModelCard(
    name="sngan",
    title="SNGAN",
    family=GAN,
    networks=cnn_gan,
    options={
        "latent_dim": 128,
        "spectral": True,
        "slope": 0.1,
        "loss": "hinge",
        "critic_steps": 5,
    },
    recipe=SNGAN_RECIPE,
    # A thousand images are too few to give each of five updates a batch of its own.
    recipes_on={
        "digits": {"network": {"width": 8, "critic_steps": 1}},
        "mnist": {"network": {"width": 8, "critic_steps": 1}},
    },
    paper_params=6_700_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    departures=(
        "The discriminator ends in a convolution over all of the image in place of a dense layer "
        "of the same weights (Miyato et al., arXiv:1802.05957).",
    ),
)

WGAN = ModelCard(
    name="wgan",
    title="WGAN",
    family=GAN,
    networks=cnn_gan,
    options={"loss": "wasserstein", "critic_steps": 5, "clip_weights": 0.01},
    # RMSprop as Arjovsky et al. set it, arXiv:1701.07875.
    recipe={"learning_rate": 5e-5, "optimizer": "rmsprop"},
    recipes_on={
        # Clipped at 0.01, eight narrow layers without normalisation hand on gradients of 1e-9.
        # Adam's betas are those of Gulrajani et al. (arXiv:1704.00028), the rate is chosen here.
        "digits": {
            "network": {"width": 8, "critic_steps": 2, "gradient_penalty": 10.0},
            "epochs": 32,
            "optimizer": "adam",
            "optimizer_options": {"beta_1": 0.0, "beta_2": 0.9},
        },
        "mnist": {
            "network": {"width": 8, "critic_steps": 2, "gradient_penalty": 10.0},
            "optimizer": "adam",
            "optimizer_options": {"beta_1": 0.0, "beta_2": 0.9},
        },
    },
    paper_params=6_500_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    departures=(
        "On digits and MNIST a gradient penalty and Adam stand in for clipping and RMSprop "
        "(Kalibhat et al., who cite Arjovsky et al., arXiv:1701.07875).",
    ),
)
