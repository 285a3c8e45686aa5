"""The generative models, and the names under which commands know them.

Importing this loads neither TensorFlow nor Keras; the Keras classes are imported when first used.
A new model of a known family is one new file beside this one, and one line in `MODELS`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import lazy_loader

from tf_tickets.lab.models.card import Family, ModelCard
from tf_tickets.lab.models.conv_ae import CONV_AE
from tf_tickets.lab.models.cyclegan import CYCLEGAN
from tf_tickets.lab.models.dcgan import DCGAN, SNGAN, WGAN
from tf_tickets.lab.models.dcgan_shared import DCGAN_SHARED
from tf_tickets.lab.models.dcgan_table2 import DCGAN_TABLE2
from tf_tickets.lab.models.families import AUTOENCODER, CYCLE_GAN, GAN, VARIATIONAL_AUTOENCODER
from tf_tickets.lab.models.linear_ae import LINEAR_AE
from tf_tickets.lab.models.resnet_gan import RESNET_DCGAN, SNGAN_RESNET
from tf_tickets.lab.models.resnet_vae import RESNET_VAE
from tf_tickets.lab.models.training_options import AdversarialTraining, GanTraining, Training
from tf_tickets.lab.models.vae import BETA_VAE, VAE
from tf_tickets.lab.registry import Registry

if TYPE_CHECKING:
    from tf_tickets.lab.models.families.autoencoder import Autoencoder
    from tf_tickets.lab.models.families.base import ImageModel
    from tf_tickets.lab.models.families.cyclegan import CycleGAN
    from tf_tickets.lab.models.families.gan import GenerativeAdversarialNetwork
    from tf_tickets.lab.models.families.vae import VariationalAutoencoder
    from tf_tickets.lab.models.spectral import SpectralConv2D

__all__ = [
    "AUTOENCODER",
    "CYCLE_GAN",
    "GAN",
    "MODELS",
    "VARIATIONAL_AUTOENCODER",
    "AdversarialTraining",
    "Autoencoder",
    "CycleGAN",
    "Family",
    "GanTraining",
    "GenerativeAdversarialNetwork",
    "ImageModel",
    "ModelCard",
    "SpectralConv2D",
    "Training",
    "VariationalAutoencoder",
    "build",
    "resolved_options",
]

__getattr__, *_ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "families.autoencoder": ["Autoencoder"],
        "families.cyclegan": ["CycleGAN"],
        "families.base": ["ImageModel"],
        "families.gan": ["GenerativeAdversarialNetwork"],
        "families.vae": ["VariationalAutoencoder"],
        "spectral": ["SpectralConv2D"],
    },
)


def __dir__():
    return sorted({*globals(), *__all__})


# In the order in which commands list them.
MODELS = Registry(
    "model",
    [
        *(LINEAR_AE, CONV_AE),
        *(VAE, BETA_VAE, RESNET_VAE),
        *(DCGAN, DCGAN_TABLE2, DCGAN_SHARED, SNGAN, WGAN),
        *(RESNET_DCGAN, SNGAN_RESNET),
        CYCLEGAN,
    ],
)


def build(name: str, image_shape: tuple[int, int, int], **options) -> "ImageModel":
    """Return a new, uncompiled model for images of one shape.

    Initial weights follow `keras.utils.set_random_seed`, the precision follows
    `keras.mixed_precision.set_global_policy`; variable paths are the same in every build.

    Args:
        name: one of `MODELS`.
        image_shape: (height, width, channels); which sizes fit is said by the card's `networks`.
        **options: of the networks, as the card's `networks` says, and of the model: `beta` (the
            VAEs), or `loss`, `critic_steps`, `clip_weights`, `gradient_penalty` and `ema_decay`
            (the GANs). The defaults give the parameter counts and the losses of the papers. A
            gradient penalty stands in for the clipping of weights if that is not given too.

    Raises:
        SettingError: if the name or an option is unknown, or a value cannot work.
    """
    return MODELS[name].build(image_shape, **options)


def resolved_options(name: str, options: Mapping) -> dict:
    """Return all options of a model, of its networks and of its training, defaults included.

    Args:
        name: one of `MODELS`.
        options: those that are given, as `build` takes them.

    Raises:
        SettingError: if the name or an option is unknown, or a size is below 1.
    """
    return MODELS[name].resolved_options(options)
