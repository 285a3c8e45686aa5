"""CycleGAN: two networks that translate images between two domains, and one to judge each side."""

from tf_tickets.errors import SettingError
from tf_tickets.lab.lazy import LazyModule
from tf_tickets.lab.models import blocks
from tf_tickets.lab.models.card import ModelCard
from tf_tickets.lab.models.families import CYCLE_GAN

keras = LazyModule("keras")

_EPSILON = 1e-5


def cyclegan(image_shape, width=64, num_blocks=None, halvings=None):
    """Return the two generators and the two discriminators, one of each for either domain.

    A generator has 11,383,555 parameters and a discriminator 2,766,529 for 256x256x6. Scales are
    where a channel may go, and nowhere else: the channels that residual sums share have none.

    Args:
        image_shape: (height, width, channels) of a square, the images of both domains on top of
            each other: the first half of the channels is domain A.
        width: filters of the outermost layers.
        num_blocks: residual blocks of a generator. By default 9 of images of 256 pixels and more, 6
            from 64 pixels on, and 3 below.
        halvings: how often a discriminator halves an image before its last two layers. By default 3
            from 64 pixels on, which makes patches of 70, 2 from 16 on, and 1 below.

    Source: Zhu et al., 2017, arXiv:1703.10593; scales as in Chen et al., 2021, arXiv:2106.00134.
    """
    blocks.require_square("cyclegan", image_shape)
    side, _, channels = image_shape
    blocks.require("cyclegan", image_shape, lambda size: size % 4 == 0, "multiples of 4")
    if channels % 2:
        raise SettingError(
            "cyclegan needs images of two domains, whose channels lie on top of each other. "
            f"Received: {channels} channels. Choose a data set of two domains."
        )
    of_one = (side, side, channels // 2)
    if num_blocks is None:
        num_blocks = 9 if side >= 256 else 6 if side >= 64 else 3
    if halvings is None:
        halvings = 3 if side >= 64 else 2 if side >= 16 else 1
    if side < 3 * 2**halvings:
        raise SettingError(
            f"`halvings` must leave at least 3 of the {side} pixels of an image's side. Received: "
            f"halvings={halvings}."
        )
    generators = [_generator(of_one, width, num_blocks, f"generator_{to}") for to in ("a2b", "b2a")]
    discriminators = [_discriminator(of_one, width, halvings, f"discriminator_{x}") for x in "ab"]
    return (*generators, *discriminators)


def _generator(image_shape, width, num_blocks, name):
    inputs = keras.Input(image_shape, name=f"{name}_input")
    x = _reflect(inputs, 3)
    x = _norm_relu(blocks.conv(x, width, 7, f"{name}_conv1"), f"{name}_conv1")
    x = blocks.conv(x, 2 * width, 3, f"{name}_conv2", 2, padding=1)
    x = _norm_relu(x, f"{name}_conv2")
    x = blocks.conv(x, 4 * width, 3, f"{name}_conv3", 2, padding=1)
    x = _norm_relu(x, f"{name}_conv3", is_shared=True)
    for i in range(1, num_blocks + 1):
        x = _residual_block(x, f"{name}_block{i}")
    for i, filters in enumerate((2 * width, width), 4):
        conv = keras.layers.Conv2DTranspose(filters, 3, 2, "same", name=f"{name}_conv{i}")
        x = _norm_relu(conv(x), f"{name}_conv{i}")
    x = blocks.conv(_reflect(x, 3), image_shape[-1], 7, f"{name}_conv6")
    return blocks.image_network(inputs, x, name)


def _residual_block(x, name):
    filters = x.shape[-1]
    y = blocks.conv(_reflect(x, 1), filters, 3, f"{name}_conv1")
    y = _norm_relu(y, f"{name}_conv1")
    y = blocks.conv(_reflect(y, 1), filters, 3, f"{name}_conv2")
    return keras.layers.Add(name=f"{name}_add")([x, _norm(y, f"{name}_conv2", is_shared=True)])


def _discriminator(image_shape, width, halvings, name):
    """Return the network whose verdict is the mean over all patches of an image."""
    inputs = keras.Input(image_shape, name=f"{name}_input")
    x, filters = inputs, width
    for i in range(1, halvings + 2):
        x = blocks.conv(x, filters, 4, f"{name}_conv{i}", 2 if i <= halvings else 1, padding=1)
        if i > 1:
            x = _norm(x, f"{name}_conv{i}")
        x = blocks.leaky_relu(x, f"{name}_conv{i}", slope=0.2)
        filters *= 2
    x = blocks.conv(x, 1, 4, f"{name}_conv{halvings + 2}", padding=1)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name=f"{name}_verdict")(x)
    return keras.Model(inputs, x, name=name)


def _reflect(x, padding):
    """Return `x` with pixels mirrored beyond its edges."""
    sides = (padding, padding)
    return keras.ops.pad(x, ((0, 0), sides, sides, (0, 0)), mode="reflect")


def _norm(x, name, is_shared=False):
    """Return each channel of each image normalized; one that is shared by a sum is not scaled."""
    return keras.layers.GroupNormalization(
        groups=-1,
        epsilon=_EPSILON,
        scale=not is_shared,
        center=not is_shared,
        name=f"{name}_norm",
    )(x)


def _norm_relu(x, name, is_shared=False):
    return keras.layers.ReLU(name=f"{name}_relu")(_norm(x, name, is_shared))


CYCLEGAN = ModelCard(
    name="cyclegan",
    title="CycleGAN",
    family=CYCLE_GAN,
    networks=cyclegan,
    options={"initializer": "normal"},
    recipes_on={"horse2zebra": {"image_size": 256, "network": {"augment": True}}},
    paper_params=2 * (11_383_555 + 2_766_529),
    paper_dataset="horse2zebra",
    paper="Chen et al., arXiv:2106.00134, the authors' code",
)
