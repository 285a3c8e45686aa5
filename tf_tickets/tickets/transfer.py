"""Tickets that move to another model with a part of the same architecture."""

from collections.abc import Mapping

import keras

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import layers_of
from tf_tickets.pruning.masks import Masks
from tf_tickets.tickets.ticket import Ticket

_HOLDERS = (keras.Model, keras.layers.InputLayer)
_NO_MATTER = ("name", "trainable", "dtype", "_initializer", "_regularizer", "_constraint")
_MOST_SHAPES = 4


def transfer_ticket(ticket: Ticket, source: keras.Model, target: keras.Model) -> Ticket:
    """Return what a ticket says of one network, under the names of another.

    A VAE's decoder and a GAN's generator of the same layers can share a ticket: its masks, and the
    weights and moving statistics that its survivors start from.

    Args:
        ticket: of a model that `source` is a part of.
        source: the network that the ticket was found in.
        target: the network that it is for: layers of the same kinds, shapes and settings in the
            same order. Their names may differ in what comes before the first underscore, and they
            may be started, regularised and computed (dtype) otherwise.

    Returns:
        A ticket whose paths are those of `target`, of these variables only. The config is that of
        `ticket`.

    Raises:
        SettingError: if the networks differ, naming the first layer that does, or if the ticket
            prunes nothing of `source`.
    """
    _check_same_layers(source, target)
    pairs = list(zip(source.variables, target.variables, strict=True))
    for old, _ in pairs:
        if old.path not in ticket.weights:
            raise SettingError(f"The ticket is for another network: it has no {old.path}.")
    masks = Masks(
        {new.path: ticket.masks[old.path] for old, new in pairs if old.path in ticket.masks}
    )
    if not masks.size or not masks.sparsity:
        raise SettingError(
            f"The ticket prunes nothing of the {source.name}: there is no sparsity to transfer. "
            f"Use a run whose --component is both or {source.name}."
        )
    weights = {new.path: ticket.weights[old.path] for old, new in pairs}
    return Ticket(masks, weights, ticket.config)


def _check_same_layers(source, target):
    here, there = (_layers(network) for network in (source, target))
    for number in range(max(len(here), len(there))):
        old, new = (list_[number] if number < len(list_) else None for list_ in (here, there))
        if _kind(old) != _kind(new):
            raise SettingError(
                f"The {source.name} cannot give its ticket to the {target.name}: their layers "
                f"differ, first in {_description(old, new)} against {_description(new, old)}."
            )


def _layers(network):
    """Return what computes: neither what only holds layers, nor inputs, whose shapes follow."""
    return [layer for layer in layers_of(network) if not isinstance(layer, _HOLDERS)]


def _kind(layer):
    """Return what has to be the same of two layers, or None where there is none."""
    if layer is None:
        return None
    suffix = layer.name.split("_", 1)[-1]
    return type(layer), suffix, _shapes(layer), _settings(layer.get_config())


def _shapes(layer):
    return [(v.name, tuple(v.shape)) for v in layer.variables]


def _settings(config):
    """Return a config without names and what only matters to a training, at any depth."""
    if isinstance(config, Mapping):
        return {
            key: _settings(value) for key, value in config.items() if not key.endswith(_NO_MATTER)
        }
    return [_settings(value) for value in config] if isinstance(config, list | tuple) else config


def _description(layer, other):
    if layer is None:
        return "no layer at all"
    told = [f"{name} {shape}" for name, shape in _shapes(layer)[:_MOST_SHAPES]]
    if type(layer) is type(other):
        settings, others = (_settings(each.get_config()) for each in (layer, other))
        # Sizes that differ show in the shapes.
        if _shapes(layer) == _shapes(other):
            told += [f"{key} {settings[key]}" for key in settings if settings[key] != others[key]]
    return f"{layer.name} ({type(layer).__name__}{': ' if told else ''}{', '.join(told)})"
