import keras
import numpy as np
import pytest

import tf_tickets as tt
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

L = keras.layers
RANDOM = np.random.default_rng(0)
INPUTS = RANDOM.normal(size=(32, 8)).astype("float32")
TARGETS = INPUTS[:, :1]


def build(optimizer=None, **compile_options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8,)), L.Dense(32, "relu", name="first"), L.Dense(1, name="last")], name="net"
    )
    model.compile(
        optimizer or keras.optimizers.Adam(0.01), "mse", **{"jit_compile": False, **compile_options}
    )
    return model


def fit(model, *callbacks, epochs=1):
    return model.fit(
        INPUTS, TARGETS, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks)
    )


def half(model):
    return global_masks(magnitude_scores(prunable(model)), 0.5)


def num_revived(model, masks):
    return sum(np.count_nonzero(k.numpy()[~masks[k.path]]) for k in prunable(model))


CASES = {
    "adamw": lambda: build(keras.optimizers.AdamW(0.01, weight_decay=0.1)),
    "ema": lambda: build(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)),
    "loss-scaled": lambda: build(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, momentum=0.9))
    ),
    "jit": lambda: build(jit_compile=True),
}


@pytest.mark.parametrize("case", CASES)
def test_zeros_stay_through_fit_and_a_second_fit(case):
    model = CASES[case]()
    masks = half(model)
    callback = callbacks.HoldMasks(masks)
    for _ in range(2):
        fit(model, callback)
        assert num_revived(model, masks) == 0
        assert all(kernel.constraint is None for kernel in prunable(model))


def test_a_model_that_was_fitted_before_and_is_fitted_after():
    model = build()
    fit(model)
    masks = half(model)
    fit(model, callbacks.HoldMasks(masks))
    assert num_revived(model, masks) == 0
    fit(model)
    assert num_revived(model, masks) > 50


def test_a_ticket_will_do():
    model = build()
    ticket = Ticket.of_model(model, half(model), {})
    fit(model, callbacks.HoldMasks(ticket))
    assert num_revived(model, ticket.masks) == 0


def test_within_a_hold_both_count():
    model = build()
    outer = half(model)
    first = prunable(model)[0]
    inner = global_masks({first.path: RANDOM.random(first.shape)}, 0.5)
    with hold(model, outer):
        fit(model, callbacks.HoldMasks(inner))
        assert num_revived(model, outer) == 0
        assert not first.numpy()[~inner[first.path]].any()
        fit(model)
        assert num_revived(model, outer) == 0
        assert first.numpy()[~inner[first.path]].any()


@pytest.mark.parametrize("hold_first", [True, False])
def test_early_stopping_restores_a_sparse_model(hold_first):
    model = build(keras.optimizers.SGD(0.05, momentum=0.9))
    masks = half(model)
    stop = keras.callbacks.EarlyStopping(
        "loss", patience=0, min_delta=10.0, restore_best_weights=True
    )
    both = [callbacks.HoldMasks(masks), stop]
    history = fit(model, *(both if hold_first else both[::-1]), epochs=4)
    assert len(history.epoch) == 2
    assert num_revived(model, masks) == 0


class Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("hold_first", [True, False])
def test_backup_and_restore_resumes_a_sparse_training(tmp_path, hold_first):
    model = build()
    masks = half(model)

    def both():
        pair = [
            callbacks.HoldMasks(masks),
            keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False),
        ]
        return pair if hold_first else pair[::-1]

    with pytest.raises(KeyboardInterrupt):
        fit(model, *both(), Interrupt(), epochs=3)
    resumed = build()
    history = fit(resumed, *both(), epochs=3)
    assert history.epoch == [1, 2]
    assert num_revived(resumed, masks) == 0


def test_a_dense_backup_is_pruned_as_it_is_resumed(tmp_path):
    model = build()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
    fit(model, backup)
    masks = half(model)
    fit(model, callbacks.HoldMasks(masks), backup, epochs=2)
    assert num_revived(model, masks) == 0


def test_a_training_that_was_broken_off_does_not_hold_the_next():
    model = build()
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
    model = build()
    before = model.get_weights()
    with pytest.raises(SettingError, match="no variable other/kernel"):
        fit(model, callbacks.HoldMasks(Masks({"other/kernel": np.ones(3, bool)})))
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


# --- EarlyBird


def normalised_model():
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(8, 3)(inputs))
    return keras.Model(inputs, keras.layers.Conv2D(1, 2)(x))


def fit_normalised(model, callback, epochs=20, **options):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 4, 4, 1)), rng.normal(size=(16, 1, 1, 1))
    return model.fit(x, y, epochs=epochs, batch_size=8, callbacks=[callback], verbose=0, **options)


def test_early_bird_stops_when_the_masks_have_settled():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=3)
    history = fit_normalised(model, callback)
    assert callback.epoch == len(history.epoch) == 4  # as soon as there are three to look back at
    assert callback.masks == tt.channel_masks(model, 0.5)
    assert callback.history == [[], [0.0], [0.0] * 2, [0.0] * 3]
    slimmed = tt.slim(model, callback.masks)
    assert slimmed.count_params() < model.count_params()


def test_early_bird_by_steps():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=2, every=1)
    fit_normalised(model, callback)
    assert callback.epoch == 2  # of two steps each: three masks, the last one within the second
    assert len(callback.history) == 3


def test_early_bird_lets_training_end_where_nothing_settles():
    model = normalised_model()
    model.compile("sgd", "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=5)
    history = fit_normalised(model, callback, epochs=3)
    assert len(history.epoch) == 3 and callback.masks is None and callback.epoch is None


def test_early_bird_pushes_the_scales_down_and_then_no_more():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    fit_normalised(model, tt.callbacks.EarlyBird(0.5, scale_penalty=10.0), epochs=2)
    assert np.all(model.get_layer("bn").gamma.numpy() < 0.7)
    assert model.get_layer("bn").gamma.regularizer is None


def test_early_bird_of_a_gan_watches_both_networks():
    images = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 3)).astype("float32")
    model = tt.models.build("dcgan-shared", (8, 8, 3), width=2)
    model.compile(run_eagerly=True)
    callback = tt.callbacks.EarlyBird(0.5, look_back=1, delta=1.0)
    model.fit(images, batch_size=8, epochs=9, callbacks=[callback], verbose=0)
    assert callback.epoch == 2
    assert {path.split("_")[0] for path in callback.masks} == {"generator", "discriminator"}


def test_early_bird_refuses_a_model_without_normalisation():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 4)])
    model.compile("sgd", "mse")
    with pytest.raises(tt.SettingError, match="no batch or group normalisation"):
        fit_normalised(model, tt.callbacks.EarlyBird(0.5))
