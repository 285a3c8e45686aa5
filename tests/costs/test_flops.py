import dataclasses
import json
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tests.quick import slow_but
from tf_tickets.costs import counter
from tf_tickets.costs.flops import count_flops, training_flops
from tf_tickets.errors import SettingError
from tf_tickets.lab import models
from tf_tickets.pruning.prunable import prunable


@pytest.fixture(autouse=True)
def float32_after_each_test():
    yield
    keras.mixed_precision.set_global_policy("float32")


def network(shape, *parts):
    return keras.Sequential([keras.Input(shape), *parts])


# One layer each: its input, and its FLOPs as 2 * kernel * places + outputs, by hand.
BY_HAND = {
    "dense": (layers.Dense(7), (9,), 2 * 9 * 7 + 7),
    "dense over an axis": (layers.Dense(7), (5, 9), 2 * 9 * 7 * 5 + 5 * 7),
    "dense without a bias": (layers.Dense(7, use_bias=False), (9,), 2 * 9 * 7),
    "conv": (layers.Conv2D(5, 3), (9, 8, 3), 2 * 9 * 3 * 5 * (7 * 6) + 7 * 6 * 5),
    "strides": (
        layers.Conv2D(5, (3, 2), 2, padding="same"),
        (9, 8, 3),
        2 * 6 * 3 * 5 * (5 * 4) + 5 * 4 * 5,
    ),
    "dilation": (layers.Conv2D(5, 3, dilation_rate=2), (9, 8, 3), 270 * (5 * 4) + 100),
    "groups": (layers.Conv2D(6, 3, groups=2), (9, 8, 4), 2 * 9 * 2 * 6 * (7 * 6) + 7 * 6 * 6),
    "channels first": (
        layers.Conv2D(5, 3, data_format="channels_first"),
        (3, 9, 8),
        270 * (7 * 6) + 7 * 6 * 5,
    ),
    "conv 1d": (layers.Conv1D(7, 3, padding="causal"), (9, 3), 2 * 3 * 3 * 7 * 9 + 9 * 7),
    "conv 3d": (layers.Conv3D(7, 3), (9, 8, 7, 3), 2 * 27 * 3 * 7 * (7 * 6 * 5) + 210 * 7),
    "transposed same": (
        layers.Conv2DTranspose(5, 4, 2, padding="same"),
        (4, 5, 3),
        2 * 16 * 3 * 5 * (4 * 5) + 8 * 10 * 5,
    ),
    "transposed valid": (
        layers.Conv2DTranspose(5, 4, 2),
        (4, 5, 3),
        2 * 16 * 3 * 5 * (4 * 5) + 10 * 12 * 5,
    ),
    "transposed, channels first": (
        layers.Conv2DTranspose(5, 4, 2, padding="same", data_format="channels_first"),
        (3, 4, 5),
        480 * (4 * 5) + 8 * 10 * 5,
    ),
    "transposed 1d": (layers.Conv1DTranspose(7, 3, 2), (9, 3), 2 * 3 * 3 * 7 * 9 + 19 * 7),
    "transposed 3d": (
        layers.Conv3DTranspose(7, 3, 2),
        (3, 3, 3, 2),
        2 * 27 * 2 * 7 * 27 + 7**3 * 7,
    ),
    "depthwise": (
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        (9, 8, 3),
        2 * 9 * 3 * 2 * (7 * 6) + 7 * 6 * 6,
    ),
    "depthwise 1d": (layers.DepthwiseConv1D(3), (9, 4), 2 * 3 * 4 * 7 + 7 * 4),
    "separable": (
        layers.SeparableConv2D(7, 3, depth_multiplier=2),
        (9, 8, 3),
        2 * 9 * 3 * 2 * (7 * 6) + 2 * 6 * 7 * (7 * 6) + 7 * 6 * 7,
    ),
    "separable 1d": (
        layers.SeparableConv1D(7, 3, 2),
        (9, 3),
        2 * 3 * 3 * 4 + 2 * 3 * 7 * 4 + 4 * 7,
    ),
    "einsum": (
        layers.EinsumDense("abc,cde->abde", (None, 4, 5), bias_axes="de"),
        (6, 3),
        2 * 3 * 4 * 5 * 6 + 6 * 4 * 5,
    ),
    "einsum of groups": (layers.EinsumDense("...gi,gio->...go", (3, 5)), (6, 3, 2), 2 * 30 * 6),
    "batch norm": (layers.BatchNormalization(), (5, 9, 3), 2 * 5 * 9 * 3),
    "spectral": (models.SpectralConv2D(5, 3), (9, 8, 3), 270 * (7 * 6) + 7 * 6 * 5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_a_layer_takes_what_is_worked_out_by_hand(name):
    layer, shape, expected = BY_HAND[name]
    layer = type(layer).from_config(layer.get_config())
    count = count_flops(network(shape, layer))
    (row,) = count.layers
    assert (row.forward, row.sparse_ideal) == (expected, expected)
    # The first layer's weights have a gradient, its input needs none.
    assert (row.backward, row.kind) == (expected, type(layer).__name__)
    assert count.uncounted == ()


def attended(query, value, *mask, **options):
    """Return a model of one attention, 2 heads of sizes 4 and 3, whose output has 5 channels."""
    inputs = [keras.Input(shape) for shape in (query, value, *mask)]
    options = {"value_dim": 3, "output_shape": 5, "name": "attention", **options}
    attention = layers.MultiHeadAttention(2, 4, **options)
    masks = {"attention_mask": inputs[2]} if mask else {}
    return keras.Model(inputs, attention(inputs[0], value=inputs[1], **masks), name="net")


def test_attention_takes_four_dense_layers_and_two_products():
    """Of 6 queries of 7 channels and 5 values of 8, by hand; the mask is free."""
    count = count_flops(attended((6, 7), (5, 8), (6, 5)))
    expected = {
        "net/attention/query": 6 * (2 * 7 * 8 + 8),
        "net/attention/value": 5 * (2 * 8 * 6 + 6),
        "net/attention/key": 5 * (2 * 8 * 8 + 8),
        "net/attention": 2 * 6 * 5 * 2 * (4 + 3),
        "net/attention/attention_output": 6 * (2 * 6 * 5 + 5),
    }
    assert {row.path: row.forward for row in count.layers} == expected
    # The inputs need no gradient, the products one for each operand.
    assert [row.backward / row.forward for row in count.layers] == [1, 1, 1, 2, 2]
    assert count.uncounted == ()


def test_attention_along_some_axes_pairs_up_the_others():
    rows = count_flops(attended((9, 6, 7), (9, 5, 8), attention_axes=2)).layers
    products = {row.path: row.forward for row in rows}["net/attention"]
    assert products == 9 * (2 * 6 * 5 * 2 * (4 + 3))
    rows = count_flops(attended((9, 6, 7), (9, 5, 8))).layers
    products = {row.path: row.forward for row in rows}["net/attention"]
    assert products == 2 * (9 * 6) * (9 * 5) * 2 * (4 + 3)


def test_pruned_attention_would_ideally_take_less():
    model = attended((6, 7), (5, 8), use_bias=False)
    kernel = model.get_layer("attention").query_dense.kernel
    count = count_flops(model, density={kernel.path: 0.25})
    assert count.forward - count.sparse_ideal == 0.75 * 6 * 2 * 7 * 8


def test_attention_of_a_subclassed_model_is_counted_as_built():
    class Attends(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = layers.MultiHeadAttention(2, 4)

        def call(self, inputs):
            return self.attention(inputs, inputs)

    model, inputs = Attends(), keras.Input((6, 7))
    model(keras.ops.ones((3, 6, 7)))
    graph = keras.Model(inputs, layers.MultiHeadAttention(2, 4)(inputs, inputs))
    assert count_flops(model).forward == count_flops(graph).forward > 0


def test_attention_with_a_gate_is_named():
    try:
        model = attended((6, 7), (5, 8), use_gate=True)
    except (TypeError, ValueError):
        pytest.skip("this Keras has no gates")
    assert count_flops(model).uncounted == ("net/attention",)


def test_the_rest_is_free():
    free = [layers.ReLU(), layers.MaxPooling2D(), layers.UpSampling2D(), layers.Dropout(0.5)]
    count = count_flops(network((4, 4, 2), *free, layers.Flatten(), layers.Softmax()))
    assert (count.layers, count.forward, count.uncounted) == ((), 0, ())


def test_gradients_are_counted_where_training_needs_them():
    """Dense 4-4-4-4 without biases: 32 FLOPs a layer, forward or for one gradient."""

    def backward(trainable):
        dense = [layers.Dense(4, use_bias=False, trainable=each) for each in trainable]
        return [row.backward for row in count_flops(network((4,), *dense)).layers]

    assert backward([True, True, True]) == [32, 64, 64]
    assert backward([False, True, True]) == [0, 32, 64]
    assert backward([True, False, True]) == [32, 32, 64]
    assert backward([False, False, False]) == [0, 0, 0]


def test_both_first_layers_of_a_residual_block_need_no_gradient_of_the_image():
    images = keras.Input((4, 4, 1))
    main = layers.Conv2D(2, 3, padding="same", use_bias=False)(layers.ReLU()(images))
    main = layers.Conv2D(2, 1, use_bias=False)(main)
    short = layers.Conv2D(2, 1, use_bias=False)(images)
    rows = count_flops(keras.Model(images, layers.Add()([main, short]))).layers
    shares = sorted((row.forward, row.backward / row.forward) for row in rows)
    assert shares == [(64, 1), (128, 2), (576, 1)]


def test_each_call_of_a_shared_layer_and_of_a_shared_network_counts():
    dense = layers.Dense(4, use_bias=False, name="dense")
    inputs = keras.Input((4,))
    twice = keras.Model(inputs, dense(dense(inputs)), name="twice")
    outside = keras.Input((4,))
    model = keras.Model(outside, twice(twice(dense(outside))), name="model")
    count = count_flops(model, batch_size=3)
    assert [row.path for row in count.layers] == ["model/dense"] + ["model/twice/dense"] * 4
    assert [row.backward for row in count.layers] == [32, 64, 64, 64, 64]
    assert (count.forward, count.backward) == (3 * 5 * 32, 3 * 9 * 32)


def test_a_nested_network_does_not_learn_for_its_input_unless_something_before_it_does():
    def rows(frozen):
        inner = network((4,), layers.Dense(4, use_bias=False), layers.Dense(4, use_bias=False))
        before = layers.Dense(4, use_bias=False, trainable=not frozen)
        return [row.backward for row in count_flops(network((4,), before, inner)).layers]

    assert rows(frozen=False) == [32, 64, 64]
    assert rows(frozen=True) == [0, 32, 64]


def test_several_inputs_are_told_apart():
    """Only the first input of the nested network comes from something that learns."""
    inputs = [keras.Input((4,)), keras.Input((4,))]
    dense = [layers.Dense(4, use_bias=False) for _ in inputs]
    outputs = layers.Add()([each(x) for each, x in zip(dense, inputs, strict=True)])
    inner = keras.Model(inputs, outputs)
    outside = keras.Input((4,))
    outputs = inner([layers.Dense(4, use_bias=False)(outside), outside])
    rows = count_flops(keras.Model(outside, outputs)).layers
    assert sorted(row.backward for row in rows) == [32, 32, 64]


class Subclassed(keras.Model):
    """Two networks, a layer and weights of its own, as a user's model may hold them."""

    def __init__(self):
        super().__init__()
        self.body = network((4,), layers.Dense(3, use_bias=False))
        self.head = layers.Dense(2, name="head")
        self.norm = layers.LayerNormalization(name="norm")
        self.scale = self.add_weight(shape=(), name="scale")

    def call(self, inputs):
        return self.scale * self.norm(self.head(self.body(inputs)))


def test_a_subclassed_model_is_counted_at_the_inputs_it_was_built_for():
    model = Subclassed()
    with pytest.raises(SettingError, match=r"subclassed is not built.*Call it once"):
        count_flops(model)
    model(keras.ops.ones((1, 4)))
    count = count_flops(model)
    assert [row.forward for row in count.layers] == [2 * 4 * 3, 2 * 3 * 2 + 2]
    assert [row.backward for row in count.layers] == [2 * 24, 2 * 14]
    assert count.uncounted == (f"{model.name}/norm", "scale")


def test_a_subclassed_model_within_a_graph_is_counted_too():
    inner = Subclassed()
    inputs = keras.Input((4,))
    count = count_flops(keras.Model(inputs, inner(layers.Dense(4)(inputs)), name="model"))
    assert [row.forward for row in count.layers] == [36, 24, 14]
    assert count.uncounted == ("model/subclassed/norm", "subclassed/scale")


def test_what_holds_weights_of_an_unknown_kind_is_named():
    parts = [layers.PReLU(name="prelu"), layers.LSTM(2, name="steps")]
    count = count_flops(keras.Sequential([keras.Input((3, 4)), *parts], name="net"))
    assert (count.layers, count.uncounted) == ((), ("net/prelu", "net/steps"))


def test_a_network_called_at_another_size_than_its_own_is_named():
    inputs = keras.Input((None, None, 3))
    inner = keras.Model(inputs, layers.Conv2D(2, 3)(inputs), name="inner")
    count = count_flops(keras.Sequential([keras.Input((8, 8, 3)), inner], name="net"))
    assert (count.layers, count.uncounted) == ((), ("net/inner",))


def test_an_unknown_size_is_refused():
    model = network((None, None, 3), layers.Conv2D(2, 3, name="conv"))
    with pytest.raises(SettingError, match=r"/conv has .*None.* `keras.Input` of a fixed shape"):
        count_flops(model)


def test_masks_change_nothing_but_the_ideal():
    """Half of the first kernel and none of the second; biases and the norm stay."""
    first, second = layers.Conv2D(4, 1, use_bias=False), layers.SeparableConv2D(4, 3)
    model = network((4, 4, 2), first, layers.BatchNormalization(), second)
    dense = count_flops(model)
    density = {first.kernel.path: 0.5, second.depthwise_kernel.path: 0.0}
    count = count_flops(model, batch_size=2, density=density)
    ideal = [256 // 2, 128, 2 * 4 * 4 * 4 + 4 * 4]
    assert [row.sparse_ideal for row in count.layers] == ideal
    assert (count.forward, count.backward) == (2 * dense.forward, 2 * dense.backward)
    assert count.sparse_ideal == 2 * sum(ideal)
    assert dense.sparse_ideal == dense.forward


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be at least 1. Received: batch_size=0"),
        ({"density": {"net/dense/kernel": 90}}, r"in \[0, 1\], .* 90 for dense/kernel"),
        ({"density": {"net/dense/kernel": math.nan}}, "Received: nan"),
        ({"density": {"no/kernel": 0.5}}, "names 'no/kernel', which is no variable of net"),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    with pytest.raises(SettingError, match=message):
        parts = [keras.Input((3,)), layers.Dense(2, name="dense")]
        count_flops(keras.Sequential(parts, name="net"), **options)


def test_a_count_adds_up_and_goes_into_json():
    model = models.build("vae", (8, 8, 1), width=2)
    count = count_flops(model, batch_size=5)
    assert set(count.forward_by_component) == {"encoder", "decoder"}
    assert set(count.forward_by_kind) == {"Conv2D", "Conv2DTranspose", "BatchNormalization"}
    assert sum(count.forward_by_component.values()) == count.forward
    assert sum(count.forward_by_kind.values()) == count.forward
    written = json.loads(json.dumps(count.as_dict()))
    assert written["layers"] == [dataclasses.asdict(row) for row in count.layers]
    assert (written["forward"], written["uncounted"]) == (count.forward, [])


def test_precision_leaves_the_count_equal():
    expected = count_flops(models.build("dcgan", (8, 8, 1), width=2)).layers
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    assert count_flops(models.build("dcgan", (8, 8, 1), width=2)).layers == expected


# TensorFlow's own count

GANS = [name for name in models.MODELS if "gan" in name]


def small(name, **options):
    """Return a model of 16 x 16 pixels that is quick to trace."""
    if name != "linear-ae":
        options["width"] = 4
    return models.build(name, (16, 16, 6 if name == "cyclegan" else 3), **options)


def without_kernels(model):
    """Return a count whose `sparse_ideal` is what biases and batch normalisation take."""
    return count_flops(model, density=dict.fromkeys(prunable(model).names, 0))


def profile(part, batch_size):
    """Return pairs of an operation of a network's forward pass and its FLOPs by the profiler."""
    shape = (batch_size, *part.input_shape[1:])
    forward = tf.function(lambda x: part(x, training=False), jit_compile=False)
    graph = forward.get_concrete_function(tf.TensorSpec(shape)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder(
        tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    ).with_empty_output()
    todo = [tf.compat.v1.profiler.profile(graph, cmd="scope", options=options.build())]
    while todo:
        node = todo.pop()
        todo.extend(node.children)
        if node.float_ops:
            yield graph.get_operation_by_name(node.name), node.float_ops


def of_transposed_convolution(operation, profiled):
    """Return what a transposed convolution takes, given what the profiler says.

    The profiler divides the places of the output by the strides. These are the places of the
    input with "same" padding; without, the kernel's overhang makes the output larger than that.
    """
    _, height, width, _ = operation.inputs[2].shape
    _, out_height, out_width, _ = operation.outputs[0].shape
    _, stride, _, _ = operation.get_attr("strides")
    return profiled * height * width * stride**2 / (out_height * out_width)


def is_bias(operation):
    """Say whether an operation adds biases; Keras adds a single one as it does anything else."""
    single = operation.type == "AddV2" and operation.inputs[1].shape == (1, 1, 1, 1)
    return single or operation.type == "BiasAdd"


@pytest.mark.parametrize("name", models.MODELS)
def test_the_forward_pass_agrees_with_the_profiler(name):
    """Kernels one by one, biases together.

    Not compared: normalisation, which the profiler does not count where it is fused; and products
    of matrices in networks without a dense layer, which are spectral norms.
    """
    model = small(name)
    batch_size = 3  # for one image, the sum of a residual block that ends in 1 x 1 is a BiasAdd
    norms = {"BatchNormalization", "GroupNormalization"}
    rows = [row for row in without_kernels(model).layers if row.kind not in norms]
    for component, part in model.components.items():
        here = [row for row in rows if row.component == component]
        products = {"Conv2D", "MatMul"} if "Dense" in {row.kind for row in here} else {"Conv2D"}
        kernels, biases = [], 0
        for operation, number in profile(part, batch_size):
            if is_bias(operation):
                biases += number
            elif operation.type == "Conv2DBackpropInput":
                kernels.append(of_transposed_convolution(operation, number))
            elif operation.type in products:
                kernels.append(number)
        ours = [batch_size * (row.forward - row.sparse_ideal) for row in here]
        assert sorted(kernels) == sorted(ours)
        assert biases == batch_size * sum(row.sparse_ideal for row in here)


def test_batch_normalisation_agrees_with_the_profiler_where_it_is_not_fused():
    """Two operations for each number; the others are on vectors of one number per channel."""
    model = network((5, 9, 3), layers.BatchNormalization())
    per_element = [number for _, number in profile(model, 1) if number >= 5 * 9 * 3]
    assert sum(per_element) == count_flops(model).forward


def kernel_and_places(operation):
    """Return the shapes of a convolution's kernel and output, forward or for a gradient."""
    inputs, (output,) = operation.inputs, operation.outputs
    return {
        "Conv2D": lambda: (inputs[1].shape, output.shape),
        "Conv2DBackpropInput": lambda: (inputs[1].shape, inputs[2].shape),
        "Conv2DBackpropFilter": lambda: (output.shape, inputs[2].shape),
    }[operation.type]()


def step_operations(model, images_per_step):
    """Return the operations of a training step that anything depends on."""
    # Run eagerly, the discriminator's update is traced in line, not as a function within.
    num_optimizers = 2 if "generator" in model.components else 1
    model.compile(*["sgd"] * num_optimizers, run_eagerly=True)
    step = tf.function(model.train_step, jit_compile=False)
    graph = step.get_concrete_function(tf.TensorSpec((images_per_step, 16, 16, 3))).graph
    todo = [*graph.control_outputs, *(tensor.op for tensor in graph.outputs)]
    seen = set()
    while todo:
        operation = todo.pop()
        if operation not in seen:
            seen.add(operation)
            todo += [*operation.control_inputs, *(tensor.op for tensor in operation.inputs)]
    assert not any("PartitionedCall" in operation.type for operation in seen)
    return seen


def step_flops(model, images_per_step, with_dense):
    total = 0
    for operation in step_operations(model, images_per_step):
        if operation.type.startswith("Conv2D"):
            kernel, outputs = kernel_and_places(operation)
            total += 2 * math.prod(kernel) * math.prod(outputs[:-1])
        elif operation.type == "MatMul" and with_dense:
            transposed = operation.get_attr("transpose_a")
            shared = operation.inputs[0].shape[0 if transposed else 1]
            total += 2 * math.prod(operation.outputs[0].shape) * shared
    return total


@pytest.fixture
def kernels_only(monkeypatch):
    """Leave biases and batch normalisation out, whose gradients are many small operations."""
    original = counter._flops_of_weights
    monkeypatch.setattr(counter, "_flops_of_weights", lambda *args: (original(*args)[0], 0))


@pytest.mark.parametrize("name", slow_but(models.MODELS, "linear-ae", "vae", "dcgan"))
def test_a_training_step_does_what_is_counted(name, kernels_only, monkeypatch):
    """Two updates of the discriminator with the hinge loss, one with the others.

    The gradients of the Wasserstein loss do not depend on its value, so TensorFlow would skip the
    last layer's forward pass where nobody reads the loss, before the last update.
    """
    spectral = name.startswith("sngan")
    if spectral:  # its norms are products of matrices too, so those are left out on both sides
        monkeypatch.setattr(counter, "_COUNTED", (*counter._AT_OUTPUT, *counter._AT_INPUT))
    gan = name in GANS
    critic_steps = 2 if spectral else 1
    model = small(name, **({"critic_steps": critic_steps} if gan else {}))
    operations = step_flops(model, 2 * critic_steps, with_dense=not spectral)
    assert training_flops(model, num_steps=1, batch_size=2) == operations


@pytest.mark.parametrize("name", slow_but(["wgan", "dcgan-shared", "resnet-dcgan"], "wgan"))
def test_a_gradient_penalty_takes_what_is_counted_but_for_the_ends(name, kernels_only):
    """Of its six passes, some leave out the gradient of the image or of the last layer."""
    plain = small(name, critic_steps=1)
    model = small(name, critic_steps=1, gradient_penalty=10.0)
    more = step_flops(model, 2, with_dense=True) - step_flops(plain, 2, with_dense=True)
    counted = training_flops(model, 1, 2) - training_flops(plain, 1, 2)
    assert counted == 2 * 6 * count_flops(model).forward_by_component["discriminator"]
    assert 0.9 * counted <= more <= counted


# Whole trainings


def test_a_step_is_that_of_the_papers_less_the_gradients_of_images_and_codes():
    """The convention, less a second pass of the generator and the critic's idle gradients."""
    vae = small("vae")
    count = count_flops(vae)
    first = count.layers[0].forward
    assert training_flops(vae, 7, 5) == 7 * 5 * (3 * count.forward - first)
    gan = small("wgan", critic_steps=3)
    count = count_flops(gan)
    f_g, f_d = (count.forward_by_component[name] for name in ("generator", "discriminator"))
    first_g, first_d = (
        next(row.forward for row in count.layers if row.component == name)
        for name in ("generator", "discriminator")
    )
    step = (3 + 2) * f_g + (6 * 3 + 2) * f_d - first_g - 2 * 3 * first_d
    assert training_flops(gan, 7, 5) == 7 * 5 * step


def test_a_network_of_its_own_takes_its_two_passes():
    model = network((4,), layers.Dense(3), layers.Dense(2))
    assert training_flops(model, 10, 8) == 10 * 8 * (27 + 27 + 2 * 14 + 14)


@pytest.mark.parametrize(
    ("name", "latent_dim", "discriminator", "generator"),
    [
        ("dcgan-table2", 16, 102.4, 102.6),
        ("dcgan", 100, 108.7, 103.3),
        ("sngan", 128, 108.7, 103.5),
        ("dcgan-shared", 32, 26.0, 26.0),
    ],
)
def test_the_papers_networks_take_what_was_worked_out(name, latent_dim, discriminator, generator):
    """Millions of multiplications of weights for one image of 32 x 32."""
    model = models.build(name, (32, 32, 3), latent_dim=latent_dim)
    multiplications = {"discriminator": 0, "generator": 0}
    for row in without_kernels(model).layers:
        multiplications[row.component] += (row.forward - row.sparse_ideal) / 2e6
    assert multiplications == pytest.approx(
        {"discriminator": discriminator, "generator": generator}, abs=0.05
    )


@pytest.mark.parametrize("options", [{"num_steps": -1}, {"batch_size": 0}])
def test_a_training_of_no_size_is_refused(options):
    model = network((4,), layers.Dense(3))
    with pytest.raises(SettingError, match=f"`{next(iter(options))}` must be at least"):
        training_flops(model, **{"num_steps": 1, "batch_size": 1, **options})


def gan(generator=None, discriminator=None):
    """Return a GAN as the examples of Keras write it: two networks, and no `call`."""

    class GAN(keras.Model):
        def __init__(self):
            super().__init__(name="gan")
            self.generator = generator or network((4,), layers.Dense(8, name="up"))
            self.discriminator = discriminator or network((8,), layers.Dense(1, name="down"))

    return GAN()


def test_a_model_that_is_not_to_be_called_is_counted_by_its_networks():
    model = gan()
    assert not model.built
    counted = count_flops(model, batch_size=2)
    by_hand = {"generator": 2 * 4 * 8 + 8, "discriminator": 2 * 8 + 1}
    assert counted.forward_by_component == {name: 2 * n for name, n in by_hand.items()}
    assert [row.path for row in counted.layers] == ["generator/up", "discriminator/down"]
    assert counted.uncounted == ()
    half = count_flops(model, density={"generator/up/kernel": 0.5})
    assert half.sparse_ideal == half.forward - 4 * 8


def test_a_network_that_is_made_of_others_counts_by_these():
    """As the combined model of a GauGAN, by which its generator is trained."""
    model = gan()
    codes = keras.Input((4,))
    model.combined = keras.Model(codes, model.discriminator(model.generator(codes)))
    assert count_flops(model) == count_flops(gan())


def test_a_model_that_was_trained_and_never_called_is_counted_by_its_networks():
    """As a CycleGAN, whose `call` no training step uses."""

    class Called(type(gan())):
        def call(self, codes):
            return self.discriminator(self.generator(codes))

    model = Called()
    assert not model.built
    by_network = count_flops(model).forward_by_component
    assert by_network == count_flops(gan()).forward_by_component
    model(np.ones((1, 4), "float32"))
    assert set(count_flops(model).forward_by_component) == {"gan"}


def test_a_network_that_is_not_built_is_named():
    model = gan(discriminator=keras.Sequential([layers.Dense(1)]))
    with pytest.raises(SettingError, match=r"^The discriminator of gan is not built"):
        count_flops(model)


def test_layers_beside_the_networks_of_a_model_without_call_count_too():
    model = gan()
    model.mix = layers.Dense(2)
    model.mix.build((None, 3))
    model.scale = model.add_weight(shape=(2,), name="scale")
    counted = count_flops(model)
    assert counted.forward_by_component["mix"] == 2 * 3 * 2 + 2
    assert counted.uncounted == ("scale",)


def test_wrapped_layers_count_as_what_they_wrap():
    dense, conv = 2 * 9 * 7 + 7, 2 * 9 * 3 * 5 * (7 * 6) + 7 * 6 * 5
    spectral = network((9,), layers.SpectralNormalization(layers.Dense(7)))
    assert count_flops(spectral).forward == dense
    twice = layers.TimeDistributed(layers.SpectralNormalization(layers.Dense(7)))
    for model, forward in (
        (network((4, 9), layers.TimeDistributed(layers.Dense(7))), 4 * dense),
        (network((4, 9, 8, 3), layers.TimeDistributed(layers.Conv2D(5, 3))), 4 * conv),
        (network((4, 9), twice), 4 * dense),
    ):
        counted = count_flops(model)
        assert (counted.forward, counted.backward, counted.uncounted) == (forward, forward, ())
    wrapped = network((4, 9), layers.TimeDistributed(layers.Dense(7)), layers.LSTM(2))
    assert len(count_flops(wrapped).uncounted) == 1


def test_grouped_query_attention_counts_by_hand():
    """Four heads of three ask, two answer; five places of eight numbers."""
    inputs = keras.Input((5, 8))
    attention = layers.GroupQueryAttention(3, 4, 2, use_bias=False)
    counted = count_flops(keras.Model(inputs, attention(inputs, inputs)))
    rows = {row.path.rpartition("/")[2]: row.forward for row in counted.layers}
    assert rows.pop("query") == rows.pop("attention_output") == 2 * 8 * 12 * 5
    assert rows.pop("key") == rows.pop("value") == 2 * 8 * 6 * 5
    assert list(rows.values()) == [2 * 5 * 5 * 4 * (3 + 3)]
    gated = layers.GroupQueryAttention(3, 4, 2, use_gate=True)
    assert count_flops(keras.Model(inputs, gated(inputs, inputs))).uncounted
