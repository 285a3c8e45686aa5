import os
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets import (
    FileError,
    Masks,
    SettingError,
    global_masks,
    hold,
    magnitude_scores,
    masks_of_zeros,
    prunable,
    release_held,
    save_held,
)
from tf_tickets.shipping.keras_file import FixedMask

L = keras.layers
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.normal(size=(32, 8, 8, 3)).astype("float32")
TARGETS = RANDOM.normal(size=(32, 2)).astype("float32")


def sequential(seed=1, constraint=None):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(6, 3, name="conv", kernel_constraint=constraint),
            L.DepthwiseConv2D(3, name="depthwise"),
            L.SeparableConv2D(5, 3, name="separable"),
            L.Flatten(),
            L.Dense(2, name="dense"),
        ]
    )
    return compiled(model)


def functional(seed=1):
    keras.utils.set_random_seed(seed)
    images = x = keras.Input((8, 8, 3))
    x = L.Reshape((8, 24))(x)
    x = L.Bidirectional(L.LSTM(4, return_sequences=True), name="both")(x)
    x = L.TimeDistributed(L.Dense(6), name="each")(x)
    nested = keras.Sequential([keras.Input((8, 6)), L.Conv1D(4, 3)], name="nested")
    return compiled(keras.Model(images, L.Dense(2, name="last")(L.Flatten()(nested(x)))))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.conv, self.flatten, self.dense = L.Conv2D(6, 3), L.Flatten(), L.Dense(2)

    def call(self, images):
        return self.dense(self.flatten(self.conv(images)))


def subclassed(seed=1):
    keras.utils.set_random_seed(seed)
    model = Subclassed(name="mine")
    model(IMAGES)
    return compiled(model)


def compiled(model, run_eagerly=True):
    """Compile; four small steps take less time than the trace of one."""
    optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    model.compile(optimizer, "mse", run_eagerly=run_eagerly, jit_compile=False)
    return model


def fit(model):
    model.fit(IMAGES, TARGETS, batch_size=8, verbose=0)


def pruned(model, sparsity=0.6):
    masks = global_masks(magnitude_scores(prunable(model)), sparsity)
    with hold(model, masks):
        fit(model)
    return masks


def keras_file(model, fresh, folder):
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def weights_file(model, fresh, folder):
    model.save_weights(folder / "model.weights.h5")
    fresh.optimizer.build(fresh.trainable_variables)
    fresh.load_weights(folder / "model.weights.h5")
    return fresh


def checkpoint(model, fresh, folder):
    path = tf.train.Checkpoint(model=model).save(str(folder / "checkpoint"))
    tf.train.Checkpoint(model=fresh).restore(path).expect_partial()
    return fresh


@pytest.mark.parametrize("way", [keras_file, weights_file, checkpoint])
@pytest.mark.parametrize("build", slow_but([sequential, functional, subclassed], sequential))
def test_masks_come_back_as_zeros_and_can_be_held_again(build, way, tmp_path):
    model = build()
    masks = pruned(model)
    restored = way(model, build(seed=2), tmp_path)
    found = masks_of_zeros(restored)
    for mask, expected in zip(found.values(), masks.values(), strict=True):
        np.testing.assert_array_equal(mask, expected)
    with hold(restored, found):
        fit(restored)
    assert masks_of_zeros(restored) <= found
    fit(restored)
    assert masks_of_zeros(restored).num_kept > found.num_kept, "nothing holds them any more"


WITHOUT_US = """
    import sys
    sys.modules["tf_tickets"] = None
    import keras
    import numpy as np

    data = np.load("data.npz")
    model = keras.models.load_model("plain.keras")
    np.testing.assert_allclose(model.predict(data["x"], verbose=0), data["y"], atol=1e-6)
    model.fit(data["x"], data["y"], verbose=0)
    print("loads and trains")
    try:
        keras.models.load_model("held.keras")
    except TypeError as error:
        print("tf_tickets>FixedMask" in str(error))
"""

WITH_US = """
    import keras
    import numpy as np
    import tf_tickets.shipping.keras_file

    data = np.load("data.npz")
    model = keras.models.load_model("held.keras")
    np.testing.assert_allclose(model.predict(data["x"], verbose=0), data["y"], atol=1e-6)
    before = model.get_layer("conv").kernel.numpy()
    model.fit(data["x"], data["y"] + 1, epochs=2, verbose=0)
    after = model.get_layer("conv").kernel.numpy()
    assert np.array_equal(before != 0, after != 0) and not np.array_equal(before, after)
    print("holds")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "printed"),
    [(WITHOUT_US, "loads and trains\nTrue\n"), (WITH_US, "holds\n")],
    ids=["without-us", "with-us"],
)
def test_in_a_fresh_process_a_plain_file_needs_nothing_and_the_other_holds(code, printed, tmp_path):
    model = sequential()
    with hold(model, pruned(model)):
        fit(model)
        model.save(tmp_path / "plain.keras")
    save_held(model, tmp_path / "held.keras")
    np.savez(tmp_path / "data.npz", x=IMAGES, y=model.predict(IMAGES, verbose=0))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=tmp_path,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == printed, done.stderr[-2000:]


@pytest.mark.parametrize("build", [sequential, functional])
def test_every_kind_of_kernel_is_held_by_the_file(build, tmp_path):
    model = build()
    fit(model)
    masks = global_masks(magnitude_scores(prunable(model)), 0.6)
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras", masks))
    assert masks_of_zeros(model) == masks, "they are applied to the model itself"
    before = masks_of_zeros(loaded)
    assert before.num_kept == masks.num_kept
    fit(loaded)
    assert masks_of_zeros(loaded) == before
    fit(model)
    assert masks_of_zeros(model).num_kept > masks.num_kept, "but the model itself is not held"


def test_a_layers_own_constraint_goes_on_inside(tmp_path):
    own = keras.constraints.MaxNorm(0.3, axis=(0, 1, 2))
    model = sequential(constraint=own)
    pruned(model)
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras"))
    assert model.get_layer("conv").kernel_constraint is own
    conv = loaded.get_layer("conv")
    assert isinstance(conv.kernel_constraint, FixedMask)
    fit(loaded)
    norms = np.sqrt((conv.kernel.numpy() ** 2).sum(axis=(0, 1, 2)))
    assert 0.29 < norms.max() <= 0.3 + 1e-6


def test_a_loaded_model_can_be_saved_again_pruned_further_and_released(tmp_path):
    model = sequential(constraint="non_neg")
    pruned(model)
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras"))
    sparser = global_masks(magnitude_scores(prunable(loaded)), 0.8, masks_of_zeros(loaded))
    again = keras.models.load_model(save_held(loaded, tmp_path / "sparser.keras", sparser))
    fit(again)
    assert masks_of_zeros(again) <= sparser
    inner = again.get_layer("conv").kernel_constraint.inner
    assert isinstance(inner, keras.constraints.NonNeg), "one mask, not two"
    release_held(again)
    assert isinstance(again.get_layer("conv").kernel.constraint, keras.constraints.NonNeg)
    assert again.get_layer("dense").kernel.constraint is None
    fit(again)
    assert masks_of_zeros(again).num_kept > sparser.num_kept
    again.save(tmp_path / "plain.keras")
    plain = keras.models.load_model(tmp_path / "plain.keras")
    assert plain.get_layer("dense").kernel_constraint is None


def test_hold_works_on_top_of_what_a_file_holds(tmp_path):
    model = sequential()
    first = pruned(model)
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras"))
    sparser = global_masks(magnitude_scores(prunable(loaded)), 0.8, masks_of_zeros(loaded))
    with hold(loaded, sparser):
        fit(loaded)
        assert masks_of_zeros(loaded) <= sparser
    fit(loaded)
    assert sparser.num_kept < masks_of_zeros(loaded).num_kept <= first.num_kept


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_masks_of_low_precision_kernels(policy, tmp_path):
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Flatten(), L.Dense(2, dtype=policy)])
    pruned(compiled(model, run_eagerly=False))
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras"))
    before = masks_of_zeros(loaded)
    fit(loaded)
    assert masks_of_zeros(loaded) == before


def test_models_of_this_package_hold_by_their_files(tmp_path):
    model = tt.models.build("linear-ae", (8, 8, 1))
    masks = global_masks(magnitude_scores(prunable(model)), 0.5)
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras", masks))
    assert all(isinstance(kernel.constraint, FixedMask) for kernel in prunable(loaded))


def test_a_mask_takes_a_bit_for_each_weight_or_less():
    mask = RANDOM.random((300, 200)) < 0.5
    config = FixedMask(mask).get_config()
    assert len(config["mask"]) < 1.01 * mask.size / 8 * 4 / 3, "base64 makes 4 bytes of 3"
    again = FixedMask.from_config(config)
    np.testing.assert_array_equal(again.mask.numpy(), mask)


def attention():
    inputs = keras.Input((6, 8))
    attended = L.MultiHeadAttention(2, 4, name="attention")(inputs, inputs)
    return keras.Model(inputs, L.Dense(2, name="dense")(attended))


def test_what_a_file_cannot_hold_is_named_and_nothing_is_left_behind(tmp_path):
    path = tmp_path / "held.keras"
    model = attention()
    masks = global_masks(magnitude_scores(prunable(model)), 0.5)
    with pytest.raises(SettingError, match="attention/query_dense/kernel cannot be held by a file"):
        save_held(model, path, masks)
    assert masks_of_zeros(model).sparsity == 0, "what was refused changed nothing"
    with pytest.raises(SettingError, match="attention/query_dense/kernel cannot be held by a file"):
        save_held(model, path)
    assert not any(isinstance(v.constraint, FixedMask) for v in model.variables)
    assert model.get_layer("dense").kernel_constraint is None
    with pytest.raises(SettingError, match=r"^conv/kernel cannot be held by a file"):
        save_held(subclassed(), path)
    rest = masks_of_zeros(model, lambda kernel: "attention" not in kernel.path)
    assert (
        keras.models.load_model(save_held(model, path, rest)).get_layer("dense").kernel_constraint
    )


def test_settings_that_cannot_work_are_named(tmp_path):
    model = sequential()
    with pytest.raises(SettingError, match=r"must end in \.keras"):
        save_held(model, tmp_path / "held.h5")
    with pytest.raises(SettingError, match="no variable other/kernel"):
        save_held(model, tmp_path / "held.keras", Masks({"other/kernel": np.ones(3, bool)}))
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="Cannot write"):
        save_held(model, tmp_path / "file" / "held.keras")


def test_only_whole_files_are_left_behind(tmp_path, monkeypatch):
    model = sequential()
    path = save_held(model, tmp_path / "new" / "held.keras")
    before = path.read_bytes()

    def break_off(file):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model, "save", break_off)
    with pytest.raises(FileError, match="No space left on device"):
        save_held(model, path)
    assert os.listdir(path.parent) == ["held.keras"] and path.read_bytes() == before


def test_a_slim_model_is_told_to_release_the_masks_of_the_wide_one(tmp_path):
    images = x = keras.Input((8, 8, 3))
    x = L.BatchNormalization(name="norm")(L.Conv2D(8, 3, name="conv")(x))
    model = compiled(keras.Model(images, L.Dense(2)(L.GlobalAveragePooling2D()(L.ReLU()(x)))))
    fit(model)
    loaded = keras.models.load_model(save_held(model, tmp_path / "held.keras"))
    loaded.get_layer("norm").gamma.assign(np.arange(8))
    small = tt.slim(loaded, tt.channel_masks(loaded, 0.5))
    with pytest.raises(SettingError, match="release_held"):
        fit(small)
    release_held(small)
    fit(small)
