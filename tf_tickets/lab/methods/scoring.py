"""What a recipe's model is scored by before it is trained: data, losses, networks, precision."""

import functools
from collections.abc import Sequence

import keras
import numpy as np

from tf_tickets.errors import SettingError
from tf_tickets.lab import models
from tf_tickets.lab.data.dataset import ImageDataset, training_batches
from tf_tickets.lab.recipes import Recipe
from tf_tickets.names import NamedVariables, named, names_of
from tf_tickets.pruning.scores.grasp import grasp_scores
from tf_tickets.pruning.scores.magnitude import magnitude_scores
from tf_tickets.pruning.scores.normalized import normalized_scores
from tf_tickets.pruning.scores.random import random_scores
from tf_tickets.pruning.scores.snip import snip_scores
from tf_tickets.pruning.scores.synflow import SynapticFlow
from tf_tickets.tickets.snapshot import restore_snapshot, take_snapshot

METHODS = ("snip", "grasp", "synflow", "magnitude", "random")

# S9: one batch, as SNIP's authors take, leaves the scores to chance.
_NUM_BATCHES = 4
# S3: so many steps the paper takes to prune; other scores do not change with the masks.
_SYNFLOW_STEPS = 100
# How often a method scores, of those that compute for it: what `pruning_flops` asks.
SCORINGS = {"snip": _NUM_BATCHES, "grasp": _NUM_BATCHES, "synflow": _SYNFLOW_STEPS}


def num_pruning_steps(method: str) -> int:
    """Return in how many steps, each with a threshold, a way of pruning comes to its sparsity."""
    return _SYNFLOW_STEPS if method == "synflow" else 1


class InitialScores:
    """Scores the weights that a model of a recipe starts from; called as a search's `score`.

    SNIP and GraSP see four training batches, the first of an order that the seed decides, in
    float32 whatever the precision of the training (S11), with batch normalisation in training mode.
    What is scored by a loss of its own is normalised by itself, and so is each component by
    SynFlow; plain magnitudes are pooled as they are (K4).

    Args:
        recipe: of the model.
        images: training images.
        method: one of METHODS.

    Raises:
        SettingError: if there is no such method.
    """

    def __init__(self, recipe: Recipe, images: ImageDataset, method: str):
        if method not in METHODS:
            raise SettingError(f"Unknown method {method!r}. Choose one of: {', '.join(METHODS)}.")
        self.method = method
        self._recipe = recipe
        self._images = images
        self._float32_twin = None
        self._flows = {}

    @property
    def num_steps(self) -> int:
        """In how many steps to prune by these scores."""
        return num_pruning_steps(self.method)

    def __call__(
        self, model: keras.Model, kernels: Sequence[keras.Variable], seed: int
    ) -> dict[str, np.ndarray]:
        """Return variable name -> float array for each kernel; higher means keep.

        Args:
            model: of the recipe; it is left as it is.
            kernels: those of its variables that may be pruned.
            seed: decides the batches, or the random scores.

        Raises:
            DivergedError: if no gradient reaches what may be pruned of a network.
        """
        if self.method == "magnitude":
            return magnitude_scores(kernels)
        if self.method == "random":
            return random_scores(kernels, seed)
        score = self._by_flow if self.method == "synflow" else self._by_loss
        scores = score(model, set(named(kernels)), seed)
        return {name: scores[name] for name in named(kernels)}

    def _by_flow(self, model, paths, _):
        scores = {}
        for network in model.components.values():
            chosen = _chosen(model, network.trainable_variables, paths)
            if chosen:
                if network not in self._flows:
                    self._flows[network] = SynapticFlow(network)
                scores |= normalized_scores(self._flows[network](chosen))
        return scores

    def _by_loss(self, model, paths, seed):
        method = {"snip": snip_scores, "grasp": grasp_scores}[self.method]
        batches = list(
            training_batches(self._images, self._recipe.batch_size, seed, 0, _NUM_BATCHES)
        )
        scores = {}
        model = self._in_float32(model)
        for variables, loss in model.scoring_losses:
            chosen = _chosen(model, variables, paths)
            if chosen:
                losses = [functools.partial(loss, batch) for batch in batches]
                scores |= normalized_scores(method(chosen, losses))
        return scores

    def _in_float32(self, model):
        """Return a model that computes in float32, with the state of this one."""
        if self._float32_twin is None:
            policy = keras.config.dtype_policy()
            keras.config.set_dtype_policy("float32")
            try:
                recipe, shape = self._recipe, self._images.image_shape
                self._float32_twin = models.build(recipe.model, shape, **recipe.network)
            finally:
                keras.config.set_dtype_policy(policy)
        restore_snapshot(self._float32_twin, take_snapshot(model))
        return self._float32_twin


def _chosen(model, variables, paths):
    names = names_of(model)
    return NamedVariables({names[id(v)]: v for v in variables if names[id(v)] in paths})
