"""Tickets that move to another model with a part of the same architecture."""

from collections.abc import Mapping

import keras

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import check_model, layers_of
from tf_tickets.names import names_of, under_names
from tf_tickets.pruning.masks import Masks
from tf_tickets.pruning.prunable import part_of
from tf_tickets.tickets.ticket import Ticket

_HOLDERS = (keras.Model, keras.layers.InputLayer)
_NO_MATTER = ("name", "trainable", "dtype", "_initializer", "_regularizer", "_constraint")
_MOST_SHAPES = 4


def transfer_ticket(
    ticket: Ticket, source: keras.Model, target: keras.Model, source_part=None, target_part=None
) -> Ticket:
    """Return what a ticket says of one network, under the names of another.

    A VAE's decoder and a GAN's generator of the same layers can share a ticket: its masks, and the
    weights and moving statistics that its survivors start from.

        tt.transfer_ticket(ticket, vae, gan, "decoder", "generator")

    Args:
        ticket: of `source`.
        source: the model that the ticket was found in.
        target: the model that it is for.
        source_part, target_part: what in them is to have the same ticket: the name of one of
            `model.components`, or a layer or model within; by default all of it. The two have
            layers of the same kinds, shapes and settings in the same order. Their layers' names may
            differ in what comes before the first underscore, and they may be started, regularised
            and computed (dtype) otherwise.

    Returns:
        A ticket whose names are those of `target`, of the variables of its part only. The config is
        that of `ticket`.

    Raises:
        SettingError: if the parts differ, naming the first layer that does, if there is no such
            part, or if the ticket is for another model or prunes nothing of the part.
    """
    if not isinstance(ticket, Ticket):
        raise SettingError(f"`ticket` must be a tt.Ticket. Received: a {type(ticket).__name__}")
    for model in (source, target):
        check_model(model)
    parts = [
        model if part is None else part_of(model, part)
        for model, part in ((source, source_part), (target, target_part))
    ]
    _check_same_layers(*parts)
    masks, weights = (under_names(source, values) for values in (ticket.masks, ticket.weights))
    names = [_names_of_part(*each) for each in zip((source, target), parts, strict=True)]
    _check_is_of(source, names[0], weights)
    pairs = list(zip(*names, strict=True))
    moved = Masks({new: masks[old] for old, new in pairs if old in masks})
    if not moved.size or not moved.sparsity:
        raise SettingError(
            f"The ticket prunes nothing of the {parts[0].name}: there is no sparsity to transfer. "
            f"Take a ticket that was found in all of the model, or in the {parts[0].name}."
        )
    return Ticket(moved, {new: weights[old] for old, new in pairs}, ticket.config)


def _check_is_of(source, names, weights):
    for name in names:
        if name not in weights:
            raise SettingError(
                f"The ticket is for another network than {source.name}: it has no {name}. `source` "
                "is the model that it was found in, and `source_part` what it is to give."
            )


def _names_of_part(model, part) -> list[str]:
    names = names_of(model)
    return [names[id(variable)] for variable in part.variables]


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
