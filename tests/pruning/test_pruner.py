import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import (
    DivergedError,
    GlobalPruning,
    IterativeSparsity,
    Masks,
    SettingError,
    global_masks,
    hold,
    magnitude_scores,
    prunable,
)
from tf_tickets.interop import Pruning, sparsity
from tf_tickets.names import named

L = keras.layers


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((20,)), L.Dense(30, name="first"), L.Dense(10, name="second")], name="net"
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", jit_compile=False)
    return model


@pytest.fixture
def held(model):
    with hold(model, Masks.all_kept(prunable(model))) as held:
        yield held


def test_it_is_tf_mots_pruning(held):
    assert isinstance(GlobalPruning(lambda: 0, held, IterativeSparsity()), Pruning)


def test_iterative_rounds_pool_all_layers_and_count_exactly(model, held):
    pool = 20 * 30 + 30 * 10
    step = tf.Variable(0, dtype=tf.int64)
    pruner = GlobalPruning(lambda: step, held, IterativeSparsity(0.2, 20))
    pruner.conditional_mask_update()
    assert held.masks.sparsity == 0.0, "round 0 is dense"
    before = held.masks
    for number in range(1, 21):
        step.assign(number)
        expected = global_masks(
            magnitude_scores(prunable(model)), 1 - 0.8**number, within=held.masks
        )
        pruner.conditional_mask_update()
        assert held.masks == expected
        assert held.masks <= before
        assert held.masks.num_kept == round(0.8**number * pool)
        for name, kernel in named(prunable(model)).items():
            assert not kernel.numpy()[~held.masks[name]].any()
        before = held.masks
    per_layer = [mask.mean() for mask in before.values()]
    assert abs(per_layer[0] - per_layer[1]) > 0.001, "one threshold, not one for each layer"


def test_polynomial_decay_prunes_from_a_callback_while_fit_goes_on(model, held):
    schedule = sparsity.PolynomialDecay(0.1, 0.8, begin_step=4, end_step=20, frequency=4)
    pruner = GlobalPruning(lambda: model.optimizer.iterations.value, held, schedule)
    seen = {}

    class Prune(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            pruner.conditional_mask_update()
            seen[int(model.optimizer.iterations)] = held.masks.sparsity

    inputs = np.random.default_rng(0).normal(size=(96, 20)).astype("float32")
    model.fit(inputs, inputs[:, :10], batch_size=4, verbose=0, callbacks=[Prune()])
    found = [round(seen[step], 3) for step in (3, 4, 8, 12, 16, 20, 23)]
    expected = [0.0, 0.1] + [round(0.8 - 0.7 * (1 - k / 16) ** 3, 3) for k in (4, 8, 12, 16)]
    np.testing.assert_allclose(found, [*expected, 0.8], atol=1.5e-3)
    for name, kernel in named(prunable(model)).items():
        assert not kernel.numpy()[~held.masks[name]].any()


def test_constant_sparsity_keeps_its_count_while_weights_change(model, held):
    step = tf.Variable(0)
    pruner = GlobalPruning(lambda: step, held, sparsity.ConstantSparsity(0.5, 2, frequency=2))
    inputs = np.random.default_rng(0).normal(size=(32, 20)).astype("float32")
    counts = []
    for number in range(7):
        step.assign(number)
        pruner.conditional_mask_update()
        counts.append(held.masks.num_kept)
        model.fit(inputs, inputs[:, :10], verbose=0)
    assert counts == [900, 900, 450, 450, 450, 450, 450]


def test_tf_mots_own_mask_op_sees_the_masks(model, held):
    pruner = GlobalPruning(lambda: 1, held, IterativeSparsity(0.5, 1))
    pruner.conditional_mask_update()
    for kernel in prunable(model):
        kernel.assign(np.ones(kernel.shape))
    pruner.weight_mask_op()
    for name, kernel in named(prunable(model)).items():
        np.testing.assert_array_equal(kernel.numpy() != 0, held.masks[name])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nothing_is_pruned_on_a_broken_training(model, held, bad):
    pruner = GlobalPruning(lambda: 1, held, IterativeSparsity(0.5, 1))
    second = model.get_layer("second").kernel
    value = second.numpy().copy()
    value[3, 4] = bad
    second.assign(value)
    with pytest.raises(DivergedError, match="of second/kernel is NaN or infinite"):
        pruner.conditional_mask_update()
    assert held.masks.sparsity == 0.0
    np.testing.assert_array_equal(second.numpy(), value)


def test_a_schedule_may_not_bring_weights_back(held):
    held.assign(Masks({path: np.zeros_like(mask) for path, mask in held.masks.items()}))
    pruner = GlobalPruning(lambda: 1, held, IterativeSparsity(0.2, 1))
    with pytest.raises(SettingError, match="removed weights do not come back"):
        pruner.conditional_mask_update()


def test_each_pool_is_pruned_to_the_sparsity_by_a_threshold_of_its_own(model, held):
    pools = [{name} for name in prunable(model).names]
    schedule = IterativeSparsity(0.3, 2)
    for number in (1, 2):
        scores = magnitude_scores(prunable(model))
        expected = {}
        for path, score in scores.items():
            within = Masks({path: held.masks[path]})
            expected |= global_masks({path: score}, 1 - 0.7**number, within)
        GlobalPruning(lambda: number, held, schedule, pools).conditional_mask_update()  # noqa: B023
        assert held.masks == Masks(expected)
        assert list(held.masks) == prunable(model).names
        for mask in held.masks.values():
            assert np.count_nonzero(mask) == round(0.7**number * mask.size)


def test_one_pool_shares_the_same_count_out_otherwise(model, held):
    GlobalPruning(lambda: 1, held, IterativeSparsity(0.5, 1)).conditional_mask_update()
    kept = [np.count_nonzero(mask) for mask in held.masks.values()]
    assert sum(kept) == 450
    assert kept != [300, 150]


def test_a_pool_that_is_broken_leaves_the_others_as_they_were(model, held):
    pools = [{name} for name in prunable(model).names]
    model.get_layer("second").kernel.assign(np.full((30, 10), np.nan))
    pruner = GlobalPruning(lambda: 1, held, IterativeSparsity(0.5, 1), pools)
    with pytest.raises(DivergedError, match="of second/kernel"):
        pruner.conditional_mask_update()
    assert held.masks.sparsity == 0.0


def test_what_is_no_schedule_is_refused(held):
    with pytest.raises(SettingError, match="`schedule` must be a PruningSchedule"):
        GlobalPruning(lambda: 1, held, 0.8)
