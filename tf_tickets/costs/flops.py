"""How many floating-point operations (FLOPs) a network, a training and its pruning take.

One multiplication and one addition count as two. Convolutional, dense and batch normalisation
layers count, as in paper K, and multi-head attention; activations, pooling, resizing, losses,
optimizers and the division by a spectral norm do not. Whatever the precision, the count is the
same: only time changes.

Source: paper K for what counts.
"""

import collections
import dataclasses
import math
from collections.abc import Mapping

import keras

from tf_tickets.costs.layers import (
    OPERANDS,
    built_for,
    flops_of_weights,
    is_counted,
    operands,
    pairs,
    sizes,
)
from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import calls_of, graph_of
from tf_tickets.names import names_of, place_names, under_names


@dataclasses.dataclass(frozen=True)
class LayerFlops:
    """What one call of a layer takes for one image.

    Attributes:
        path: the component, and the layer's place in it, as in the names of its variables; for a
            call within a shared network, the place of that call.
        kind: the layer's class.
        component: the part of the model that it belongs to.
        forward: FLOPs of the forward pass.
        backward: FLOPs of the gradients that training needs.
        sparse_ideal: `forward`, if pruned weights took no time.
    """

    path: str
    kind: str
    component: str
    forward: int
    backward: int
    sparse_ideal: int


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
    output. Batch normalisation takes 2 for each of its outputs. Multi-head attention has a row for
    each of its four dense layers, and one for its two products: 2 for each pair of a query and a
    key, each head and each of the key's and the value's sizes. Backward, each layer takes as much
    for the gradient of its weights, if they are trained, and as much again for the gradient of its
    input, if there is anything to train before it.

    A Functional or Sequential model is counted along its graph, every call of a shared layer and
    every nested model included. Its input's gradient is not needed. A model with `components`
    is counted through these, each as a model of its own; only a "decoder" gives the gradient of
    its input, which the encoder learns from. Any other subclassed model has no graph: each of its
    `layers` counts once, at the input that it was built for, whose gradient is taken as needed.

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
    _at_least("batch_size", batch_size, 1)
    if not model.built:
        raise SettingError(f"{model.name} is not built: it has no sizes yet. Call it once first.")
    names = names_of(model)
    density = under_names(model, density or {})
    _check_density(density, model, names)
    counter = _Counter(density, names)
    components = getattr(model, "components", None) or {model.name: model}
    for name, network in components.items():
        counter.add_component(name, network, input_gradient=name == "decoder")
    return counter.result(batch_size, model, components.values())


def training_flops(model: keras.Model, num_steps: int, batch_size: int) -> int:
    """Return how many FLOPs a training takes, without what its masks take.

    A step of an autoencoder or VAE, or of any model that is trained on one loss, takes the forward
    and the backward pass: 3 (F_E + F_D), less the gradient of the images.

    A step of a model with `critic_steps` is counted as `GenerativeAdversarialNetwork` does it. With
    F and B for a forward and a backward pass, each of the c updates of the discriminator takes
    F_G + 2 (F_D + B_D). The generator's update takes 2 F_D + B_G: its images are those of the last
    update before, and the discriminator gives the gradient of its input, none of its weights.
    Where B is 2 F this makes (c + 2) F_G + (6 c + 2) F_D. The usual convention has
    (c + 3) F_G + (6 c + 3) F_D, with new images for the generator and all of the discriminator's
    gradients; that is not what is done, and not what is reported. A gradient penalty adds 6 F_D to
    each of the c updates: a forward pass and its gradient, and twice as much to learn from both.

    A teacher that distils is no part of the model: `count_flops` says what it takes.

    Args:
        model: a built Keras model.
        num_steps: updates of the model's weights; of a GAN, of the generator's.
        batch_size: images of one update, be it the generator's or the discriminator's.

    Raises:
        SettingError: as `count_flops` does.
    """
    _at_least("num_steps", num_steps, 0)
    _at_least("batch_size", batch_size, 1)
    if hasattr(model, "critic_steps"):
        return num_steps * batch_size * _gan_step(model)
    count = count_flops(model, batch_size)
    return num_steps * (count.forward + count.backward)


def pruning_flops(
    operations: Mapping[str, int], num_positions: int = 0, forward_flops: int = 0
) -> int:
    """Return how many FLOPs the operations of pruning take, by convention.

    What a run takes in all is the sum of this and of `training_flops`. However an operation is
    programmed, its figure is the same: a threshold counts as a sort.

    Args:
        operations: name -> how often it was done; "mask_multiply" (1 for each position),
            "global_threshold" (3 N log2 N, for N positions), "mask_distance" (2 N), "snip" (3 F,
            for a forward pass of F: one forward and one backward pass), "synflow" (3 F for each
            round), "grasp" (10 F: two gradients of 3 F and a product with the Hessian of 4 F), or
            "channel_surgery" (0).
        num_positions: N, the positions of the masks: weights, or channels.
        forward_flops: F, of the scored networks on the batch that they are scored on; SynFlow's
            is of one input.

    Raises:
        SettingError: if there is no such operation, or a number is negative.
    """
    each = {
        "mask_multiply": num_positions,
        "global_threshold": round(3 * num_positions * math.log2(max(1, num_positions))),
        "mask_distance": 2 * num_positions,
        "snip": 3 * forward_flops,
        "synflow": 3 * forward_flops,
        "grasp": 10 * forward_flops,
        "channel_surgery": 0,
    }
    for name in operations:
        if name not in each:
            known = ", ".join(each)
            raise SettingError(f"Unknown pruning operation {name!r}. Choose one of: {known}.")
    numbers = {"num_positions": num_positions, "forward_flops": forward_flops, **operations}
    for name, number in numbers.items():
        _at_least(name, number, 0)
    return sum(number * each[name] for name, number in operations.items())


def _gan_step(model):
    """Return the FLOPs for each image of one update."""
    generator, discriminator = (
        count_flops(model.components[name]) for name in ("generator", "discriminator")
    )
    # The gradient of its input alone takes a network as much as its forward pass.
    verdict = 2 * discriminator.forward
    critic_step = generator.forward + 2 * (discriminator.forward + discriminator.backward)
    if model.gradient_penalty:
        critic_step += 3 * verdict
    return model.critic_steps * critic_step + verdict + generator.backward


class _Counter:
    """Collects rows while networks are walked through."""

    def __init__(self, density, names):
        self._density = density
        self._names = names
        self._rows, self._uncounted = [], []

    def result(self, batch_size, model, components) -> FlopsCount:
        own_weights = self._own_weights(model, components)
        return FlopsCount(tuple(self._rows), (*self._uncounted, *own_weights), batch_size)

    def _own_weights(self, network, parts):
        """Return the names of a network's trained weights that none of its parts holds."""
        held = {id(weight) for part in parts for weight in part.weights}
        own = [weight for weight in network.trainable_weights if id(weight) not in held]
        return [self._names.get(id(weight), weight.path) for weight in own]

    def add_component(self, name, network, input_gradient):
        self._component = name
        self._add_network(network, name, input_gradient)

    def _add_network(self, network, path, wanted):
        """Count a network; `wanted` says whether the gradients of its inputs are needed."""
        graph = graph_of(network)
        if graph is not None:
            self._add_graph(graph, path, [wanted] * len(graph.inputs))
            return
        places = place_names(network)
        for layer in network.layers:
            self._add_without_graph(layer, f"{path}/{places[id(layer)]}")
        self._uncounted += self._own_weights(network, network.layers)

    def _add_without_graph(self, layer, path):
        if isinstance(layer, keras.Model):
            self._add_network(layer, path, wanted=True)
        elif is_counted(layer) and layer.built:
            shapes = built_for(layer)
            self._add_layer(layer, path, shapes, [True] * len(shapes))
        elif layer.weights:
            self._uncounted.append(path)

    def _add_graph(self, graph, path, wanted) -> list[bool]:
        """Count a graph, given which of its inputs' gradients are needed; return which outputs'."""
        needed = {id(tensor): value for tensor, value in zip(graph.inputs, wanted, strict=True)}
        places = place_names(graph)
        for node in calls_of(graph):
            given = [needed[id(tensor)] for tensor in node.input_tensors]
            place = places.get(id(node.operation), node.operation.name)
            returned = self._add_call(node, f"{path}/{place}", given)
            for tensor, value in zip(node.outputs, returned, strict=True):
                needed[id(tensor)] = value
        return [needed[id(tensor)] for tensor in graph.outputs]

    def _add_call(self, node, path, given) -> list[bool]:
        """Count one call in a graph; return which of its outputs' gradients are needed."""
        called, graph = node.operation, graph_of(node.operation)
        if graph is not None and sizes(graph.inputs) == sizes(node.input_tensors):
            return self._add_graph(graph, path, given)
        if is_counted(called):
            wanted = dict(zip(map(id, node.input_tensors), given, strict=True))
            tensors = operands(node)
            shapes = [tensor.shape for tensor in tensors]
            self._add_layer(called, path, shapes, [wanted[id(tensor)] for tensor in tensors])
        elif isinstance(called, keras.Model) and graph is None:
            self._add_network(called, path, any(given))
        elif getattr(called, "weights", ()):
            # Of no known kind; or a network whose graph has other sizes than in this call.
            self._uncounted.append(path)
        trained = bool(getattr(called, "trainable_variables", ()))
        return [trained or any(given)] * len(node.outputs)

    def _add_layer(self, layer, path, shapes, wanted):
        """Count a layer, given its inputs' shapes and which of their gradients are needed."""
        if isinstance(layer, keras.layers.MultiHeadAttention):
            self._add_attention(layer, path, shapes, wanted)
            return
        kernels, others = flops_of_weights(layer, path, shapes[0])
        ideal = others + sum(round(flops * self._density_of(v)) for v, flops in kernels)
        forward = others + sum(flops for _, flops in kernels)
        self._add_row(layer, path, forward, ideal, wanted[0] + bool(layer.trainable_variables))

    def _density_of(self, kernel):
        return self._density.get(self._names.get(id(kernel)), 1)

    def _add_attention(self, layer, path, shapes, wanted):
        for name, shape, needed in zip(OPERANDS, shapes, wanted, strict=True):
            self._add_layer(getattr(layer, f"{name}_dense"), f"{path}/{name}", [shape], [needed])
        products = 2 * pairs(layer, path, *shapes[:2]) * layer.num_heads
        products *= layer.key_dim + layer.value_dim
        learns = any(wanted) or bool(layer.trainable_variables)
        self._add_row(layer, path, products, products, 2 * learns)
        heads = (*shapes[0][:-1], layer.num_heads, layer.value_dim)
        self._add_layer(layer.output_dense, f"{path}/attention_output", [heads], [learns])

    def _add_row(self, layer, path, forward, ideal, gradients):
        row = (path, type(layer).__name__, self._component, forward, gradients * forward, ideal)
        self._rows.append(LayerFlops(*row))


def _check_density(density, model, names):
    known = set(names.values())
    for name, kept in density.items():
        if name not in known:
            raise SettingError(f"`density` names {name!r}, which is no variable of {model.name}.")
        if not 0 <= kept <= 1:
            raise SettingError(
                f"`density` must be in [0, 1], the fraction of weights that are kept. "
                f"Received: {kept} for {name}."
            )


def _at_least(name, number, least):
    if number < least:
        raise SettingError(f"`{name}` must be at least {least}. Received: {number}.")
