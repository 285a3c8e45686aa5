"""What a model or a layer may be able to do, and who asks for it.

Any Keras model can be pruned. What the library or the laboratory needs of one beyond that is
written down here, a `typing.Protocol` for each ability. A model has an ability by having the
attribute or method: nothing is registered, and no class need be inherited. Ask with `has_ability`,
or with the functions at the end, which also say what holds for a model without the ability. A
user may call something else by the same name: a list of mixture components, a dict of averages. It
is taken for ours only if it is what the protocol says, and `has_ability` alone decides that.

An attribute that raises AttributeError, such as the optimizers of a model that is not compiled,
may count as absent: ask for it only when it can be there.
"""

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

import keras

from tf_tickets.errors import SettingError

# --- what a model is made of


@runtime_checkable
class HasComponents(Protocol):
    """A model that is made of named networks, each of which can be pruned on its own.

    Scopes, pools and `starts` name them; FLOPs are summed over them; `slim` makes each of them
    smaller; an exported model has a signature for each.
    """

    components: Mapping[str, keras.Model]
    """Name -> network, in a fixed order. Together they hold all weights that are trained."""


@runtime_checkable
class Rebuilds(Protocol):
    """A model that can be made again of other networks.

    `slim` asks for it of a model that has components, and so does the laboratory, to look on one
    device at what several train.
    """

    def with_networks(self, **networks: keras.Model) -> keras.Model:
        """Return an uncompiled model of the same options, given a network for each component."""
        ...


@runtime_checkable
class HasAverages(Protocol):
    """A model that keeps moving averages of weights by itself, not by `use_ema`.

    `hold` sets to zero in them what masks remove, and `slim` cuts them as it does the weights.
    """

    averages: Sequence[tuple]
    """Pairs of a weight and the variable that is its average."""


@runtime_checkable
class Slimmed(Protocol):
    """A model that `slim` made; the report says so."""

    slim_report: object
    """A SlimReport."""


# --- how it is trained


@runtime_checkable
class HasOptimizers(Protocol):
    """A model with several optimizers. Snapshots and `slim` carry the state of each."""

    optimizers: Sequence[keras.optimizers.Optimizer]
    """All optimizers of the compiled model, in a fixed order, `optimizer` among them."""


@runtime_checkable
class HasInputGradients(Protocol):
    """A model whose step takes the gradient of the input of some components.

    `count_flops` asks for it: that gradient takes as much as the forward pass of a first layer.
    """

    components_with_input_gradient: Collection[str]
    """Names of components whose input another component has made, and learns from: a decoder."""


@runtime_checkable
class CountsSteps(Protocol):
    """A model whose training step is something else than a forward and a backward pass.

    `training_flops` asks for it; a GAN, whose two networks are updated in turns, counts by itself.
    """

    def step_flops(self) -> int:
        """Return the FLOPs of one training step, for each image of one update."""
        ...


@runtime_checkable
class ScoringLosses(Protocol):
    """A model that says by which loss each of its weights is to be judged before any training.

    SNIP and GraSP ask for it, which score weights by the gradients of a loss.
    """

    scoring_losses: Sequence[tuple]
    """Pairs of variables and a function from a batch of images to a scalar, in training mode."""


@runtime_checkable
class Settles(Protocol):
    """A model or a layer that keeps something that follows its weights, as spectral norms do.

    A search asks for it after it has set the weights of a model from outside, and `slim` of each
    layer that it has made narrower.
    """

    def settle(self) -> None:
        """Bring what follows the weights up to what they are now."""
        ...


@runtime_checkable
class Distills(Protocol):
    """A model that can learn from a trained one, as a discriminator from that of the dense GAN."""

    def distill(self, teacher: keras.Model | None) -> None:
        """Learn from this teacher from the next step on; from none if it is None."""
        ...


# --- what it can show


@runtime_checkable
class Samples(Protocol):
    """A model that makes images out of nothing; metrics and pictures are of these."""

    def sample(self, num_images: int, seed: int):
        """Return float32 images (num_images, height, width, channels) in [-1, 1].

        The seed alone decides them; the model's own random state is not touched.
        """
        ...


@runtime_checkable
class Reconstructs(Protocol):
    """A model that maps images to images like them.

    Its reconstruction loss is measured, and if it cannot sample, metrics and pictures are of
    reconstructed test images.
    """

    def reconstruct(self, images):
        """Return images of the shape and range of those given, in inference mode."""
        ...


@runtime_checkable
class Translates(Protocol):
    """A model that maps images of one domain to another and back: metrics are of both ways."""

    def translate(self, images, direction: str):
        """Return images of the other domain, in inference mode.

        `direction` is "a2b" or "b2a".
        """
        ...


@runtime_checkable
class Decodes(Protocol):
    """A model that makes images out of codes by one of its components.

    Tickets that move from one model to another are of that component.
    """

    decoding_component: str
    """The name of the component."""
    latent_dim: int
    """How many numbers a code has."""

    def decode(self, codes):
        """Return float32 images in [-1, 1] of codes (batch, latent_dim), in inference mode."""
        ...


@runtime_checkable
class ForInference(Protocol):
    """A model of which only a part, or another state of the weights, is of use once trained.

    The laboratory exports that: of a GAN the generator, by its averages.
    """

    def inference_model(self) -> keras.Model:
        """Return a model with weights of its own."""
        ...


# --- layers


@runtime_checkable
class HasChannelVectors(Protocol):
    """A layer of a class derived from one of Keras's, with further weights that `slim` can cut.

    The channel graph looks into it as into its base class.
    """

    channel_vectors: Sequence[str]
    """Names of weights with one number for each output channel."""


@runtime_checkable
class WithoutNormalization(Protocol):
    """A layer that divides its weights by a norm of theirs. SynFlow asks for it.

    Through such a layer no scaling of the weights flows, so its score would be zero.
    """

    def without_normalization(self) -> keras.layers.Layer:
        """Return a new layer of the same config that uses its weights as they are."""
        ...


# --- who has an ability


def has_ability(model, protocol: type) -> bool:
    """Return whether a model or a layer has what a protocol names, and means by it what we do.

    Args:
        model: a Keras model or layer.
        protocol: one of those above.
    """
    if not isinstance(model, protocol):
        return False
    if protocol in _MEANT:
        return _MEANT[protocol](model)
    arguments = _ARGUMENTS.get(protocol)
    return arguments is None or all(_takes(getattr(model, m), *a) for m, *a in arguments)


def _has_components(model):
    parts = model.components
    return isinstance(parts, Mapping) and all(
        isinstance(each, keras.Model) for each in parts.values()
    )


def _has_averages(model):
    pairs = model.averages
    return isinstance(pairs, Sequence) and all(
        isinstance(pair, Sequence)
        and len(pair) == 2
        and all(isinstance(each, keras.Variable) for each in pair)
        and pair[0].shape == pair[1].shape
        for pair in pairs
    )


def _has_optimizers(model):
    found = model.optimizers
    return isinstance(found, Sequence) and all(
        isinstance(each, keras.optimizers.Optimizer) for each in found
    )


def _has_input_gradients(model):
    names = model.components_with_input_gradient
    return _are_names(names) and set(names) <= set(named_components(model))


def _has_scoring_losses(model):
    pairs = model.scoring_losses
    return isinstance(pairs, Sequence) and all(
        isinstance(pair, Sequence) and len(pair) == 2 and callable(pair[1]) for pair in pairs
    )


def _are_names(names):
    several = isinstance(names, Collection) and not isinstance(names, str | Mapping)
    return several and all(isinstance(name, str) for name in names)


def _takes(method, *arguments) -> bool:
    """Return whether something is a method that can be called like this, as far as is known."""
    if not callable(method):
        return False
    try:
        inspect.signature(method).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # of something that has no signature
        return True
    return True


# What the attribute of a protocol has to be.
_MEANT = {
    HasComponents: _has_components,
    HasAverages: _has_averages,
    HasOptimizers: _has_optimizers,
    HasInputGradients: _has_input_gradients,
    ScoringLosses: _has_scoring_losses,
    HasChannelVectors: lambda layer: _are_names(layer.channel_vectors),
    Slimmed: lambda model: hasattr(model.slim_report, "params_before"),
    Rebuilds: lambda model: callable(model.with_networks),
}

# How each method of a protocol is called.
_ARGUMENTS = {
    CountsSteps: [("step_flops",)],
    Settles: [("settle",)],
    Distills: [("distill", None)],
    Samples: [("sample", 1, 0)],
    Reconstructs: [("reconstruct", None)],
    Translates: [("translate", None, "a2b")],
    Decodes: [("decode", None)],
    ForInference: [("inference_model",)],
    WithoutNormalization: [("without_normalization",)],
}


# --- what holds for a model that does not say


def named_components(model: keras.Model) -> Mapping[str, keras.Model]:
    """Return the components of a model by name; none if it does not name any."""
    return model.components if has_ability(model, HasComponents) else {}


def components_of(model: keras.Model) -> Mapping[str, keras.Model]:
    """Return the components of a model by name; if it names none, it is its only one itself."""
    return named_components(model) or {model.name: model}


def rebuilt(model: keras.Model, networks: Mapping[str, keras.Model]) -> keras.Model:
    """Return a model like this one, made of other networks.

    Args:
        model: of any kind.
        networks: one for each of `components_of(model)`.

    Raises:
        SettingError: if it has components, and no way to be made of others.
    """
    if has_ability(model, Rebuilds):
        return model.with_networks(**networks)
    if named_components(model):
        raise SettingError(
            f"{model.name} has `components`, but no method `with_networks(**networks)` that makes "
            "it again of other ones. Write that method, or pass its components one by one."
        )
    return networks[model.name]


def averages_of(model: keras.Model) -> Sequence[tuple]:
    """Return pairs of a weight and its moving average that a model keeps itself; none by default.

    Those that its optimizers keep (`use_ema`) are not among them.
    """
    return model.averages if has_ability(model, HasAverages) else []


def components_with_input_gradient(model: keras.Model) -> Collection[str]:
    """Return the names of the components whose input's gradient a step takes; none by default."""
    return model.components_with_input_gradient if has_ability(model, HasInputGradients) else ()


def channel_vectors_of(layer) -> Sequence[str]:
    """Return the names of a layer's weights with a number for each channel; none by default."""
    return layer.channel_vectors if has_ability(layer, HasChannelVectors) else ()
