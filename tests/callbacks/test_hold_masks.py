import keras
import numpy as np
import pytest

from tests.callbacks.small_training import POOL, Interrupt, dense_net, fit
from tests.quick import slow_but
from tf_tickets import (
    Masks,
    SettingError,
    Ticket,
    callbacks,
    global_masks,
    hold,
    magnitude_scores,
    prunable,
)
from tf_tickets.names import named


def half(model):
    return global_masks(magnitude_scores(prunable(model)), 0.5)


def num_revived(model, masks):
    return sum(
        np.count_nonzero(k.numpy()[~masks[name]]) for name, k in named(prunable(model)).items()
    )


CASES = {
    "adamw": lambda: dense_net(keras.optimizers.AdamW(0.01, weight_decay=0.1)),
    "ema": lambda: dense_net(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)),
    "loss-scaled": lambda: dense_net(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, momentum=0.9))
    ),
    "jit": lambda: dense_net(jit_compile=True),
}


@pytest.mark.parametrize("case", slow_but(CASES, "adamw", "ema"))
def test_zeros_stay_through_fit_and_a_second_fit(case):
    model = CASES[case]()
    masks = half(model)
    callback = callbacks.HoldMasks(masks)
    for _ in range(2):
        fit(model, callback)
        assert num_revived(model, masks) == 0
        assert all(kernel.constraint is None for kernel in prunable(model))


def test_a_model_that_was_fitted_before_and_is_fitted_after():
    model = dense_net()
    fit(model)
    masks = half(model)
    fit(model, callbacks.HoldMasks(masks))
    assert num_revived(model, masks) == 0
    fit(model)
    assert num_revived(model, masks) > 50


def test_a_ticket_will_do():
    model = dense_net()
    ticket = Ticket.of_model(model, half(model), {})
    fit(model, callbacks.HoldMasks(ticket))
    assert num_revived(model, ticket.masks) == 0


def test_within_a_hold_both_count():
    model = dense_net()
    outer = half(model)
    first = prunable(model)[0]
    inner = global_masks({first.path: np.random.default_rng(0).random(first.shape)}, 0.5)
    with hold(model, outer):
        fit(model, callbacks.HoldMasks(inner))
        assert num_revived(model, outer) == 0
        assert not first.numpy()[~inner[first.path]].any()
        fit(model)
        assert num_revived(model, outer) == 0
        assert first.numpy()[~inner[first.path]].any()


@pytest.mark.parametrize("hold_first", [True, False])
def test_early_stopping_restores_a_sparse_model(hold_first):
    model = dense_net(keras.optimizers.SGD(0.05, momentum=0.9))
    masks = half(model)
    stop = keras.callbacks.EarlyStopping(
        "loss", patience=0, min_delta=10.0, restore_best_weights=True
    )
    both = [callbacks.HoldMasks(masks), stop]
    history = fit(model, *(both if hold_first else both[::-1]), epochs=4)
    assert len(history.epoch) == 2
    assert num_revived(model, masks) == 0


@pytest.mark.parametrize("hold_first", [True, False])
def test_backup_and_restore_resumes_a_sparse_training(tmp_path, hold_first):
    model = dense_net()
    masks = half(model)

    def both():
        pair = [
            callbacks.HoldMasks(masks),
            keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
        ]
        return pair if hold_first else pair[::-1]

    with pytest.raises(KeyboardInterrupt):
        fit(model, *both(), Interrupt(), epochs=3)
    resumed = dense_net()
    history = fit(resumed, *both(), epochs=3)
    assert history.epoch == [1, 2]
    assert num_revived(resumed, masks) == 0


def test_a_dense_backup_is_pruned_as_it_is_resumed(tmp_path):
    model = dense_net()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    fit(model, backup, epochs=1)
    masks = half(model)
    fit(model, callbacks.HoldMasks(masks), backup, epochs=2)
    assert num_revived(model, masks) == 0


def test_a_training_that_was_broken_off_does_not_hold_the_next():
    model = dense_net()
    masks = half(model)
    callback = callbacks.HoldMasks(masks)
    with pytest.raises(KeyboardInterrupt):
        fit(model, callback, Interrupt())
    fit(model, callback)
    assert num_revived(model, masks) == 0
    assert all(kernel.constraint is None for kernel in prunable(model))
    fit(model)
    assert num_revived(model, masks) > 50


def test_masks_of_another_model_stop_the_training_before_it_begins():
    model = dense_net()
    before = model.get_weights()
    with pytest.raises(SettingError, match="no variable other/kernel"):
        fit(model, callbacks.HoldMasks(Masks({"other/kernel": np.ones(3, bool)})))
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_what_are_no_masks_is_refused_at_once():
    with pytest.raises(SettingError, match=r"`masks` must be tt\.Masks or a Ticket"):
        callbacks.HoldMasks("ticket.safetensors")


def test_without_masks_the_models_own_zeros_are_held():
    model = dense_net()
    masks = half(model)
    fit(model, callbacks.HoldMasks(masks))
    own = callbacks.HoldMasks()
    fit(model, own)
    assert num_revived(model, masks) == 0


@pytest.mark.slow
@pytest.mark.parametrize("hold_first", [True, False])
def test_zeros_come_back_with_a_backup_and_are_held_on(tmp_path, hold_first):
    """A training that was cut off goes on in a model that knows nothing of its masks."""
    model = dense_net()
    masks = half(model)
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(model, backup, callbacks.HoldMasks(masks), Interrupt(), epochs=2)
    restarted = dense_net()
    assert num_revived(restarted, masks) > 0
    before = {name: kernel.numpy() for name, kernel in named(prunable(model)).items()}
    both = [callbacks.HoldMasks(), keras.callbacks.BackupAndRestore(tmp_path)]
    fit(restarted, *(both if hold_first else both[::-1]), epochs=2)
    assert num_revived(restarted, masks) == 0
    assert all(np.any(k.numpy() != before[n]) for n, k in named(prunable(restarted)).items())


def test_a_kernel_that_is_zero_everywhere_was_not_pruned_and_learns():
    model = dense_net()
    first, last = prunable(model)
    first.assign(first.numpy() * (np.arange(32) % 2))
    last.assign(np.zeros((32, 1)))
    pruned = first.numpy() == 0
    fit(model, callbacks.HoldMasks())
    assert last.numpy().any()
    assert not first.numpy()[pruned].any()


@pytest.mark.slow
def test_each_model_is_held_at_its_own_zeros():
    own, models = callbacks.HoldMasks(), [dense_net(), dense_net()]
    for model, sparsity in zip(models, (0.5, 0.25), strict=True):
        masks = global_masks(magnitude_scores(prunable(model)), sparsity)
        with hold(model, masks):
            pass
        fit(model, own)
        assert num_revived(model, masks) == 0
        assert sum(np.count_nonzero(k.numpy() == 0) for k in prunable(model)) == sparsity * POOL
