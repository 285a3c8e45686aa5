"""What a recipe is, what its network weighs, and what a run was made on."""

import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess

import tensorflow as tf

from tf_tickets.costs.flops import count_flops
from tf_tickets.lab import models
from tf_tickets.lab.data.dataset import image_shape
from tf_tickets.lab.experiment import build_model
from tf_tickets.lab.recipes import Recipe
from tf_tickets.protocols import components_of
from tf_tickets.pruning.prunable import num_values, prunable


def describe(recipe: Recipe, scope=None, data_dir: str | None = None) -> dict:
    """Return the network's parameter counts, in all and by component, and what an image takes.

    Weights, biases, and the scales and shifts of batch normalization, as the paper counts; not its
    moving statistics. The paper's count stands beside them, None if the model is none of the
    paper's. `flops` are those of each component's forward pass for one image; `options` are all
    that the model is built with, defaults included.

    Args:
        recipe: of the network.
        scope: what may be pruned, as `prunable` takes it.
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
        "processor": _processor(),
    }


def commit() -> str | None:
    """Return the commit of the checkout that this package is in, with "+" if files differ from it.

    Returns:
        None of a package that was installed.
    """
    folder = pathlib.Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        found = _git(folder, "rev-parse", "HEAD")[:12]
        changed = _git(folder, "status", "-s", "-uno")
    except (OSError, subprocess.CalledProcessError):  # no git, or another user's checkout
        return None
    return found + ("+" if changed else "")


def _git(folder, *words) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _processor() -> str:
    """Return the processor's maker and the widest vectors that it computes with.

    TensorFlow takes other instructions on each, which round in other places.
    """
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    maker = re.search(r"vendor_id\s*: (\S+)", text)
    flags = text.split()
    widest = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "no avx")
    return f"{maker[1] if maker else platform.machine()} with {widest}"


def differences(recorded: dict) -> list[str]:
    """Return in words what a machine that was recorded has that this one has not.

    Args:
        recorded: as `machine` returned it there.
    """
    now = machine()
    return [
        f"{name} {value}, and here {now[name]}"
        for name, value in recorded.items()
        if name in ("gpus", "processor") and value != now[name]
    ]
