"""Every kind of network in keras.applications, at small inputs, is slimmed, pruned and exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.channels.masked_twin import answers, check_slim, in_float64, inputs_of, shake
from tf_tickets.channels.ranking import graphs_of

# The smallest inputs that they take. Left out are members of a family that are wider or deeper
# and no more, and too large for a test: ConvNeXt from Small on, EfficientNetV2M and L, NASNetLarge.
SIZES = {
    "ConvNeXtTiny": 32,
    **dict.fromkeys(("DenseNet121", "DenseNet169", "DenseNet201"), 32),
    **dict.fromkeys((f"EfficientNetB{number}" for number in range(8)), 32),
    **dict.fromkeys((f"EfficientNetV2{name}" for name in ("B0", "B1", "B2", "B3", "S")), 32),
    **dict.fromkeys(("InceptionResNetV2", "InceptionV3"), 75),
    **dict.fromkeys(("MobileNet", "MobileNetV2", "MobileNetV3Small", "MobileNetV3Large"), 32),
    "NASNetMobile": 32,
    **dict.fromkeys(("ResNet50", "ResNet101", "ResNet152"), 32),
    **dict.fromkeys(("ResNet50V2", "ResNet101V2", "ResNet152V2"), 32),
    **dict.fromkeys(("VGG16", "VGG19"), 32),
    "Xception": 71,
}
WITHOUT_SCALES = ("ConvNeXtTiny", "InceptionV3", "InceptionResNetV2", "VGG16", "VGG19")


def kinds_left_whole(name):
    """Return the kinds of layers of a network that cannot be looked into."""
    if name.startswith("ConvNeXt"):
        return {"LayerNormalization", "LayerScale", "Conv2D"}  # a convolution in groups of one
    return {"CustomScaleLayer"} if name == "InceptionResNetV2" else set()


def application(name):
    size = SIZES[name]
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), classes=10, classifier_activation=None
    )

    def clone(layer):
        config = layer.get_config()
        # Two tensors of different widths cannot drop the same values.
        rates = dict.fromkeys({"rate", "drop_path_rate"} & config.keys(), 0.0)
        return type(layer).from_config(config | rates)

    return shake(keras.models.clone_model(model, clone_function=clone))


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    keras.backend.clear_session()


@pytest.fixture
def float64():
    with in_float64():
        yield


def check(name, **options):
    """Slim at a channel sparsity of .4, and return the fraction of the parameters that is left."""
    model = application(name)
    # Four inputs, as two values in a normalisation magnify rounding.
    slimmed = check_slim(model, tt.channel_masks(model, 0.4, **options), tolerance=1e-9)
    (graph,) = graphs_of(model).values()
    kinds = {type(each).__name__ for each in model.layers if each.name in graph.kept_whole}
    assert kinds - {"Normalization"} == kinds_left_whole(name)
    report = slimmed.slim_report
    share = report.params_after / report.params_before
    print(f"{name} {options}: {report.params_before:,} -> {report.params_after:,} ({share:.3f})")
    return share


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_by_norm(name, float64):
    assert check(name, by="norm") < 0.95


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_by_scale(name, float64):
    if name in WITHOUT_SCALES:
        with pytest.raises(tt.SettingError, match="by='norm'"):
            tt.channel_masks(application(name), 0.4)
    else:
        assert check(name) < (0.65 if name.startswith("MobileNetV3") else 0.95)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV3Small", "EfficientNetB0"])
def test_whole_groups_by_norm(name, float64):
    assert check(name, by="norm", whole_groups=True) < 0.75


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_pruned_exported_and_reported(name, tmp_path):
    """One update, pruned to 80 %: a packed export answers as the model, and the report tells."""
    model = application(name)
    x = inputs_of(model)
    model.compile(keras.optimizers.SGD(1e-4), "mse", run_eagerly=True)  # no trace of one update
    pruning = tt.callbacks.PruneLowMagnitude(tt.ConstantSparsity(0.8, begin_step=1, frequency=1))
    model.fit(x, np.zeros((4, 10), "float32"), callbacks=[pruning], verbose=0)
    masks = pruning.masks
    assert masks.sparsity == pytest.approx(0.8, abs=1e-3)
    assert tt.masks_of_zeros(model) == masks

    tt.export_saved_model(model, tmp_path / "packed", weights="packed")
    size = sum(file.stat().st_size for file in (tmp_path / "packed").rglob("*") if file.is_file())
    loaded = tf.saved_model.load(str(tmp_path / "packed"))
    (received,) = loaded.signatures["serving_default"](inputs=tf.constant(x)).values()
    (expected,) = answers(model, x, training=False)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(received, expected, rtol=0, atol=1e-4 * scale)

    told = tt.report(model, measure=False)
    assert told.sparsity == pytest.approx(masks.sparsity)
    assert 0.1 < told.flops["sparse_ideal"] / told.flops["dense"] < 0.9
    print(
        f"{name}: {told.weight_bytes:,} bytes of weights, {size:,} packed "
        f"({size / told.weight_bytes:.3f}), ideal FLOPs {told.flops['sparse_ideal']:,} of "
        f"{told.flops['dense']:,}, not counted: {len(told.uncounted)}"
    )
