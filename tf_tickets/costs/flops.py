"""How many floating-point operations (FLOPs) a network and a training take.

One multiplication and one addition count as two. Convolutional, dense and batch normalisation
layers count, as Kalibhat et al. count them, and multi-head attention; activations, pooling,
resizing, losses, optimizers and the division by a spectral norm do not. Whatever the precision,
the count is the same: only time changes. What pruning takes on top is in `costs.pruning`.

Source: Kalibhat et al., 2020, arXiv:2010.02350, for what counts.
"""

import collections
import dataclasses
import numbers
from collections.abc import Mapping

import keras
import numpy as np

from tf_tickets.costs.counter import Counter, LayerFlops
from tf_tickets.errors import SettingError, check_count, check_mapping
from tf_tickets.keras_internals import check_model
from tf_tickets.names import names_of, place_names, under_names
from tf_tickets.protocols import (
    CountsSteps,
    components_of,
    components_with_input_gradient,
    has_ability,
    named_components,
)


@dataclasses.dataclass(frozen=True)
class FlopsCount:
    """FLOPs of one forward and one backward pass of a batch.

    Attributes:
        layers: a row for each call of each layer that counts, in an order of computation.
        uncounted: paths of layers, or names of a model's own weights, that hold weights but are of
            no known kind: what they take comes on top of all sums here.
        batch_size: images that the sums are for; the rows are for one.
    """

    layers: tuple[LayerFlops, ...]
    uncounted: tuple[str, ...]
    batch_size: int = 1

    @property
    def forward(self) -> int:
        """FLOPs of the forward pass of a batch."""
        return self.batch_size * sum(layer.forward for layer in self.layers)

    @property
    def backward(self) -> int:
        """FLOPs of the gradients of a batch."""
        return self.batch_size * sum(layer.backward for layer in self.layers)

    @property
    def sparse_ideal(self) -> int:
        """FLOPs of the forward pass of a batch, if pruned weights took no time."""
        return self.batch_size * sum(layer.sparse_ideal for layer in self.layers)

    @property
    def forward_by_kind(self) -> dict[str, int]:
        """FLOPs of the forward pass of a batch, by the layers' class."""
        return self._forward_by("kind")

    @property
    def forward_by_component(self) -> dict[str, int]:
        """FLOPs of the forward pass of a batch, by component."""
        return self._forward_by("component")

    def as_dict(self) -> dict:
        """Return the rows and their sums as JSON can hold them."""
        sums = ("forward", "backward", "sparse_ideal", "forward_by_kind", "forward_by_component")
        return {**dataclasses.asdict(self), **{name: getattr(self, name) for name in sums}}

    def _forward_by(self, field):
        sums = collections.Counter()
        for layer in self.layers:
            sums[getattr(layer, field)] += self.batch_size * layer.forward
        return dict(sums)


def count_flops(
    model: keras.Model, batch_size: int = 1, density: Mapping[str, float] | None = None
) -> FlopsCount:
    """Return how many FLOPs a model's forward and backward passes take, layer by layer.

    A convolution takes 2 * (weights of its kernel) * (places of its output), a transposed one the
    same at the places of its input, a dense layer 2 * inputs * outputs; a bias adds 1 for each
    output. Batch normalisation takes 2 for each of its outputs. Multi-head and grouped-query
    attention have a row for each of their four dense layers, and one for the two products: 2 for
    each pair of a query and a key, each head and each of the key's and the value's sizes.
    SpectralNormalization counts as the layer that it wraps, and TimeDistributed as that at each of
    its steps. Backward, each layer takes as much for the gradient of its weights, if they are
    trained, and as much again for the gradient of its input, if there is anything to train before
    it.

    A Functional or Sequential model is counted along its graph, every call of a shared layer and
    every nested model included. Its input's gradient is not needed. A model with `components`
    is counted through these, each as a model of its own; the gradient of the input is taken of
    those named in `components_with_input_gradient`, such as a decoder, from whose input's gradient
    an encoder learns. A model without `call`, or that was never called, such as a GAN of two built
    networks, is counted through the networks that it holds, each by the name of its place, less
    those made of ones before; an average that is a network counts like any. Any other subclassed
    model has no graph: each of its `layers` counts once, at the input that it was built for. In
    both, the gradient of the input is taken as needed.

    Masked weights count as the others do, as they take the same time; `sparse_ideal` leaves them
    out.

    Args:
        model: a built Keras model, whose images have a known size.
        batch_size: how many images the sums are for.
        density: variable name -> fraction of its weights that are kept, in [0, 1], such as
            `{name: mask.mean() for name, mask in masks.items()}`; only those of the kernels of
            counted layers matter, and a name that is absent is not pruned.

    Raises:
        SettingError: if the model is not built, a size is unknown or an argument cannot work.

    Example:
        >>> count_flops(keras.Sequential([keras.Input((9,)), keras.layers.Dense(7)])).forward
        133
    """
    check_model(model)
    check_count("batch_size", batch_size)
    components = networks_to_count(model)
    names = names_of(model)
    density = {} if density is None else density
    check_mapping("density", density, "names of variables to the fractions that are kept")
    density = under_names(model, density)
    _check_density(density, model, names)
    counter = Counter(density, names)
    with_input_gradient = components_with_input_gradient(model)
    if not (_is_called(model) or named_components(model)):  # nobody says who learns from whom
        with_input_gradient = components.keys()
    for name, network in components.items():
        counter.add_component(name, network, input_gradient=name in with_input_gradient)
    uncounted = (*counter.uncounted, *counter.own_weights(model, components.values()))
    return FlopsCount(tuple(counter.rows), uncounted, batch_size)


def training_flops(model: keras.Model, num_steps: int, batch_size: int) -> int:
    """Return how many FLOPs a training takes, without what its masks take.

    A step takes the forward and the backward pass of each component. A model whose step is
    something else, as a GAN's, says by a method `step_flops` what it takes.

    A teacher that distils is no part of the model: `count_flops` says what it takes.

    Args:
        model: a built Keras model.
        num_steps: updates of the model's weights; of a GAN, of the generator's.
        batch_size: images of one update, be it the generator's or the discriminator's.

    Raises:
        SettingError: as `count_flops` does.
    """
    check_model(model)
    check_count("num_steps", num_steps, least=0)
    check_count("batch_size", batch_size)
    if has_ability(model, CountsSteps):
        return num_steps * batch_size * model.step_flops()
    count = count_flops(model, batch_size)
    return num_steps * (count.forward + count.backward)


def networks_to_count(model: keras.Model) -> Mapping[str, keras.layers.Layer]:
    """Return the networks that a model is counted and reported by, by name.

    These are its components; itself, if it names none; or what it holds, if it is not to be called.

    Raises:
        SettingError: if one of them is not built; the message names it.
    """
    parts = components_of(model)
    if not _is_called(model) and not named_components(model):
        places = place_names(model)
        parts = {places[id(layer)]: layer for layer in model.layers if id(layer) in places}
        parts = _each_weight_once(parts)
    for name, part in parts.items():
        if not part.built and (part is model or isinstance(part, keras.Model) or part.weights):
            name = name if part is model else f"The {name} of {model.name}"
            raise SettingError(f"{name} is not built: it has no sizes yet. Call it once first.")
    return parts


def _each_weight_once(parts) -> dict:
    """Return networks less those made of ones before them, as the combined model of a GAN is."""
    seen, kept = set(), {}
    for name, part in parts.items():
        held = {id(weight) for weight in part.weights}
        if not held or held - seen:
            kept[name] = part
        seen |= held
    return kept


def _is_called(model) -> bool:
    """Return whether a model is one network, rather than several that its training step calls."""
    return type(model).call is not keras.Model.call and not _was_never_called(model)


def _was_never_called(model) -> bool:
    """Return whether a model has all of its weights and is not built: it was trained otherwise."""
    makes_none = type(model).build is keras.Model.build
    parts = [layer for layer in model.layers if layer.weights or not layer.built]
    return not model.built and makes_none and bool(parts) and all(layer.built for layer in parts)


def _check_density(density, model, names):
    known = set(names.values())
    for name, kept in density.items():
        if name not in known:
            raise SettingError(f"`density` names {name!r}, which is no variable of {model.name}.")
        if not (isinstance(kept, numbers.Real) and 0 <= kept <= 1):
            raise SettingError(
                f"`density` must be in [0, 1], the fraction of weights that are kept. "
                f"Received: {kept if np.isscalar(kept) else type(kept).__name__} for {name}."
            )
