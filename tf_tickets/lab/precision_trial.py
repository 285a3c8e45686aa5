"""Which precision is the faster one: a short trial of a model's own training step.

What a processor says of itself does not tell: one that has bfloat16 instructions can be slower in
bfloat16 than in float32.
"""

import contextlib
import dataclasses
import pathlib
import random
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence

import filelock
import numpy as np
import tensorflow as tf

from tf_tickets.costs.timing import time_steps
from tf_tickets.engines import threads_in_use
from tf_tickets.errors import FileError
from tf_tickets.files import read_sealed_json, sha256_of_json, write_sealed_json
from tf_tickets.lab import models
from tf_tickets.lab.cache import in_cache_folder
from tf_tickets.lab.description import versions
from tf_tickets.lab.experiment import build_model
from tf_tickets.lab.precision import dtype_policy, resolve_mixed
from tf_tickets.lab.recipes import Recipe

# How much less time a step has to take in 16 bits: digits of a result are worth something too.
MARGIN = 0.05
# Of the processor's instructions, those that TensorFlow chooses its kernels by.
_FLAGS = ("avx", "avx2", "fma", "avx512f", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16")
_MOST_TURNS, _STEPS_PER_TURN, _MOST_SECONDS = 20, 1, 4.0


@dataclasses.dataclass(frozen=True)
class Trial:
    """How long a training step takes in each precision.

    Attributes:
        seconds: dtype policy -> seconds of a step; float32, and one of 16 bits.
    """

    seconds: Mapping[str, float]

    @property
    def policy(self) -> str:
        """The one to train in: 16 bits if they are faster by more than `MARGIN`, else float32."""
        (mixed,) = set(self.seconds) - {"float32"}
        is_faster = self.seconds[mixed] < (1 - MARGIN) * self.seconds["float32"]
        return mixed if is_faster else "float32"

    def __str__(self):
        (other,) = set(self.seconds) - {self.policy}
        chosen, slower = (_milliseconds(self.seconds[name]) for name in (self.policy, other))
        return f"precision {self.policy}: a step takes {chosen}, in {other} {slower}"

    def as_dict(self) -> dict:
        """Return the trial as JSON can hold it."""
        return {"policy": self.policy, "step_seconds": dict(self.seconds)}


def _milliseconds(seconds):
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def try_precisions(
    recipe: Recipe, image_shape: Sequence[int], images_per_step: int, cache_dir=None
) -> Trial:
    """Return how long a step of a recipe's training takes in float32 and in 16 bits.

    It takes some seconds, in which nothing else should be trained on this machine. What was found
    is kept in the cache folder, by the machine, the model and the versions. A damaged file is
    noticed, and the trial made anew with a warning. The random numbers of what follows are those
    that they would be without it.

    Args:
        recipe: of the training.
        image_shape: (height, width, channels) of its images.
        images_per_step: as `Experiment` says.
        cache_dir: the cache folder; None for that of `in_cache_folder`.

    Raises:
        FileError: if the cache folder cannot be written.
    """
    what = _identity(recipe, image_shape, images_per_step)
    stem = f"precision-{recipe.model}-{sha256_of_json(what)[:12]}"
    with (
        in_cache_folder("the trial of precisions", cache_dir) as folder,
        # A second process waits: two trials at once would slow each other.
        filelock.FileLock(folder / f"{stem}.lock"),
    ):
        path = folder / f"{stem}.json"
        trial = _kept(path)
        if trial is None:
            trial = Trial(_measured(recipe, image_shape, images_per_step))
            write_sealed_json(path, {"of": what, **trial.as_dict()})
    return trial


def _kept(path) -> Trial | None:
    """Return the trial that is kept in a file, or None."""
    if not path.exists():
        return None
    try:
        trial = Trial(read_sealed_json(path)["step_seconds"])
        str(trial)  # which asks for all that a trial is asked
        return trial
    except (FileError, KeyError, TypeError, ValueError, AttributeError):
        warnings.warn(f"{path} is damaged; precisions are tried anew.", stacklevel=3)
        return None


def _identity(recipe, image_shape, images_per_step) -> dict:
    """Return all that the seconds of a step depend on."""
    return {
        "machine": machine_of_trial(),
        "model": recipe.model,
        "options": models.resolved_options(recipe.model, recipe.network),
        "images": [images_per_step, *image_shape],
        "batch_size": recipe.batch_size,
        "optimizer": [recipe.optimizer, dict(recipe.optimizer_options)],
        "versions": versions(),
    }


def machine_of_trial() -> dict:
    """Return what the speed of a training depends on: processor, threads and GPUs."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    name = re.search(r"model name\s*: (.*)", text)
    present = set(text.split())
    gpus = tf.config.list_physical_devices("GPU")
    details = tf.config.experimental.get_device_details
    return {
        "processor": name[1] if name else "unknown",
        "flags": [flag for flag in _FLAGS if flag in present],
        "threads": threads_in_use(),
        "gpus": [details(gpu).get("device_name", gpu.name) for gpu in gpus],
    }


def _measured(recipe, image_shape, images_per_step) -> dict[str, float]:
    """Time the steps of a model in each precision, in turns."""
    images = np.random.default_rng(0).uniform(-1, 1, (images_per_step, *image_shape))
    batch = tf.constant(images, tf.float32)

    def batches(number):
        return tf.data.Dataset.from_tensors(batch).repeat(number)

    with _random_state_kept():
        trained = {}
        for policy in ("float32", resolve_mixed("mixed")):
            with dtype_policy(policy):
                trained[policy] = build_model(recipe, tuple(image_shape), seed=0)
        times = time_steps(trained, batches, _MOST_TURNS, _STEPS_PER_TURN, _MOST_SECONDS)
    return {policy: found.seconds for policy, found in times.items()}


@contextlib.contextmanager
def _random_state_kept() -> Iterator[None]:
    """Leave the random generators of this process as they were."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
