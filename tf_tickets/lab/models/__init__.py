"""The generative models, and the names under which commands know them."""

import inspect
from collections.abc import Mapping

from tf_tickets.errors import SettingError
from tf_tickets.lab.models import gan_networks, networks
from tf_tickets.lab.models.autoencoder import Autoencoder
from tf_tickets.lab.models.base import ImageModel
from tf_tickets.lab.models.gan import GenerativeAdversarialNetwork
from tf_tickets.lab.models.spectral import SpectralConv2D
from tf_tickets.lab.models.vae import VariationalAutoencoder

__all__ = [
    "NAMES",
    "Autoencoder",
    "GenerativeAdversarialNetwork",
    "ImageModel",
    "SpectralConv2D",
    "VariationalAutoencoder",
    "build",
    "resolved_options",
]

_AUTOENCODER = (Autoencoder, {})
_VAE = (VariationalAutoencoder, {"beta": 1.0})
_GAN_OPTIONS = {
    "loss": "non_saturating",
    "critic_steps": 1,
    "clip_weights": None,
    "gradient_penalty": 0.0,
    "ema_decay": None,
}
_GAN = (GenerativeAdversarialNetwork, _GAN_OPTIONS)
_HINGE_GAN = (GenerativeAdversarialNetwork, {**_GAN_OPTIONS, "loss": "hinge", "critic_steps": 5})
_WASSERSTEIN_GAN = (
    GenerativeAdversarialNetwork,
    {**_GAN_OPTIONS, "loss": "wasserstein", "critic_steps": 5, "clip_weights": 0.01},
)

# name -> networks and what is set in them; the model that trains them and its own options
_MODELS = {
    "linear-ae": (networks.linear_autoencoder, {}, *_AUTOENCODER),
    "conv-ae": (networks.conv_autoencoder, {}, *_AUTOENCODER),
    "vae": (networks.conv_vae, {}, *_VAE),
    "beta-vae": (networks.conv_vae, {}, VariationalAutoencoder, {"beta": 4.0}),
    "resnet-vae": (networks.resnet_vae, {}, *_VAE),
    "dcgan": (gan_networks.cnn_gan, {}, *_GAN),
    "dcgan-table2": (gan_networks.cnn_gan_without_biases, {}, *_GAN),
    "dcgan-shared": (gan_networks.vae_shaped_gan, {}, *_GAN),
    "sngan": (
        gan_networks.cnn_gan,
        {"latent_dim": 128, "spectral": True, "slope": 0.1},
        *_HINGE_GAN,
    ),
    "wgan": (gan_networks.cnn_gan, {}, *_WASSERSTEIN_GAN),
    "resnet-dcgan": (gan_networks.resnet_gan, {}, *_GAN),
    "sngan-resnet": (
        gan_networks.resnet_gan,
        {"latent_dim": 128, "generator_factor": 2, "spectral": True},
        GenerativeAdversarialNetwork,
        {**_HINGE_GAN[1], "ema_decay": 0.999},
    ),
}

NAMES = tuple(_MODELS)


def build(name: str, image_shape: tuple[int, int, int], **options) -> ImageModel:
    """Return a new, uncompiled model for images of one shape.

    Initial weights follow `keras.utils.set_random_seed`, the precision follows
    `keras.mixed_precision.set_global_policy`; variable paths are the same in every build.

    Args:
        name: one of `NAMES`.
        image_shape: (height, width, channels); which sizes fit is said by `networks` and
            `gan_networks`.
        **options: of the networks, as those modules say, and of the model: `beta` (the VAEs), or
            `loss`, `critic_steps`, `clip_weights`, `gradient_penalty` and `ema_decay` (the GANs).
            The defaults give the parameter counts and the losses of the papers. A gradient penalty
            stands in for the clipping of weights where that is not given too.

    Raises:
        SettingError: if the name or an option is unknown, or a value cannot work.
    """
    _check_options(name, options)
    network, _, model_class, defaults = _MODELS[name]
    resolved = resolved_options(name, options)
    model_options = {key: resolved.pop(key) for key in defaults}
    return model_class(
        *network(tuple(image_shape), **resolved), **model_options, name=name.replace("-", "_")
    )


def resolved_options(name: str, options: Mapping) -> dict:
    """Return all options of a model, of its networks and of its training, defaults included.

    Args:
        name: one of `NAMES`.
        options: those that are given, as `build` takes them.
    """
    network, preset, _, defaults = _MODELS[name]
    parameters = list(inspect.signature(network).parameters.values())[1:]
    resolved = {parameter.name: parameter.default for parameter in parameters}
    resolved |= {**preset, **defaults, **options}
    if resolved.get("gradient_penalty") and "clip_weights" not in options:
        resolved["clip_weights"] = None  # each bounds the critic: Gulrajani et al. replace one
    return resolved


def _check_options(name, options):
    if name not in _MODELS:
        raise SettingError(f"Unknown model {name!r}. Choose one of: {', '.join(NAMES)}.")
    network, _, _, defaults = _MODELS[name]
    known = [*list(inspect.signature(network).parameters)[1:], *defaults]
    for option, value in options.items():
        if option not in known:
            raise SettingError(
                f"{name} has no option {option!r}. Its options are: {', '.join(known)}."
            )
        if option in ("width", "generator_factor", "latent_dim") and value < 1:
            raise SettingError(f"`{option}` must be at least 1. Received: {option}={value}.")
