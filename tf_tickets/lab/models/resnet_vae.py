"""The VAE of residual networks."""

from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.families import VARIATIONAL_AUTOENCODER

keras = LazyModule("keras")


def resnet_vae(image_shape, width=32, latent_dim=10):
    """Return a residual encoder with one block a stage, and its mirror.

    2,804,311 parameters for 32x32x3 (1,231,540 and 1,572,771). The layers are those of a draft of
    the paper's first author.

    Args:
        image_shape: (height, width, channels); a square whose side is a multiple of 16.
        width: filters of the first stage; each next one has twice as many.
        latent_dim: numbers in the latent code.
    """
    blocks.require("resnet-vae", image_shape, lambda side: side % 16 == 0, "a multiple of 16")
    blocks.require_square("resnet-vae", image_shape)
    widths = [width * 2**i for i in range(4)]
    inputs = keras.Input(image_shape, name="encoder_input")
    x = blocks.conv(inputs, width, 3, "encoder_conv1", 2, padding=1, use_bias=False)
    x = blocks.batch_norm_relu(x, "encoder_conv1")
    for i, filters in enumerate(widths, 1):
        x = blocks.residual_block(x, filters, f"encoder_block{i}", stride=1 if i == 1 else 2)
    x = keras.layers.GlobalAveragePooling2D(name="encoder_pool")(x)
    x = keras.layers.Dense(2 * latent_dim, name="encoder_dense")(x)
    encoder = blocks.gaussian_encoder(inputs, x, latent_dim)

    inputs = keras.Input((latent_dim,), name="decoder_input")
    x = keras.layers.Dense(widths[-1], name="decoder_dense")(inputs)
    x = keras.layers.Reshape((1, 1, widths[-1]), name="decoder_reshape")(x)
    # The author's factor of 4 fits 64x64; the four doublings that follow leave side / 16.
    x = keras.layers.UpSampling2D(image_shape[0] // 16, name="decoder_resize")(x)
    for i, filters in enumerate([*reversed(widths[:-1]), width], 1):
        scale = 2 if i < 4 else 1
        x = blocks.residual_block_transpose(x, filters, f"decoder_block{i}", scale)
    x = blocks.resize_conv(x, image_shape[-1], "decoder_conv1")
    return encoder, blocks.image_network(inputs, x, "decoder")


RESNET_VAE = ModelCard(
    name="resnet-vae",
    title="ResNet-VAE",
    family=VARIATIONAL_AUTOENCODER,
    networks=resnet_vae,
    recipes_on={
        "digits": {"image_size": 16, "network": {"width": 8}},
        "mnist": {"network": {"width": 8}},
    },
    paper_params=2_800_000,
    paper="Kalibhat et al., arXiv:2010.02350, Table 1",
    departures=(
        "A code has 10 numbers, which give the paper's count; the draft has 32 by default "
        "(Kalibhat et al., Table 1).",
    ),
)
