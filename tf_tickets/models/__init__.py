"""The generative models, and the names under which commands know them."""

import inspect

from tf_tickets.errors import SettingError
from tf_tickets.models import networks
from tf_tickets.models.autoencoder import Autoencoder
from tf_tickets.models.base import ImageModel
from tf_tickets.models.vae import VariationalAutoencoder

__all__ = ["NAMES", "Autoencoder", "ImageModel", "VariationalAutoencoder", "build"]

# name -> networks, the model that trains them, and that model's own options
_MODELS = {
    "linear-ae": (networks.linear_autoencoder, Autoencoder, {}),
    "conv-ae": (networks.conv_autoencoder, Autoencoder, {}),
    "vae": (networks.conv_vae, VariationalAutoencoder, {"beta": 1.0}),
    "beta-vae": (networks.conv_vae, VariationalAutoencoder, {"beta": 4.0}),
    "resnet-vae": (networks.resnet_vae, VariationalAutoencoder, {"beta": 1.0}),
}

NAMES = tuple(_MODELS)


def build(name: str, image_shape: tuple[int, int, int], **options) -> ImageModel:
    """Return a new, uncompiled model for images of one shape.

    Initial weights follow `keras.utils.set_random_seed`, the precision follows
    `keras.mixed_precision.set_global_policy`; variable paths are the same in every build.

    Args:
        name: one of `NAMES`.
        image_shape: (height, width, channels); which sizes fit is said by `networks`.
        **options: `widths` (linear-ae), `width` (the others), `latent_dim` and `beta` (the
            VAEs), `latent_batch_norm` (vae, beta-vae). The defaults give the parameter counts
            of the paper.

    Raises:
        SettingError: if the name or an option is unknown, or a value cannot work.
    """
    if name not in _MODELS:
        raise SettingError(f"Unknown model {name!r}. Choose one of: {', '.join(NAMES)}.")
    network, model_class, defaults = _MODELS[name]
    known = [*list(inspect.signature(network).parameters)[1:], *defaults]
    for option, value in options.items():
        if option not in known:
            raise SettingError(
                f"{name} has no option {option!r}. Its options are: {', '.join(known)}."
            )
        if option in ("width", "latent_dim") and value < 1:
            raise SettingError(f"`{option}` must be at least 1. Received: {option}={value}.")
    model_options = {key: options.pop(key, default) for key, default in defaults.items()}
    encoder, decoder = network(tuple(image_shape), **options)
    return model_class(encoder, decoder, **model_options, name=name.replace("-", "_"))
