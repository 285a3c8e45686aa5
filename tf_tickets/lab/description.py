"""What a recipe is, what its network weighs, and what a run was made on."""

import importlib.metadata
import os
import platform

import tensorflow as tf

from tf_tickets.costs.flops import count_flops
from tf_tickets.lab import models
from tf_tickets.lab.data.dataset import image_shape
from tf_tickets.lab.experiment import build_model
from tf_tickets.lab.recipes import Recipe
from tf_tickets.protocols import components_of
from tf_tickets.pruning.prunable import num_values, prunable


def describe(recipe: Recipe, scope: str | None = None, data_dir: str | None = None) -> dict:
    """Return the network's parameter counts, in all and by component, and what an image takes.

    Weights, biases, and the scales and shifts of batch normalization, as the paper counts; not its
    moving statistics. The paper's count stands beside them, None if the model is none of the
    paper's. `flops` are those of each component's forward pass for one image; `options` are all
    that the model is built with, defaults included.

    Args:
        recipe: of the network.
        scope: the component that may be pruned, or None for all.
        data_dir: the folder of the data, if its images are of a shape of their own.
    """
    model = build_model(recipe, image_shape(recipe.dataset, recipe.image_size, data_dir), seed=0)
    card = models.MODELS[recipe.model]
    paper = {"dataset": card.paper_dataset, "params": card.paper_params}
    return {
        "params": num_values(model.trainable_variables),
        "components": {
            name: num_values(part.trainable_variables)
            for name, part in components_of(model).items()
        },
        "flops": count_flops(model).forward_by_component,
        "prunable": num_values(prunable(model, scope)),
        "paper": paper if card.paper_params else None,
        "options": card.resolved_options(recipe.network),
    }


def versions() -> dict[str, str]:
    """Return the versions of what decides the bits of a result."""
    names = ("tf-tickets", "tensorflow", "keras", "numpy")
    return {name: importlib.metadata.version(name) for name in names}


def machine() -> dict:
    """Return what a reader of a result would ask of the machine that it was found on."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "gpus": [device.name for device in tf.config.list_physical_devices("GPU")],
    }
