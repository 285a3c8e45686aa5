"""How a recipe's model is scored before it is trained: data, losses, networks, precision."""

import functools
from collections.abc import Callable

import keras
import numpy as np

from tf_tickets.lab import models
from tf_tickets.lab.data.dataset import ImageDataset, training_batches
from tf_tickets.lab.precision import dtype_policy
from tf_tickets.lab.recipes import Recipe
from tf_tickets.names import NamedVariables, variable_names
from tf_tickets.protocols import components_of
from tf_tickets.pruning.scores.normalized import normalized_scores
from tf_tickets.pruning.scores.synflow import SynapticFlow
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot


class InitialScores:
    """Scores the weights that a model of a recipe starts from; what `ByScore` calls.

    A method that scores by losses sees some training batches, the first of an order that the seed
    decides, in float32 whatever the precision of the training, with batch normalization in training
    mode.

    Args:
        method: an `AtInitialization`.
        recipe: of the model.
        images: training images.
    """

    def __init__(self, method, recipe: Recipe, images: ImageDataset):
        self._method = method
        self._recipe = recipe
        self._images = images
        self._float32_twin = None

    def __call__(
        self, model: keras.Model, kernels: NamedVariables, seed: int
    ) -> dict[str, np.ndarray]:
        """Return variable name -> float array for each kernel; higher means keep.

        Args:
            model: of the recipe; it is left as it is.
            kernels: those of its variables that may be pruned, as `prunable` returns them.
            seed: decides the batches, and what is random in the scores.

        Raises:
            DivergedError: if no gradient reaches what may be pruned of a network.
        """
        losses = self._losses(model, set(kernels.names), seed) if self._method.num_batches else []
        scores = self._method.scores(model, kernels, losses, seed)
        return {name: scores[name] for name in kernels.names}

    def _losses(self, model, names, seed):
        """Return pairs of variables and the losses of the batches that they are scored by."""
        number = self._method.num_batches
        batches = list(training_batches(self._images, self._recipe.batch_size, seed, 0, number))
        twin = self._in_float32(model)
        pairs = []
        for variables, loss in twin.scoring_losses:
            inside = {id(variable) for variable in variables}
            chosen = {
                name: variable
                for name, variable in variable_names(twin).items()
                if name in names and id(variable) in inside
            }
            if chosen:
                losses = [functools.partial(loss, batch) for batch in batches]
                pairs.append((NamedVariables(chosen), losses))
        return pairs

    def _in_float32(self, model):
        """Return a model that computes in float32, with the state of this one."""
        if self._float32_twin is None:
            with dtype_policy("float32"):
                recipe, shape = self._recipe, self._images.image_shape
                self._float32_twin = models.build(recipe.model, shape, **recipe.network)
        restore_snapshot(self._float32_twin, take_snapshot(model))
        return self._float32_twin


def scores_by_loss(score: Callable, losses) -> dict[str, np.ndarray]:
    """Return scores of networks that each have a loss of their own, normalized by themselves.

    Args:
        score: function of variables and losses, such as `snip_scores`.
        losses: as `AtInitialization.scores` gets them.
    """
    scores = {}
    for variables, of_batches in losses:
        scores |= normalized_scores(score(variables, of_batches))
    return scores


def scores_by_flow(model: keras.Model, kernels: NamedVariables) -> dict[str, np.ndarray]:
    """Return the SynFlow scores of a model's components, each normalized by itself.

    Args:
        model: made of Functional or Sequential networks.
        kernels: those of its variables that may be pruned.
    """
    scores = {}
    named = dict(kernels.items())
    for network in components_of(model).values():
        inside = {id(variable) for variable in network.trainable_variables}
        chosen = {name: variable for name, variable in named.items() if id(variable) in inside}
        if chosen:
            scores |= normalized_scores(_flow(network)(NamedVariables(chosen)))
    return scores


@functools.lru_cache(maxsize=2)  # those of one GAN
def _flow(network):
    """Return the flow of a network, which is traced once for all steps and rounds."""
    return SynapticFlow(network)
