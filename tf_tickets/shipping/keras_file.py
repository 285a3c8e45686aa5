"""A `.keras` file whose layers themselves keep pruned weights at zero."""

import base64
import contextlib
import os
import pathlib
import zlib
from collections.abc import Iterator

import keras
import numpy as np

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_path
from tf_tickets.keras_internals import check_model, constraints_of, holders_of, retrace
from tf_tickets.names import variable_names
from tf_tickets.pruning.hold import HeldMasks, MaskConstraint
from tf_tickets.pruning.masks import masks_for
from tf_tickets.pruning.prunable import masks_of_zeros


@keras.saving.register_keras_serializable("tf_tickets")
class FixedMask(MaskConstraint):
    """Sets to zero what a mask removes; a layer's config carries it, the mask as packed bits.

    Unlike what `hold` sets, it knows no optimizer: the averages of one with `use_ema` are not
    masked. Hold such a model as well.

    Args:
        mask: bool array shaped like the weight, `True` where it is kept.
        dtype: of the weight.
        inner: the constraint that the layer had of its own, applied first, or `None`.
        path: the weight's name in its model, for whoever reads the file.
    """

    def __init__(self, mask, dtype: str = "float32", inner=None, path: str = ""):
        variable = keras.Variable(np.asarray(mask, bool), dtype=dtype, trainable=False)
        super().__init__(variable, averages=list, inner=keras.constraints.get(inner))
        self.path = path

    def __call__(self, weights):
        """Return the weights, zero where the mask removes them.

        Raises:
            SettingError: if they have another shape than the mask, as in a slim model.
        """
        if tuple(weights.shape) != tuple(self.mask.shape):
            raise SettingError(
                f"The mask of {self.path} has shape {tuple(self.mask.shape)}, the weights have "
                f"shape {tuple(weights.shape)}: call tt.release_held(model), and hold it anew."
            )
        return super().__call__(weights)

    def get_config(self):
        """Return what makes the constraint again."""
        mask = self.mask.numpy() != 0
        return {
            "mask": base64.b64encode(zlib.compress(np.packbits(mask).tobytes())).decode(),
            "shape": list(mask.shape),
            "dtype": self.mask.dtype,
            "inner": keras.constraints.serialize(self.inner),
            "path": self.path,
        }

    @classmethod
    def from_config(cls, config):
        """Return the constraint that `get_config` described."""
        shape = config["shape"]
        bits = np.frombuffer(zlib.decompress(base64.b64decode(config["mask"])), np.uint8)
        mask = np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape)
        return cls(mask, config["dtype"], config["inner"], config["path"])


def save_held(model: keras.Model, path: str | os.PathLike, masks=None) -> pathlib.Path:
    """Write a `.keras` file of a pruned model which holds its masks by itself once it is loaded.

    Whoever loads it trains on with pruned weights at zero, by `fit` or any other loop, without a
    callback; `tf_tickets.shipping.keras_file` has to be imported before. Only an optimizer that
    averages weights (`use_ema`) would bring them back: there, train with `HoldMasks` too.

    A plain `model.save(path)` is the other choice: Keras writes nothing of what `hold` does, so
    that file loads without this package, and `masks_of_zeros` gives the masks back to whoever wants
    to train on.

    A mask is stored in its layer's config, as compressed bits. So a kernel can be held whose layer
    takes a constraint for it and is described in the file: any layer of a Sequential or Functional
    model, also of nested ones; but neither the parts of a layer that makes its own, such as
    MultiHeadAttention, nor those of most subclassed models.

    Args:
        model: a built model, compiled or not.
        path: the file, ending in `.keras`; missing parents are made.
        masks: `Masks` of some of its kernels, or a `Ticket`; by default its own zeros. What they
            remove is set to zero, as `hold` does.

    Returns:
        `path`.

    Raises:
        SettingError: if a mask has no variable, another shape, or a layer that cannot hold it; the
            message names the first such variable. If `path` does not end in `.keras`.
        FileError: if the file cannot be written.

    Example:
        >>> tt.save_held(model, "held.keras")
        >>> import tf_tickets.shipping.keras_file  # in another process
        >>> model = keras.models.load_model("held.keras")
    """
    check_model(model)
    path = as_path(path)
    if path.suffix != ".keras":
        raise SettingError(f"`path` must end in .keras. Received: {path}")
    masks = masks_of_zeros(model) if masks is None else masks_for(model, masks)
    with _holding_layers(model, masks):
        _check_described(model, masks)
        HeldMasks(model, masks).apply()
        _save_whole(model, path)
    return path


def _save_whole(model, path):
    """Write a model's file so that every reader sees all of it or none."""
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.keras")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(partial)
        os.replace(partial, path)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


def release_held(model: keras.Model) -> None:
    """Let go of the masks that a model's file brought with it; each layer keeps its own constraint.

    What the model saves from now on loads without this package. The zeros stay, but nothing holds
    them any more.

    Args:
        model: a model whose file `save_held` wrote.
    """
    check_model(model)
    for layer, attribute, constraint in constraints_of(model):
        if isinstance(constraint, FixedMask):
            setattr(layer, attribute, constraint.inner)
    for variable in model.variables:
        if isinstance(variable.constraint, FixedMask):
            variable.constraint = variable.constraint.inner
    retrace(model)


@contextlib.contextmanager
def _holding_layers(model, masks):
    """Give each masked kernel's layer a FixedMask for the time of a `with` block."""
    variables = {name: v for name, v in variable_names(model).items() if name in masks}
    holders = holders_of(model)
    places = {name: _place_of(name, variable, holders) for name, variable in variables.items()}
    before = {name: getattr(*place) for name, place in places.items()}
    try:
        for name, place in places.items():
            # One that the model was loaded with gives way to the masks of now.
            inner = before[name].inner if isinstance(before[name], FixedMask) else before[name]
            setattr(*place, FixedMask(masks[name], variables[name].dtype, inner, name))
        yield
    finally:
        for name, place in places.items():
            setattr(*place, before[name])


def _place_of(name, variable, holders) -> tuple:
    """Return the layer that a variable is of, and the name of its attribute for a constraint."""
    # A depthwise layer's kernel goes by either name.
    stem = variable.name.removesuffix("kernel").removesuffix("_")
    for layer in holders.get(id(variable), []):
        for each in (f"{variable.name}_constraint", f"{stem or 'depthwise'}_constraint"):
            if hasattr(layer, each):
                return layer, each
    raise SettingError(f"{name} cannot be held by a file: {_NO_PLACE}")


def _check_described(model, masks):
    """Raise SettingError, naming the first, unless all masks are in the model's description."""
    described = set(_described_masks(keras.saving.serialize_keras_object(model)))
    for name in masks:
        if name not in described:
            raise SettingError(f"{name} cannot be held by a file: {_NO_PLACE}")


def _described_masks(description) -> Iterator[str]:
    """Yield the names of the weights that a model's description has a FixedMask for."""
    inside = [description]
    while inside:
        value = inside.pop()
        if isinstance(value, list | tuple):
            inside += value
        elif isinstance(value, dict):
            inside += value.values()
            if value.get("class_name") == FixedMask.__name__:
                yield value["config"]["path"]


_NO_PLACE = (
    "no layer of its own in the model's description takes a constraint for it. Leave it out of "
    "`masks`, or write the model by model.save(path) and hold it with `HoldMasks` after loading."
)
