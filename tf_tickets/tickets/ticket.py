"""Tickets: masks, the weights their survivors start from, and how they were found."""

import hashlib
import json
from collections.abc import Mapping

import keras
import numpy as np
import safetensors
import safetensors.numpy

from tf_tickets.errors import FileError, SettingError, check_json, check_mapping
from tf_tickets.files import as_path, write_whole
from tf_tickets.pruning.masks import Masks, masks_for
from tf_tickets.tickets.snapshot import check_real, restore_snapshot, take_snapshot

_FORMAT = "tf_tickets.ticket.1"


class Ticket:
    """A sparse network that can be trained on its own; never changed once made.

    Args:
        masks: which weights are kept.
        weights: variable name -> array, for every variable of the model, as `take_snapshot` gives
            them. What the masks remove is set to zero.
        config: how the ticket was found; anything that JSON can hold.

    Raises:
        SettingError: if `masks` are no Masks, a mask has no weights of its shape, weights are no
            real numbers, or JSON cannot hold `config`.

    Example:
        ticket = tt.Ticket.load("winning_ticket/ticket.safetensors")
        ticket.apply(model)
        with tt.hold(model, ticket.masks):
            model.fit(images)
    """

    def __init__(self, masks: Masks, weights: Mapping[str, np.ndarray], config: Mapping):
        if not isinstance(masks, Masks):
            raise SettingError(
                "`masks` must be tt.Masks, bool arrays by variable name, such as "
                f"tt.Masks({{name: array > 0}}). Received: {type(masks).__name__}"
            )
        check_mapping("weights", weights, "names of variables to arrays")
        check_json("config", config)
        self.masks = masks
        self.config = dict(config)
        # In C order, which is how they are written.
        self.weights = {
            path: np.array(check_real(path, value), order="C") for path, value in weights.items()
        }
        for path, mask in masks.items():
            if path not in self.weights or self.weights[path].shape != mask.shape:
                raise SettingError(f"There are no weights of shape {mask.shape} for {path}.")
            self.weights[path][~mask] = 0
        for value in self.weights.values():
            value.flags.writeable = False

    @classmethod
    def of_model(cls, model: keras.Model, masks: Masks, config: Mapping) -> "Ticket":
        """Return a ticket of the weights that a model has now."""
        return cls(masks_for(model, masks), take_snapshot(model), config)

    def __repr__(self):
        return f"Ticket({self.masks.sparsity:.2%} sparse, {self.masks!r})"

    def apply(self, model: keras.Model) -> None:
        """Give a model the ticket's weights, bit for bit, with zeros where it is pruned.

        Nothing holds the zeros while the model trains: use `hold` or `callbacks.HoldMasks`.

        Args:
            model: a built model of the same architecture, whose variables have the same names.

        Raises:
            SettingError: if the model has other variables or shapes, or a dtype that cannot hold
                these bits; the message names the first.
        """
        restore_snapshot(model, self.weights)

    def save(self, path) -> None:
        """Write the ticket to one file: bit-packed masks and the kept weights only.

        A safetensors file: readable without this package, and loading it runs no code. An existing
        file is replaced, and no reader ever sees half of one.

        Raises:
            SettingError: if `path` is none.
            OSError: if it cannot be written.
        """
        path = as_path(path)
        tensors = {}
        for name, value in self.weights.items():
            if name in self.masks:
                tensors[f"mask:{name}"] = np.packbits(self.masks[name])
                tensors[f"kept:{name}"] = _without_bfloat16(value[self.masks[name]])
            else:
                tensors[f"whole:{name}"] = _without_bfloat16(value)
        header = {
            "format": _FORMAT,
            "config": self.config,
            # The order of the variables settles ties, so it is kept.
            "weights": list(self.weights),
            "masks": {name: mask.shape for name, mask in self.masks.items()},
            "bfloat16": [name for name, value in self.weights.items() if _is_bfloat16(value)],
        }
        header = json.dumps({**header, "sha256": _digest(tensors, header)})
        # One entry: safetensors writes several in an order that changes from process to process.
        write_whole(path, safetensors.numpy.save(tensors, {"ticket": header}))

    @classmethod
    def load(cls, path) -> "Ticket":
        """Read a ticket file.

        Raises:
            SettingError: if `path` is none.
            FileError: if the file is missing, damaged, or no ticket; the message names it.
        """
        tensors, header = _read(as_path(path))
        try:
            masks = {
                name: _unpack(tensors[f"mask:{name}"], tuple(shape))
                for name, shape in header["masks"].items()
            }
            weights = {
                name: _expand(tensors[f"kept:{name}"], masks[name])
                if name in masks
                else tensors[f"whole:{name}"]
                for name in header["weights"]
            }
            for name in header["bfloat16"]:
                weights[name] = weights[name].view("bfloat16")
            return cls(Masks(masks), weights, header["config"])
        except (KeyError, ValueError, TypeError, AttributeError, ArithmeticError) as error:
            reason = str(error).rstrip(".")
            raise FileError(f"{path} is no ticket that this version can read: {reason}.") from error


def _read(path):
    """Return a ticket file's tensors and its header, both covered by its SHA-256."""
    try:
        content = path.read_bytes()
        # Checks names, shapes and offsets against the file's size before anything is allocated.
        tensors = safetensors.numpy.load(content)
        header_size = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + header_size])["__metadata__"]["ticket"])
        seal = header.pop("sha256")
    except OSError as error:
        raise FileError(f"Cannot read the ticket {path}: {error.strerror}.") from error
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FileError(f"{path} is damaged or no ticket: {error}.") from error
    except RecursionError as error:
        raise FileError(f"{path} is no ticket: its header is nested too deeply.") from error
    if header.get("format") != _FORMAT:
        raise FileError(f"{path} is no ticket that this version can read: expected {_FORMAT}.")
    if seal != _digest(tensors, header):
        raise FileError(f"{path} is damaged: its content does not match its SHA-256.")
    return tensors, header


def _digest(tensors, header):
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(tensors):
        value = np.ascontiguousarray(tensors[name])
        digest.update(f"{name} {value.dtype} {value.shape}".encode())
        digest.update(value.data)
    return digest.hexdigest()


def _is_bfloat16(value):
    return value.dtype.name == "bfloat16"


def _without_bfloat16(value):
    # A dtype that NumPy only knows through an extension, and safetensors' NumPy side does not.
    return value.view("uint16") if _is_bfloat16(value) else value


def _unpack(packed, shape):
    size = int(np.prod(shape))
    if packed.ndim != 1 or packed.size != (size + 7) // 8:
        raise ValueError(f"a mask of shape {shape} cannot be packed in {packed.size} bytes")
    return np.unpackbits(packed, count=size).astype(bool).reshape(shape)


def _expand(kept, mask):
    if kept.shape != (np.count_nonzero(mask),):
        raise ValueError(f"{np.count_nonzero(mask)} weights are kept, and {kept.size} are stored")
    value = np.zeros(mask.shape, kept.dtype)
    value[mask] = kept
    return value
