import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets import Masks, SettingError, global_masks, hold, magnitude_scores, prunable
from tf_tickets.names import named, under_names, variable_names

L = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(32, 8, 8, 3)).astype("float32")
TARGETS = RANDOM.normal(size=(32, 1)).astype("float32")


def build(optimizer=None, kernel_constraint=None, **compile_options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(8, 3, strides=2, name="conv", kernel_constraint=kernel_constraint),
            L.Flatten(),
            L.Dense(1, name="dense", kernel_constraint=kernel_constraint),
        ],
        name="net",
    )
    model.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        "mse",
        **{"jit_compile": False, **compile_options},
    )
    return model


def fit(model, **options):
    return model.fit(IMAGES, TARGETS, batch_size=8, verbose=0, **options)


def half(model):
    return global_masks(magnitude_scores(prunable(model)), 0.5)


def num_revived(model, masks):
    """How many weights that the masks remove are not exactly zero."""
    variables, masks = variable_names(model), under_names(model, masks)
    return sum(np.count_nonzero(variables[name].numpy()[~mask]) for name, mask in masks.items())


def check_that_fit_keeps_zeros(model):
    masks = half(model)
    with hold(model, masks):
        assert num_revived(model, masks) == 0
        for _ in range(2):
            before = {path: kernel.numpy() for path, kernel in kernels(model).items()}
            fit(model)
            assert num_revived(model, masks) == 0
            for path, kernel in kernels(model).items():
                moved = kernel.numpy() != before[path]
                assert moved[masks[path]].mean() > 0.5, f"{path} did not train"
    assert num_revived(model, masks) == 0


def kernels(model):
    return named(prunable(model))


OPTIMIZERS = {
    "sgd-momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "ema": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
    "ema-often": lambda: keras.optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=3),
    "accumulation-ema-scaled": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(0.01, gradient_accumulation_steps=2, use_ema=True)
    ),
}


@pytest.mark.parametrize("name", slow_but(OPTIMIZERS, "adamw", "accumulation-ema-scaled"))
def test_zeros_stay_with_every_kind_of_update(name):
    check_that_fit_keeps_zeros(build(OPTIMIZERS[name]()))


def test_without_holding_the_zeros_do_not_stay():
    """What all the others rest on: these trainings do revive weights that nothing holds."""
    model = build()
    masks = half(model)
    with hold(model, masks):
        pass
    assert num_revived(model, masks) == 0
    fit(model)
    assert num_revived(model, masks) > 50


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_zeros_stay_in_low_precision(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = build()
    finally:
        keras.config.set_dtype_policy(before)
    if policy == "mixed_float16":
        assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    check_that_fit_keeps_zeros(model)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"jit_compile": True}, {"steps_per_execution": 3}, {"run_eagerly": True}],
    ids=lambda options: next(iter(options)),
)
def test_zeros_stay_however_the_step_is_run(options):
    check_that_fit_keeps_zeros(build(keras.optimizers.AdamW(0.01), **options))


def test_train_on_batch_keeps_zeros():
    model = build()
    masks = half(model)
    with hold(model, masks):
        for _ in range(3):
            model.train_on_batch(IMAGES, TARGETS)
        assert num_revived(model, masks) == 0


def test_a_step_that_was_traced_before_is_traced_anew():
    model = build()
    fit(model)
    check_that_fit_keeps_zeros(model)
    masks = half(model)
    fit(model)
    assert num_revived(model, masks) > 50, "and is let go again"


def test_a_step_of_ones_own_that_was_traced_before_is_told_of():
    model = build()
    masks = half(model)
    optimizer = keras.optimizers.SGD(0.05)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(IMAGES) - TARGETS) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))

    step()
    told = pytest.warns(UserWarning, match="conv/kernel, .*dense/kernel: weights .* not zero any")
    with told, hold(model, masks):
        step()
    assert num_revived(model, masks) == 0


def test_a_model_that_is_compiled_anew_within_the_hold():
    model = build()
    masks = half(model)
    with hold(model, masks):
        fit(model)
        model.compile(keras.optimizers.Adam(0.01, use_ema=True), "mse")
        fit(model)
        assert num_revived(model, masks) == 0


def test_moving_averages_from_a_dense_training_do_not_come_back():
    model = build(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.99))
    fit(model)
    masks = half(model)
    with hold(model, masks):
        model.optimizer.finalize_variable_values(model.trainable_weights)
        assert num_revived(model, masks) == 0
        fit(model)
        assert num_revived(model, masks) == 0


def test_evaluation_with_averaged_weights_is_of_the_sparse_model():
    model = build(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    masks = half(model)
    seen = []

    class Look(keras.callbacks.Callback):
        def on_test_end(self, logs=None):
            seen.append(num_revived(model, masks))

    with hold(model, masks):
        fit(
            model,
            validation_data=(IMAGES, TARGETS),
            callbacks=[Look(), keras.callbacks.SwapEMAWeights()],
        )
    assert seen == [0]


class TwoOptimizers(keras.Model):
    """A model that trains its parts in turn, as a GAN does."""

    def __init__(self):
        super().__init__(name="two")
        self.first = L.Dense(16, activation="tanh", name="first")
        self.second = L.Dense(1, name="second")
        self.first_optimizer = keras.optimizers.Adam(0.01, use_ema=True)
        self.second_optimizer = keras.optimizers.SGD(0.01, momentum=0.9)

    def call(self, inputs):
        return self.second(self.first(inputs))

    def train_step(self, data):

        inputs, targets = data
        parts = ((self.first, self.first_optimizer), (self.second, self.second_optimizer))
        for part, optimizer in parts:
            with tf.GradientTape() as tape:
                loss = keras.ops.mean(keras.ops.square(self(inputs) - targets))
            variables = part.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def test_a_model_with_optimizers_of_its_own():
    model = TwoOptimizers()
    inputs = RANDOM.normal(size=(16, 8)).astype("float32")
    model.compile()
    model(inputs)
    masks = half(model)
    with hold(model, masks):
        model.fit(inputs, inputs[:, :1], verbose=0)
        assert num_revived(model, masks) == 0
        model.first_optimizer.finalize_variable_values(model.first.trainable_variables)
        assert num_revived(model, masks) == 0


def test_zeros_stay_after_save_and_load(tmp_path):
    model = build()
    masks = half(model)
    with hold(model, masks):
        fit(model)
        model.save(tmp_path / "held.keras")
    loaded = keras.models.load_model(tmp_path / "held.keras")
    for kernel, mask in zip(prunable(loaded), masks.values(), strict=True):
        assert kernel.constraint is None
        assert not kernel.numpy()[~mask].any()
    # Keras leaves a Sequential's own name out of the paths of one that it loads; names have none.
    assert {k.path for k in prunable(model)}.isdisjoint(k.path for k in prunable(loaded))
    assert masks.keys() == kernels(loaded).keys()
    with hold(loaded, masks) as held:
        fit(loaded)
        assert num_revived(loaded, held.masks) == 0
        assert list(map(np.count_nonzero, held.masks.values())) == [
            np.count_nonzero(mask) for mask in masks.values()
        ]
        held.assign(masks)


def test_a_kernels_own_constraint_goes_on_and_is_back_afterwards():
    model = build(kernel_constraint=keras.constraints.MaxNorm(0.3, axis=0))
    conv = model.get_layer("conv").kernel
    own = conv.constraint
    masks = half(model)
    with hold(model, masks):
        fit(model)
        assert num_revived(model, masks) == 0
        norms = np.sqrt((conv.numpy() ** 2).sum(axis=0))
        assert norms.max() <= 0.3 + 1e-6
        assert norms.max() > 0.29, "the training never met the constraint"
    assert conv.constraint is own
    assert model.get_layer("conv").get_config()["kernel_constraint"] is not None


def test_nested_holds_mask_together():
    model = build()
    (conv, dense) = prunable(model)
    outer = global_masks(magnitude_scores([conv]), 0.5)
    inner = global_masks(magnitude_scores([conv, dense]), 0.3)
    with hold(model, outer):
        with hold(model, inner):
            fit(model)
            assert num_revived(model, outer) == num_revived(model, inner) == 0
        fit(model)
        assert num_revived(model, outer) == 0
        assert num_revived(model, inner) > 0
    assert conv.constraint is None
    assert dense.constraint is None


def test_holds_that_end_in_another_order():
    model = build(kernel_constraint=keras.constraints.MaxNorm(0.3, axis=0))
    first = half(model)
    random = {path: RANDOM.random(mask.shape) for path, mask in first.items()}
    second = global_masks(random, 0.3)
    conv = model.get_layer("conv").kernel
    own = conv.constraint
    early, late = hold(model, first), hold(model, second)
    early.__enter__()
    late.__enter__()
    early.__exit__(None, None, None)
    fit(model)
    assert num_revived(model, second) == 0
    assert num_revived(model, first) > 0
    late.__exit__(None, None, None)
    assert conv.constraint is own


def test_an_error_within_lets_go():
    model = build()
    with pytest.raises(KeyError), hold(model, half(model)):
        raise KeyError
    assert model.get_layer("conv").kernel.constraint is None


class CountsTraces(keras.Sequential):
    traces = 0

    def train_step(self, data):
        CountsTraces.traces += 1
        return super().train_step(data)


def test_assign_changes_the_masks_without_a_new_trace():
    CountsTraces.traces = 0
    model = CountsTraces([keras.Input((8,)), L.Dense(64, name="a"), L.Dense(1, name="b")])
    model.compile("adam", "mse", jit_compile=False)
    inputs = RANDOM.normal(size=(32, 8)).astype("float32")
    everything = Masks.all_kept(prunable(model))
    with hold(model, everything) as held:
        model.fit(inputs, inputs[:, :1], verbose=0)
        once = CountsTraces.traces
        assert once > 0
        for sparsity in (0.2, 0.5, 0.9):
            masks = global_masks(magnitude_scores(prunable(model)), sparsity, held.masks)
            held.assign(masks)
            assert held.masks == masks
            assert num_revived(model, masks) == 0
            model.fit(inputs, inputs[:, :1], verbose=0)
            assert num_revived(model, masks) == 0
        held.assign(everything)
        model.fit(inputs, inputs[:, :1], verbose=0)
        assert num_revived(model, masks) > 0
        assert CountsTraces.traces == once


def test_assign_wants_masks_of_the_same_variables():
    model = build()
    masks = half(model)
    with hold(model, masks) as held:
        with pytest.raises(SettingError, match="no mask for dense/kernel"):
            held.assign(Masks({"conv/kernel": masks["conv/kernel"]}))
        assert held.masks == masks


def test_masks_of_another_model_are_refused():
    model = build()
    with pytest.raises(SettingError, match="no variable other/kernel"):
        hold(model, Masks({"other/kernel": np.ones(3, bool)})).__enter__()
    with pytest.raises(SettingError, match=r"dense/kernel has shape \(3,\)"):
        hold(model, Masks({"net/dense/kernel": np.ones(3, bool)})).__enter__()
    assert model.get_layer("dense").kernel.constraint is None


@pytest.mark.parametrize("wrong", [{"net/conv/kernel": np.ones(3, bool)}, "ticket.safetensors"])
def test_what_are_no_masks_is_refused(wrong):
    message = r"`masks` must be tt\.Masks or a Ticket, such as"
    with pytest.raises(SettingError, match=message), hold(build(), wrong):
        pass


def test_a_model_with_a_way_of_its_own_to_make_its_step():
    class Own(keras.Sequential):
        def make_train_function(self):
            return super().make_train_function()

    model = Own([keras.Input((8, 8, 3)), L.Flatten(), L.Dense(1, name="dense")], name="own")
    model.compile("sgd", "mse")
    fit(model)
    masks = half(model)
    with hold(model, masks):
        fit(model)
        assert num_revived(model, masks) == 0


def test_the_averages_of_an_optimizer_outside_the_model_are_masked_if_it_is_named():
    def finish(named):
        model, optimizer = build(), keras.optimizers.SGD(0.05, use_ema=True, ema_momentum=0.9)
        optimizer.build(model.trainable_variables)
        masks = half(model)
        with hold(model, masks, [optimizer] if named else ()):
            for _ in range(3):
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean((model(IMAGES) - TARGETS) ** 2)
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply(gradients, model.trainable_variables)
        optimizer.finalize_variable_values(model.trainable_variables)
        return num_revived(model, masks)

    assert finish(named=True) == 0
    assert finish(named=False) > 0, "no averages to mask: the test tells nothing"


def test_an_uncompiled_model_can_be_held():
    model = keras.Sequential([keras.Input((8,)), L.Dense(4, name="a")], name="bare")
    masks = half(model)
    with hold(model, masks):
        assert num_revived(model, masks) == 0
        model.compile("adam", "mse")
        model.fit(np.ones((8, 8)), np.ones((8, 4)), verbose=0)
        assert num_revived(model, masks) == 0


MIRRORED = """
    import keras, numpy as np, tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    import tf_tickets as tt

    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    inputs = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    for options in ({"weight_decay": 0.1}, {"use_ema": True, "ema_momentum": 0.9}):
        with strategy.scope():
            model = keras.Sequential([
                keras.Input((8,)),
                keras.layers.Dense(32, activation="relu", name="a"),
                keras.layers.Dense(1, name="b"),
            ])
            model.compile(keras.optimizers.AdamW(0.01, **options), "mse", jit_compile=False)
        scores = tt.magnitude_scores(tt.prunable(model))
        with tt.hold(model, tt.global_masks(scores, 0.2)) as held:
            model.fit(inputs, inputs[:, :1], batch_size=16, verbose=0)
            masks = tt.global_masks(scores, 0.8, held.masks)
            held.assign(masks)
            model.fit(inputs, inputs[:, :1], batch_size=16, verbose=0)
            kernels = tt.prunable(model)
            for name, kernel in zip(kernels.names, kernels):
                for replica in kernel.value.values:
                    pruned = replica.numpy()[~masks[name]]
                    assert pruned.size and not pruned.any(), options
    print("zeros on both replicas")
"""


@pytest.mark.slow  # tests/test_strategy.py has the default run's
def test_zeros_stay_on_every_replica_of_a_mirrored_strategy():
    """In a fresh process, since the devices are settled when TensorFlow begins."""
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(MIRRORED)], capture_output=True, text=True
    )
    assert "zeros on both replicas" in process.stdout, process.stderr[-2000:]


class KeepsAnAverage(keras.Model):
    """A model with an average of its own, which each step dirties before the update."""

    def __init__(self):
        super().__init__(name="averaging")
        self.dense = L.Dense(1, name="dense")
        self.dense.build((8,))
        self.average = self.add_weight(
            shape=(8, 1), initializer="ones", trainable=False, name="average"
        )
        self.built = True

    @property
    def averages(self):
        return [(self.dense.kernel, self.average)]

    def call(self, inputs):
        return self.dense(inputs)

    def train_step(self, data):
        self.average.assign(self.average + 1)
        return super().train_step(data)


def test_averages_that_the_model_names_are_masked_at_once_and_in_every_step():
    model = KeepsAnAverage()
    model.compile("sgd", "mse", jit_compile=False)
    inputs = RANDOM.normal(size=(16, 8)).astype("float32")
    model.fit(inputs, inputs[:, :1], verbose=0)
    masks = half(model)
    removed = ~masks["dense/kernel"]
    before = model.average.numpy()
    assert before.all()
    with hold(model, masks):
        np.testing.assert_array_equal(model.average.numpy(), np.where(removed, 0, before))
        model.fit(inputs, inputs[:, :1], verbose=0)
        assert num_revived(model, masks) == 0
        np.testing.assert_array_equal(model.average.numpy(), np.where(removed, 0, before + 1))
    model.fit(inputs, inputs[:, :1], verbose=0)
    assert model.average.numpy().all(), "and is let go again"


@pytest.mark.parametrize("kind", ["spectral", "attention"])
def test_kernels_of_newer_layers_are_held(kind):
    """Keras's spectral norm divides the kernel in place; attention keeps its kernels within."""
    layers = keras.layers
    inputs = keras.Input((5, 8))
    if kind == "spectral":
        outputs = layers.SpectralNormalization(layers.Dense(4))(inputs)
    else:
        outputs = layers.GroupQueryAttention(2, 4, 2)(inputs, inputs)
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    masks = tt.global_masks(tt.magnitude_scores(tt.prunable(model)), 0.5)
    assert len(masks) == (1 if kind == "spectral" else 4)
    x = np.random.default_rng(0).normal(size=(8, 5, 8))
    y = np.ones((8, *outputs.shape[1:]))
    model.fit(x, y, epochs=2, callbacks=[tt.callbacks.HoldMasks(masks)], verbose=0)
    assert tt.masks_of_zeros(model) == masks
