import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests import processes
from tests.callbacks.small_training import INPUTS, POOL, Interrupt, dense_net, fit, num_zeros
from tests.quick import slow_but
from tf_tickets.callbacks import prune_low_magnitude
from tf_tickets.interop import PruningSchedule
from tf_tickets.names import named
from tf_tickets.pruning import pruner
from tf_tickets.pruning.kernel_matrices import kernel_matrices

L = keras.layers
RANDOM = np.random.default_rng(0)


def gradual(end_step=6, sparsity=0.8, frequency=2):
    return tt.PolynomialDecay(0.0, sparsity, begin_step=0, end_step=end_step, frequency=frequency)


class Sparsities(keras.callbacks.Callback):
    """Notes the masks' sparsity during each step."""

    def __init__(self, pruning):
        super().__init__()
        self.pruning = pruning
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(self.pruning.masks.sparsity)


def test_the_schedule_is_followed_step_by_step():
    model = dense_net()
    pruning = tt.callbacks.PruneLowMagnitude(gradual())
    watch = Sparsities(pruning)
    fit(model, pruning, watch)
    due = [0, 2, 2, 4, 4, 6, 6, 6]  # of steps 1 to 8, the last at which something was due
    expected = [1 - round((1 - 0.8 * (1 - (1 - s / 6) ** 3)) * POOL) / POOL for s in due]
    np.testing.assert_allclose(watch.seen, expected, atol=1e-12)
    assert num_zeros(model) == POOL - round(0.2 * POOL)


def test_layers_by_themselves_or_pooled():
    by_layer, pooled = dense_net(), dense_net()
    fit(by_layer, tt.callbacks.PruneLowMagnitude(gradual(), pool="layer"))
    fit(pooled, tt.callbacks.PruneLowMagnitude(gradual()))
    sparsities = [np.mean(kernel.numpy() == 0) for kernel in tt.prunable(by_layer)]
    np.testing.assert_allclose(sparsities, [0.8, 0.8], atol=1 / 32)
    assert np.mean(pooled.get_layer("last").kernel.numpy() == 0) != sparsities[1]
    assert num_zeros(pooled) == POOL - round(0.2 * POOL)


def test_only_what_is_in_scope():
    model = dense_net()
    callback = tt.callbacks.PruneLowMagnitude(gradual(), scope=model.get_layer("first"))
    fit(model, callback)
    assert list(callback.masks) == ["first/kernel"]
    assert np.all(model.get_layer("last").kernel.numpy())


@pytest.mark.parametrize(
    "schedule",
    [
        tt.ConstantSparsity(0.6, begin_step=3, end_step=5, frequency=1),
        tt.IterativeSparsity(0.2, 4),
    ],
    ids=["constant", "iterative"],
)
def test_any_schedule_will_do(schedule):
    model = dense_net()
    fit(model, tt.callbacks.PruneLowMagnitude(schedule))
    final = {"ConstantSparsity": 0.6, "IterativeSparsity": 1 - 0.8**4}[type(schedule).__name__]
    assert num_zeros(model) == POOL - round((1 - final) * POOL)


OPTIMIZERS = {
    "adamw": lambda: dense_net(keras.optimizers.AdamW(0.01, weight_decay=0.1)),
    "momentum": lambda: dense_net(keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True)),
    "ema": lambda: dense_net(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9)),
    "accumulation": lambda: dense_net(keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)),
    "loss-scaled": lambda: dense_net(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01, momentum=0.9))
    ),
    "jit": lambda: dense_net(jit_compile=True),
    "several steps an execution": lambda: dense_net(steps_per_execution=3),
    "eager": lambda: dense_net(run_eagerly=True),
}


@pytest.mark.parametrize("case", slow_but(OPTIMIZERS, "adamw", "accumulation", "eager"))
def test_zeros_stay_zero_through_fit_and_a_second_fit(case):
    model = OPTIMIZERS[case]()
    callback = tt.callbacks.PruneLowMagnitude(gradual())
    fit(model, callback, epochs=4)
    assert num_zeros(model) == POOL - round(0.2 * POOL)
    masks = callback.masks
    fit(model, callback)
    assert callback.masks == masks
    assert num_zeros(model) == POOL - round(0.2 * POOL)
    assert all(kernel.constraint is None for kernel in tt.prunable(model))


def test_in_mixed_precision_the_zeros_are_exact():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = dense_net()
    finally:
        keras.config.set_dtype_policy("float32")
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    fit(model, tt.callbacks.PruneLowMagnitude(gradual()), epochs=4)
    assert num_zeros(model) == POOL - round(0.2 * POOL)


@pytest.mark.parametrize("pruning_first", [True, False])
def test_masks_and_step_come_back_with_backup_and_restore(tmp_path, pruning_first):
    def callbacks():
        pruning = tt.callbacks.PruneLowMagnitude(gradual(end_step=14, frequency=7))
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup", delete_checkpoint=False)
        return pruning, [pruning, backup] if pruning_first else [backup, pruning]

    uninterrupted = dense_net()
    whole, _ = callbacks()
    watch = Sparsities(whole)
    fit(uninterrupted, whole, watch, epochs=4)

    pruning, both = callbacks()
    with pytest.raises(KeyboardInterrupt):
        fit(dense_net(), *both, Interrupt(1), epochs=4)
    broken_off_at = pruning.masks
    assert 0 < broken_off_at.sparsity < 0.8
    resumed = dense_net()
    pruning, both = callbacks()
    watch_resumed = Sparsities(pruning)
    history = fit(resumed, *both, watch_resumed, epochs=4)
    assert history.epoch == [2, 3]
    assert watch_resumed.seen == watch.seen[8:]
    assert pruning.masks <= broken_off_at
    assert pruning.masks == whole.masks


KILLED = """
    import os, signal, sys
    import keras
    import tf_tickets as tt
    from tests.callbacks.small_training import dense_net, fit
    from tests.callbacks.test_prune_low_magnitude import gradual

    class Kill(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations.numpy()) == 9:
                os.kill(os.getpid(), signal.SIGKILL)

    model = dense_net()
    pruning = tt.callbacks.PruneLowMagnitude(gradual(end_step=15, frequency=3))
    backup = keras.callbacks.BackupAndRestore({backup!r}, save_freq=1, delete_checkpoint=False)
    fit(model, pruning, backup, Kill(), epochs=4)
"""


def test_after_sigkill_the_zeros_are_still_zero(tmp_path):
    killed = processes.run_code(KILLED.format(backup=str(tmp_path)))
    assert killed.returncode == -signal.SIGKILL
    model = dense_net()
    pruning = tt.callbacks.PruneLowMagnitude(gradual(end_step=15, frequency=3))
    watch = Sparsities(pruning)
    backup = keras.callbacks.BackupAndRestore(tmp_path, save_freq=1, delete_checkpoint=False)
    fit(model, pruning, backup, watch, epochs=4)
    assert watch.seen[0] == 1 - round((1 - 0.8 * (1 - (1 - 9 / 15) ** 3)) * POOL) / POOL
    assert num_zeros(model) == round(pruning.masks.sparsity * POOL) > 0.7 * POOL


@pytest.mark.parametrize("pruning_first", [True, False])
def test_it_lives_with_the_callbacks_of_keras(tmp_path, pruning_first):
    model = dense_net(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    pruning = tt.callbacks.PruneLowMagnitude(gradual())
    others = [
        keras.callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.keras")),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.EarlyStopping("loss", patience=3),
        keras.callbacks.TensorBoard(tmp_path / "logs"),
    ]
    fit(model, *([pruning, *others] if pruning_first else [*others, pruning]), epochs=3)
    assert num_zeros(model) == POOL - round(0.2 * POOL)
    saved = keras.models.load_model(tmp_path / "3.keras")
    assert num_zeros(saved) == POOL - round(0.2 * POOL)


@pytest.mark.parametrize("pruning_first", [True, False])
def test_the_best_weights_are_as_sparse_as_the_model_was_then(pruning_first):
    model = dense_net(keras.optimizers.SGD(0.0))
    pruning = tt.callbacks.PruneLowMagnitude(gradual(end_step=12, frequency=4))
    stop = keras.callbacks.EarlyStopping(
        "loss", patience=2, min_delta=10.0, restore_best_weights=True
    )
    fit(model, *([pruning, stop] if pruning_first else [stop, pruning]), epochs=9)
    best = 0.8 * (1 - (1 - 4 / 12) ** 3)  # of the first epoch, whose last step is 4
    assert num_zeros(model) == POOL - round((1 - best) * POOL)
    assert pruning.masks.sparsity > best


def test_a_kernel_by_itself_keeps_its_last_weight():
    model = dense_net()
    once = tt.ConstantSparsity(0.99, begin_step=1, frequency=1)
    pruning = tt.callbacks.PruneLowMagnitude(once, pool="layer")
    fit(model, pruning)
    assert [np.count_nonzero(mask) for mask in pruning.masks.values()] == [round(2.56), 1]


class Asked(PruningSchedule):
    """Is due at every fifth step, and notes which it is asked for."""

    def __init__(self, **attributes):
        self.steps = []
        vars(self).update(attributes)

    def __call__(self, step):
        self.steps.append(step)
        return step % 5 == 0, 0.5

    def get_config(self):
        return {}


@pytest.mark.parametrize(
    ("attributes", "asked"),
    [
        ({"begin_step": 2, "end_step": 9}, [9, 8, 7, 6, 5]),
        ({"begin_step": 10**6 + 2, "end_step": -1}, [10**6 + step for step in range(2, 9)]),
        ({"begin_step": 10**6, "end_step": None}, [10**6 + s for s in (1, 0, *range(2, 9))]),
        ({"end_step": 6}, [6, 5]),
    ],
    ids=["over", "not begun", "without an end", "without a beginning"],
)
def test_a_training_that_is_resumed_late_asks_for_no_step_in_vain(attributes, asked):
    model = dense_net()
    model.optimizer.build(model.trainable_variables)
    model.optimizer.iterations.assign(10**6)
    schedule = Asked(**attributes)
    asked_by_training = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: schedule.steps.clear()  # it was asked for its end before
    )
    fit(model, tt.callbacks.PruneLowMagnitude(schedule), asked_by_training)
    assert schedule.steps == asked


@pytest.mark.parametrize(
    "schedule",
    [
        tt.ConstantSparsity(0.5, 10**6 - 20, -1, 5),
        tt.ConstantSparsity(0.5, 10**6 - 20, 10**6, 5),
        tt.PolynomialDecay(0.1, 0.8, 10**6 - 20, 10**6, frequency=5),
        tt.PolynomialDecay(0.1, 0.8, 10**6 - 20, 10**7, frequency=5),
    ],
)
def test_tf_mots_own_schedules_are_due_as_they_say_themselves(schedule):
    """What is known of them without asking, against asking for each of a resumed training."""
    begin = schedule.begin_step
    for seen, step in [(0, 10**6 + 1), (10**6, 10**6 + 1), (10**6, 10**6 + 30), (0, begin - 1)]:
        asked = (schedule(past) for past in range(step, max(seen, begin - 9), -1))
        expected = next((float(sparsity) for due, sparsity in asked if due), None)
        found = prune_low_magnitude._latest_due(schedule, seen, step)
        assert (None if found is None else float(found)) == expected


def test_a_constraint_of_the_layers_own_is_kept():
    model = keras.Sequential(
        [keras.Input((8,)), L.Dense(32, kernel_constraint="non_neg"), L.Dense(1)]
    )
    model.compile("adam", "mse")
    own = model.layers[0].kernel.constraint
    fit(model, tt.callbacks.PruneLowMagnitude(gradual()))
    assert num_zeros(model) >= POOL - round(0.2 * POOL)
    assert np.min(model.layers[0].kernel.numpy()) >= 0
    assert model.layers[0].kernel.constraint is own


def test_several_optimizers_count_by_the_one_that_made_the_fewest_updates():
    images = RANDOM.uniform(-1, 1, (16, 8, 8, 3)).astype("float32")
    model = tt.models.build("wgan", (8, 8, 3), width=2, critic_steps=3)
    model.compile(run_eagerly=True)
    schedule = tt.ConstantSparsity(0.5, begin_step=3, end_step=3, frequency=1)
    pruning = tt.callbacks.PruneLowMagnitude(schedule)
    watch = Sparsities(pruning)
    model.fit(images, batch_size=4, epochs=1, callbacks=[pruning, watch], verbose=0)
    np.testing.assert_allclose(watch.seen, [0, 0, 0.5, 0.5], atol=1e-4)


class OwnStep(keras.Sequential):
    """Trains by an optimizer that it is given, as it is kept."""

    def __init__(self, kept, optimizer):
        super().__init__(
            [keras.Input((8,)), L.Dense(32, name="a"), L.Dense(1, name="b")], name="own"
        )
        self.kept = kept
        self.optimizer_of_step = lambda: optimizer

    def train_step(self, data):
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(inputs) - targets) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer_of_step().apply(gradients, self.trainable_variables)
        return {"loss": loss}


def test_an_optimizer_in_a_dict_counts_and_one_out_of_sight_is_told_of():
    optimizer = keras.optimizers.SGD(0.01)
    model = OwnStep({"main": optimizer}, optimizer)
    model.compile(jit_compile=False)
    fit(model, tt.callbacks.PruneLowMagnitude(gradual()))
    assert num_zeros(model) == POOL - round(0.2 * POOL)

    model = OwnStep({}, keras.optimizers.SGD(0.01))
    model.compile(jit_compile=False)
    with pytest.warns(UserWarning, match="own has no optimizer that made an update, so the sch"):
        fit(model, tt.callbacks.PruneLowMagnitude(gradual()), epochs=1)


def test_masks_are_drawn_where_they_are_due_and_nowhere_else(monkeypatch):
    drawn = []
    score = pruner.magnitude_scores
    monkeypatch.setattr(pruner, "magnitude_scores", lambda v: drawn.append(1) or score(v))
    fit(dense_net(), tt.callbacks.PruneLowMagnitude(gradual(end_step=6, frequency=3)))
    assert len(drawn) == 2  # of steps 1 to 8 at 3 and 6


def test_a_subclassed_model_with_a_model_within():
    class Nested(keras.Model):
        def __init__(self):
            super().__init__(name="nested")
            self.inner = keras.Sequential([L.Dense(8, name="a"), L.Dense(8, name="b")], name="in")
            self.head = L.Dense(1, name="head")

        def call(self, inputs):
            return self.head(self.inner(inputs))

    model = Nested()
    model.compile("adam", "mse")
    fit(model, tt.callbacks.PruneLowMagnitude(gradual()))
    pool = 8 * 8 + 8 * 8 + 8
    assert num_zeros(model) == pool - round(0.2 * pool)


def transformer():
    inputs = keras.Input((6, 16))
    x = L.LayerNormalization()(
        inputs + L.MultiHeadAttention(4, 8, name="attention")(inputs, inputs)
    )
    x = L.LayerNormalization()(x + L.Dense(16, name="back")(L.Dense(32, "relu", name="up")(x)))
    return keras.Model(inputs, L.Dense(3, name="logits")(L.GlobalAveragePooling1D()(x)))


NETWORKS = {
    "transformer": (transformer, (6, 16), 3),
    "mobilenet": (
        lambda: keras.applications.MobileNetV2(
            weights=None, classes=3, input_shape=(32, 32, 3), classifier_activation=None
        ),
        (32, 32, 3),
        3,
    ),
    "resnet": (
        lambda: keras.applications.ResNet50V2(
            weights=None, classes=3, input_shape=(32, 32, 3), classifier_activation=None
        ),
        (32, 32, 3),
        3,
    ),
}
EACH_NETWORK = pytest.mark.parametrize(
    "name",
    [
        "transformer",
        pytest.param("mobilenet", marks=pytest.mark.slow),
        pytest.param("resnet", marks=pytest.mark.slow),
    ],
)


def pruned(name, **options):
    """Train a network for four steps while it is pruned to 80 %; return it and the masks."""
    build, shape, classes = NETWORKS[name]
    keras.utils.set_random_seed(0)
    model = build()
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    schedule = tt.PolynomialDecay(0.0, 0.8, begin_step=0, end_step=3, frequency=1)
    callback = tt.callbacks.PruneLowMagnitude(schedule, **options)
    images = RANDOM.normal(size=(8, *shape)).astype("float32")
    labels = RANDOM.integers(classes, size=8)
    model.fit(images, labels, batch_size=2, callbacks=[callback], verbose=0)
    for name, kernel in named(tt.prunable(model)).items():
        assert not kernel.numpy()[~callback.masks[name]].any()
    return model, callback.masks


@EACH_NETWORK
def test_the_sparsity_asked_for_within_one_weight(name):
    _, pooled = pruned(name)
    assert abs(pooled.size - pooled.num_kept - 0.8 * pooled.size) <= 1
    _, by_layer = pruned(name, pool="layer")
    for mask in by_layer.values():
        assert abs(np.count_nonzero(~mask) - 0.8 * mask.size) <= 1


@EACH_NETWORK
def test_patterns_are_exact(name):
    model, two_of_four = pruned(name, m_by_n=(2, 4))
    matrices = kernel_matrices(model, tt.prunable(model))
    for path, mask in two_of_four.items():
        rows = np.moveaxis(matrices[path].of(mask), -2, -1)
        whole = rows[..., : rows.shape[-1] // 4 * 4]
        assert np.all(whole.reshape(-1, 4).sum(1) == 2)
    model, blocks = pruned(name, block_size=(1, 4))
    for path, mask in blocks.items():
        columns = matrices[path].of(mask)
        whole = columns[..., : columns.shape[-1] // 4 * 4].reshape(-1, 4)
        assert np.all(whole.all(1) | ~whole.any(1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": 0.8}, "`schedule` must be a PruningSchedule"),
        ({"schedule": None}, "`schedule` must be a PruningSchedule"),
        ({"pool": "global"}, "`pool` must be 'model' or 'layer'"),
        ({"block_size": 4}, "`block_size` must be two whole numbers"),
        ({"m_by_n": (4, 2)}, "m must be less than n"),
        ({"m_by_n": (2, 4), "block_size": (1, 4)}, "Choose one pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, message):
    with pytest.raises(tt.SettingError, match=message):
        tt.callbacks.PruneLowMagnitude(**{"schedule": gradual(), **arguments})


def test_nothing_to_prune_is_refused_before_the_first_step():
    model = dense_net()
    before = model.get_weights()
    with pytest.raises(tt.SettingError, match="matches none of the 4 trainable variables of net"):
        fit(model, tt.callbacks.PruneLowMagnitude(gradual(), scope=lambda kernel: False))
    bare = keras.Sequential([keras.Input((8,)), L.BatchNormalization(name="norm")], name="bare")
    bare.compile("adam", "mse")
    with pytest.raises(tt.SettingError, match="no kernel to prune"):
        bare.fit(INPUTS, INPUTS, callbacks=[tt.callbacks.PruneLowMagnitude(gradual())], verbose=0)
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_a_training_that_ends_before_its_schedule_begins_is_told_of():
    late = tt.callbacks.PruneLowMagnitude(tt.ConstantSparsity(0.5, begin_step=9, frequency=1))
    with pytest.warns(UserWarning, match="Nothing was pruned: the training ended at step 8"):
        fit(model := dense_net(), late)
    fit(model, late)
    assert num_zeros(model) == 0.5 * POOL


class Percent(PruningSchedule):
    def __call__(self, step):
        return True, 90.0

    def get_config(self):
        return {}


def test_a_sparsity_in_percent_is_recognised():
    with pytest.raises(tt.SettingError, match=r"Did you mean 0\.9"):
        fit(dense_net(), tt.callbacks.PruneLowMagnitude(Percent()))


class Ends(Asked):
    """A schedule of a user's own, which ends at a step."""

    def __call__(self, step):
        return step % 5 == 0, 0.99


@pytest.mark.parametrize(
    ("schedule", "options"),
    [
        (gradual(sparsity=0.995), {}),
        (tt.ConstantSparsity(0.995, begin_step=7, frequency=1), {}),
        (tt.IterativeSparsity(0.6, 8), {}),
        (Ends(end_step=8), {"block_size": (8, 4)}),
    ],
    ids=["gradual", "constant", "iterative", "own, in blocks"],
)
def test_a_schedule_that_ends_at_too_much_is_refused_before_the_first_update(schedule, options):
    model = dense_net()
    with pytest.raises(tt.SettingError, match=r"cannot be followed to its end: .* of which none"):
        fit(model, tt.callbacks.PruneLowMagnitude(schedule, **options))
    assert model.optimizer.iterations.numpy() == 0
    assert all(kernel.constraint is None for kernel in tt.prunable(model))


@pytest.mark.parametrize("options", [{"pool": "layer"}, {"m_by_n": (2, 4)}], ids=str)
def test_what_keeps_a_weight_of_each_kernel_is_not_refused(options):
    pruning = tt.callbacks.PruneLowMagnitude(gradual(sparsity=0.995), **options)
    fit(dense_net(), pruning)
    assert all(mask.any() for mask in pruning.masks.values())


OF_LONG_UPDATES = {
    "accumulation": lambda: keras.optimizers.SGD(0.01, gradient_accumulation_steps=6),
    # The first loss scale is out of float32's range: the first updates are left out.
    "loss scale": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.01), initial_scale=3e38
    ),
}


@pytest.mark.parametrize("case", OF_LONG_UPDATES)
def test_an_epoch_without_an_update_is_not_one_without_an_optimizer(case):
    """A warning would be an error here, as setup.cfg asks of pytest."""
    model = dense_net(OF_LONG_UPDATES[case]())
    last = model.get_layer("last").kernel
    last.assign(10 * last.numpy())
    pruning = tt.callbacks.PruneLowMagnitude(tt.ConstantSparsity(0.5, 2, frequency=1))
    updates = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: updates.append(int(model.optimizer.iterations.numpy()))
    )
    fit(model, pruning, note, epochs=4)
    assert updates[0] == 0 and num_zeros(model) == 0.5 * POOL


def born_at_zero():
    model = dense_net()
    model.get_layer("last").kernel.assign(np.zeros((32, 1)))
    return model


def test_a_kernel_that_begins_at_zero_is_not_emptied_before_it_can_learn():
    model = born_at_zero()
    pruning = tt.callbacks.PruneLowMagnitude(tt.ConstantSparsity(0.5, 1, frequency=1))
    watch = Kept(pruning)
    with pytest.warns(UserWarning, match="^last/kernel: zero everywhere"):
        fit(model, pruning, watch, epochs=1)
    assert watch.seen == [32, 16, 16, 16]  # whole until its first update, then half of itself
    assert num_zeros(model) == 0.5 * POOL


class Kept(keras.callbacks.Callback):
    """Notes how many weights of the last kernel are kept in each step."""

    def __init__(self, pruning):
        super().__init__()
        self.pruning = pruning
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        self.seen.append(int(self.pruning.masks["last/kernel"].sum()))


def test_a_second_model_is_pruned_from_its_own_beginning():
    pruning = tt.callbacks.PruneLowMagnitude(gradual())
    first, second = dense_net(), dense_net()
    with pytest.raises(KeyboardInterrupt):
        fit(first, pruning, Interrupt())
    fit(second, pruning)
    assert num_zeros(second) == POOL - round(0.2 * POOL)
    assert all(kernel.constraint is None for kernel in tt.prunable(first))


class Averaging(keras.Model):
    """A network and its clone, which each step averages."""

    def __init__(self):
        super().__init__(name="averaging")
        self.network = dense_net()
        self.average = keras.models.clone_model(self.network)
        self.average.set_weights(self.network.get_weights())
        self.built = True

    def pairs(self):
        return list(zip(self.network.weights, self.average.weights, strict=True))

    def train_step(self, data):
        inputs, targets = data
        weights = self.network.trainable_weights
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.network(inputs) - targets) ** 2)
        self.optimizer.apply(tape.gradient(loss, weights), weights)
        for weight, average in self.pairs():
            average.assign(0.9 * average + 0.1 * weight)
        return {"loss": loss}


class NamedAverages(Averaging):
    @property
    def averages(self):
        return self.pairs()


def test_the_average_that_is_sampled_from_is_sparse(tmp_path):
    model = NamedAverages()
    model.compile("adam", jit_compile=False)
    fit(model, tt.callbacks.PruneLowMagnitude(gradual()))
    fit(model, tt.callbacks.HoldMasks())
    assert num_zeros(model.network) == num_zeros(model.average) == POOL - round(0.2 * POOL)
    for weight, average in model.averages:
        np.testing.assert_array_equal(weight.numpy() == 0, average.numpy() == 0)
    tt.export_saved_model(model.average, tmp_path / "ema")
    serve = tf.saved_model.load(tmp_path / "ema").signatures["serving_default"]
    answer = serve(inputs=tf.constant(INPUTS))["outputs"]
    np.testing.assert_allclose(answer, model.average(INPUTS), atol=1e-6)
    rows = {row.path: row.skipped for row in tt.report(model, measure=False).weights}
    assert "average" in rows["average/first/kernel"] and not rows["network/first/kernel"]


def test_an_average_that_is_not_named_is_told_of():
    model = Averaging()
    model.compile("adam", jit_compile=False)
    with pytest.warns(UserWarning, match=r"^average/first/kernel.* in the model's `averages`"):
        fit(model, tt.callbacks.PruneLowMagnitude(gradual(), scope=model.average))
