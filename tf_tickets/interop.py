"""The only door to TF-MOT and TF-GAN, which predate Keras 3 and disturb it when imported plainly.

TF-MOT sets `TF_USE_LEGACY_KERAS=1` as it is imported and so turns the whole process's `tf.keras`
into Keras 2. TF-GAN cannot be imported at all since `tf.estimator` left TensorFlow. Behind this
door both work beside Keras 3, and the environment stays what the user made it:

- `Pruning`, `PruningSchedule`, `generate_m_by_n_mask` and `sparsity` (`tfmot.sparsity.keras`) come
  from TF-MOT; `ConstantSparsity` and `PolynomialDecay` are its schedules, with errors of one line;
- `classifier_metrics()` and `inception_metrics()` are TF-GAN's two evaluation modules. Few need
  them, so they are loaded when first asked for.
"""

import contextlib
import functools
import importlib
import importlib.util
import math
import os
import sys
import types
import warnings

import tensorflow as tf

from tf_tickets.errors import SettingError, check_count, check_number, check_sparsity

__all__ = [
    "ConstantSparsity",
    "PolynomialDecay",
    "Pruning",
    "PruningSchedule",
    "classifier_metrics",
    "generate_m_by_n_mask",
    "inception_metrics",
    "left_out_of_files",
    "sparsity",
]

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"


def _undo_earlier_switch():
    """Give `tf.keras` back to Keras 3 where TF-MOT, imported before us, took it away.

    TensorFlow notes at its own import whether the user asked for Keras 2. Where the user did not,
    and the variable is there now that TF-MOT is loaded, it was TF-MOT that set it.
    """
    user_asked = getattr(tf, "_tf_uses_legacy_keras", True)
    if "tensorflow_model_optimization" in sys.modules and not user_asked:
        os.environ.pop(_LEGACY_KERAS, None)
        tf.keras = importlib.import_module("keras._tf_keras.keras")


@contextlib.contextmanager
def _as_found():
    """Restore the variable that TF-MOT sets, and keep old packages' deprecation warnings quiet."""
    before = os.environ.get(_LEGACY_KERAS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.pop(_LEGACY_KERAS, None)
        if before is not None:
            os.environ[_LEGACY_KERAS] = before


_undo_earlier_switch()
# The first look at `tf.keras` settles which Keras it is, so it has to come before TF-MOT's.
_ = tf.keras.Model
with _as_found():
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl import Pruning
    from tensorflow_model_optimization.python.core.sparsity.keras.pruning_utils import (
        generate_m_by_n_mask,
    )
    from tensorflow_model_optimization.sparsity import keras as sparsity
PruningSchedule = sparsity.PruningSchedule


@contextlib.contextmanager
def _one_line():
    """Let what TF-MOT refuses be an error that a user can mend."""
    try:
        yield
    except ValueError as error:
        raise SettingError(f"{error}.") from error


def _check_steps(begin_step, end_step, frequency):
    """Refuse what is due at no step: no step is half a one."""
    check_count("begin_step", begin_step, least=0)
    check_count("end_step", end_step, least=-1)
    check_count("frequency", frequency)


class ConstantSparsity(sparsity.ConstantSparsity):
    """TF-MOT's schedule of one sparsity, which is due every `frequency` steps.

    Args:
        target_sparsity: in [0, 1).
        begin_step: the first step that prunes, at least 0.
        end_step: the last that may; -1 for none.
        frequency: steps from one that prunes to the next, at least 1.

    Raises:
        SettingError: if a number is out of range.
    """

    def __init__(self, target_sparsity, begin_step, end_step=-1, frequency=100):
        check_sparsity("target_sparsity", target_sparsity)
        _check_steps(begin_step, end_step, frequency)
        with _one_line():
            super().__init__(target_sparsity, begin_step, end_step, frequency)


class PolynomialDecay(sparsity.PolynomialDecay):
    """TF-MOT's schedule that rises fast at first and then ever slower, by a polynomial.

    Args:
        initial_sparsity: at `begin_step`, in [0, 1).
        final_sparsity: at `end_step`, in [0, 1).
        begin_step: the first step that prunes, at least 0.
        end_step: the last that may, at least `begin_step`.
        power: of the polynomial; 1 for a straight line.
        frequency: steps from one that prunes to the next, at least 1.

    Raises:
        SettingError: if a number is out of range.

    Warns:
        UserWarning: if `frequency` does not divide the steps from first to last, so that no step
            that prunes reaches the final sparsity.

    Source: Zhu and Gupta, 2017, arXiv:1710.01878.
    """

    def __init__(
        self, initial_sparsity, final_sparsity, begin_step, end_step, power=3, frequency=100
    ):
        check_sparsity("initial_sparsity", initial_sparsity)
        check_sparsity("final_sparsity", final_sparsity)
        _check_steps(begin_step, end_step, frequency)
        check_number("power", power)
        if not 0 < power < math.inf:
            raise SettingError(f"`power` must be above 0. Received: power={power}")
        with _one_line():
            super().__init__(
                initial_sparsity, final_sparsity, begin_step, end_step, power, frequency
            )
        if (end_step - begin_step) % frequency:
            last = end_step - (end_step - begin_step) % frequency
            warnings.warn(
                f"The last step that prunes is {last}, to {float(self(last)[1]):.4g}: to reach "
                f"{final_sparsity}, let `frequency` divide end_step - begin_step. Received: "
                f"frequency={frequency}, end_step - begin_step={end_step - begin_step}",
                stacklevel=2,
            )


# The part of TF-GAN that is in use, by module name. It is kept here and not in `sys.modules`, where
# half a package would change what the user's own `import tensorflow_gan` does.
_tf_gan: dict[str, types.ModuleType] = {}


def _take_tf_gan_modules() -> dict[str, types.ModuleType]:
    """Remove TF-GAN's modules from `sys.modules` and return them."""
    names = [name for name in sys.modules if name.split(".")[0] == "tensorflow_gan"]
    return {name: sys.modules.pop(name) for name in names}


def _bare_parents() -> dict[str, types.ModuleType]:
    """Return TF-GAN's packages above the evaluation modules, with a path but without a body.

    Their `__init__` files import all of TF-GAN, of which the part on estimators fails.
    """
    (folder,) = importlib.util.find_spec("tensorflow_gan").submodule_search_locations
    parents = {}
    for name in ("tensorflow_gan", "tensorflow_gan.python", "tensorflow_gan.python.eval"):
        parents[name] = types.ModuleType(name)
        parents[name].__path__ = [os.path.join(folder, *name.split(".")[1:])]
    return parents


@functools.cache
def _import_from_tf_gan(name: str) -> types.ModuleType:
    """Import one module of TF-GAN and leave `sys.modules` without a trace of TF-GAN, as found."""
    theirs = _take_tf_gan_modules()
    sys.modules.update(_tf_gan or _bare_parents())
    try:
        with _as_found():
            return importlib.import_module(name)
    finally:
        _tf_gan.update(_take_tf_gan_modules())
        sys.modules.update(theirs)


@contextlib.contextmanager
def _pkg_resources():
    """Lend TF-Hub the one function it needs of `pkg_resources`, which setuptools 82 dropped."""
    if importlib.util.find_spec("pkg_resources") is not None:
        yield
        return
    lent = types.ModuleType("pkg_resources")
    lent.parse_version = lambda version: [int(part) for part in version.split(".")[:2]]
    sys.modules["pkg_resources"] = lent
    try:
        yield
    finally:
        del sys.modules["pkg_resources"]


def classifier_metrics() -> types.ModuleType:
    """Return `tensorflow_gan.eval`'s Frechet distance, classifier score and kernel distance.

    They take the logits or the activations of any classifier, Inception or another.

    Source: TF-GAN, `tensorflow_gan/python/eval/classifier_metrics.py`.
    """
    return _import_from_tf_gan("tensorflow_gan.python.eval.classifier_metrics")


def inception_metrics() -> types.ModuleType:
    """Return the part of `tensorflow_gan.eval` that knows the Inception network.

    `INCEPTION_TFHUB` is its address, `INCEPTION_OUTPUT` and `INCEPTION_FINAL_POOL` the names of
    its outputs, `INCEPTION_DEFAULT_IMAGE_SIZE` the size of its images and `tfhub` the library
    that loads it. TF-GAN's own functions call `tf.compat.v1.layers`, which Keras 3 took away.

    Source: TF-GAN, `tensorflow_gan/python/eval/inception_metrics.py`.
    """
    with _pkg_resources():
        return _import_from_tf_gan("tensorflow_gan.python.eval.inception_metrics")


def left_out_of_files(tensor):
    """Return a tensor whose values `tf.saved_model.save` does not write.

    Of each tensor that a saved function captures it makes a constant, unless it takes it for a
    variable, also of one that a resource makes anew at load.
    """
    tensor._should_act_as_resource_variable = True
    return tensor
