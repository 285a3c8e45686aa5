"""Each import happens in a fresh process: what counts is who comes first."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from tf_tickets import SettingError, interop

MODULES = ("tensorflow", "keras", "tf_tickets.interop", "tensorflow_model_optimization")
ORDERS = list(itertools.permutations(MODULES))
# The two that differ most: we come first, or TF-MOT was there before us.
SHORT = [("tf_tickets.interop",), ("tensorflow_model_optimization", "tf_tickets.interop")]

CHECK_KERAS_3 = """
import os
before = dict(os.environ)
{imports}
import keras, tensorflow as tf
from tf_tickets import SettingError, interop
interop.inception_metrics()
assert tf.keras.Model is keras.Model
assert tf.keras.Sequential([tf.keras.layers.Dense(1)]).layers[0].__module__.startswith("keras.")
assert tf.optimizers.Adam is keras.optimizers.Adam
assert dict(os.environ) == before
assert issubclass(interop.sparsity.PolynomialDecay, interop.PruningSchedule)
"""


def run_python(code, *options, **environment):
    """Run code in a fresh process and return what it wrote to stderr."""
    base = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    process = subprocess.run(
        [sys.executable, *options, "-c", code],
        env={**base, "CUDA_VISIBLE_DEVICES": "", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stderr


def check_order(order):
    run_python(CHECK_KERAS_3.format(imports="\n".join(f"import {name}" for name in order)))


@pytest.mark.slow
@pytest.mark.parametrize("order", SHORT, ids=" ".join)
def test_tf_keras_stays_keras_3_and_the_environment_unchanged(order):
    check_order(order)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_tf_keras_stays_keras_3_in_every_import_order(order):
    check_order(order)


@pytest.mark.slow
def test_the_users_own_choice_of_keras_2_is_respected():
    run_python(
        """
import os, tensorflow as tf, tf_keras
from tf_tickets import SettingError, interop
assert os.environ["TF_USE_LEGACY_KERAS"] == "True"
assert tf.keras.Model is tf_keras.Model
import keras
assert keras.Model is not tf_keras.Model
""",
        TF_USE_LEGACY_KERAS="True",
    )


def test_importing_is_silent_and_leaves_a_later_import_of_tf_gan_as_it_was():
    """Without us, `import tensorflow_gan` fails for want of `tf.estimator`, again and again."""
    stderr = run_python(
        """
import os, sys
import tensorflow
before = dict(os.environ)
sys.stderr.write("BEGIN\\n")
from tf_tickets import SettingError, interop
metrics = interop.classifier_metrics()
assert not [name for name in sys.modules if name.startswith("tensorflow_gan")]
assert interop.inception_metrics().classifier_metrics is metrics
assert interop.classifier_metrics() is metrics
assert not [name for name in sys.modules if name.startswith("tensorflow_gan")]
sys.stderr.write("END\\n")
assert dict(os.environ) == before
import keras
assert tensorflow.keras.Model is keras.Model
for _ in range(2):
    try:
        import tensorflow_gan
    except AttributeError as error:
        assert "estimator" in str(error), error
    else:
        raise AssertionError("imported")
assert "tensorflow_gan" not in sys.modules
""",
        "-W",
        "default",
    )
    assert stderr.split("BEGIN\n")[1].split("END\n")[0] == ""


def test_a_tf_gan_that_the_user_has_imported_stays_theirs(monkeypatch):
    theirs = type(sys)("tensorflow_gan")
    monkeypatch.setitem(sys.modules, "tensorflow_gan", theirs)
    interop._import_from_tf_gan.cache_clear()
    assert interop.classifier_metrics().classifier_score_from_logits
    assert sys.modules["tensorflow_gan"] is theirs


def test_tf_gans_frechet_distance_agrees_with_the_closed_form():
    """Of activations with exactly known moments, against scipy's float64 matrix root."""
    generator = np.random.default_rng(0)
    first = generator.normal(size=(500, 12))
    second = generator.normal(size=(400, 12)) @ generator.normal(size=(12, 12)) + 1
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = np.sum((first.mean(0) - second.mean(0)) ** 2)
    expected += np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * np.trace(root)
    metrics = interop.classifier_metrics()
    distance = metrics.frechet_classifier_distance_from_activations(
        tf.constant(first), tf.constant(second)
    )
    np.testing.assert_allclose(float(distance), expected, rtol=1e-9)


def test_pruning_works_on_the_variables_of_keras_3():
    """One mask update at 50 %: the two smaller magnitudes of four go."""
    weights = tf.Variable([[1.0, -4.0], [2.0, -3.0]])
    mask, threshold = tf.Variable(tf.ones((2, 2))), tf.Variable(0.0)
    schedule = interop.sparsity.ConstantSparsity(0.5, begin_step=0, frequency=1)
    pruning = interop.Pruning(lambda: 1, [(weights, mask, threshold)], schedule, (1, 1), "AVG")
    pruning.conditional_mask_update()
    np.testing.assert_array_equal(mask.numpy(), [[0, 1], [0, 1]])


SCHEDULES = {
    "ConstantSparsity": {
        "target_sparsity": 0.5,
        "begin_step": 2,
        "end_step": 8,
        "frequency": 3,
    },
    "PolynomialDecay": {
        "initial_sparsity": 0.1,
        "final_sparsity": 0.8,
        "power": 2,
        "begin_step": 2,
        "end_step": 8,
        "frequency": 3,
    },
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_our_schedules_are_tf_mots(name):
    ours, theirs = getattr(interop, name), getattr(interop.sparsity, name)
    schedule, own = ours(**SCHEDULES[name]), theirs(**SCHEDULES[name])
    assert isinstance(schedule, theirs)
    for step in range(12):
        assert [float(value) for value in schedule(step)] == [float(value) for value in own(step)]
    config = schedule.get_config()
    assert config == own.get_config() == {"class_name": name, "config": SCHEDULES[name]}
    again = ours.from_config(config["config"])
    assert type(again) is ours and again.get_config() == config


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_sparsity_in_percent_is_recognised(name):
    for argument in (each for each in SCHEDULES[name] if "sparsity" in each):
        with pytest.raises(SettingError, match=rf"`{argument}` must be .* Did you mean 0\.9\?$"):
            getattr(interop, name)(**{**SCHEDULES[name], argument: 90})


@pytest.mark.parametrize("name", SCHEDULES)
def test_what_tf_mot_refuses_is_a_setting_error(name):
    with pytest.raises(SettingError, match="begin_step should be <= end_step"):
        getattr(interop, name)(**{**SCHEDULES[name], "begin_step": 5, "end_step": 3})


def test_a_last_sparsity_that_is_not_reached_is_told_of():
    with pytest.warns(
        UserWarning, match=r"The last step that prunes is 15, to 0\.7875: to reach 0"
    ):
        schedule = interop.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=20, frequency=15)
    assert [step for step in range(50) if schedule(step)[0]] == [0, 15]
    assert float(schedule(15)[1]) == pytest.approx(0.7875)


def test_what_is_left_out_of_files_is_not_written(tmp_path):
    class Held(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            made = tf.range(5000.0)
            return interop.left_out_of_files(made) if tf.executing_eagerly() else made

    module = tf.Module()
    module.held = Held()
    tensor = module.held.resource_handle
    module.last = tf.function(lambda: tensor[-1], input_signature=[])
    tf.saved_model.save(module, str(tmp_path))
    assert (tmp_path / "saved_model.pb").stat().st_size < 4 * 5000
    assert tf.saved_model.load(str(tmp_path)).last() == 4999
