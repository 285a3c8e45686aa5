import keras
import numpy as np
import pytest

from tf_tickets import (
    Masks,
    SettingError,
    Ticket,
    global_masks,
    magnitude_scores,
    prunable,
    take_snapshot,
    transfer_ticket,
)
from tf_tickets.lab import models
from tf_tickets.names import variable_names

L = keras.layers


def make(name, side=8, **options):
    return models.build(name, (side, side, 3), **{"width": 4, "latent_dim": 6, **options})


def ticket_of(model, scope=None, sparsity=0.6):
    """Return a ticket of a model, moving statistics included that no training has left alike."""
    random = np.random.default_rng(0)
    weights = {
        path: random.normal(size=value.shape).astype(value.dtype) if value.ndim else value
        for path, value in take_snapshot(model).items()
        if not path.startswith("random_state")
    }
    masks = global_masks(magnitude_scores(prunable(model, scope)), sparsity)
    return Ticket(masks, weights, {"seed": 3})


def bits(ticket):
    return {path: (value.dtype, value.tobytes()) for path, value in ticket.weights.items()}


@pytest.fixture(scope="module")
def vae():
    return make("vae")


@pytest.fixture(scope="module")
def gan():
    return make("dcgan-shared")


def test_there_and_back_is_the_same_ticket_bit_for_bit(vae, gan):
    ticket = ticket_of(vae)
    there = transfer_ticket(ticket, vae, gan, "decoder", "generator")
    back = transfer_ticket(there, gan, vae, "generator", "decoder")
    assert list(there.weights) == [f"generator/{name}" for name in variable_names(gan.generator)]
    assert list(there.masks) == prunable(gan, "generator").names
    assert list(back.masks) == prunable(vae, "decoder").names
    assert all(np.array_equal(mask, ticket.masks[path]) for path, mask in back.masks.items())
    assert 0 < back.masks.sparsity < 1
    whole = bits(ticket)
    assert bits(back) == {n: bits for n, bits in whole.items() if n.startswith("decoder/")}
    assert there.config == ticket.config


def test_both_networks_make_the_same_images_of_the_ticket(vae, gan):
    there = transfer_ticket(ticket_of(vae), vae, gan.generator, "decoder")
    back = transfer_ticket(there, gan.generator, vae.decoder)
    there.apply(gan.generator)
    back.apply(vae.decoder)
    # Random numbers are no variances: what a batch norm divides by has to be above zero.
    for network in (gan.generator, vae.decoder):
        for variable in network.variables:
            if variable.name == "moving_variance":
                variable.assign(keras.ops.abs(variable))
    codes = np.random.default_rng(1).normal(size=(4, 6)).astype("float32")
    images = [keras.ops.convert_to_numpy(part(codes)) for part in (gan.generator, vae.decoder)]
    np.testing.assert_array_equal(*images)
    assert np.ptp(images[0]) > 0.1


@pytest.mark.parametrize(
    ("target", "first"),
    [
        ({"name": "dcgan"}, r"decoder_conv1 .*kernel \(2, 2, .* against generator_conv1"),
        ({"name": "dcgan-shared", "width": 5}, r"decoder_conv1 .* against generator_conv1"),
        ({"name": "dcgan-shared", "latent_dim": 7}, r"decoder_reshape .* 6\].* \(.* 7\]"),
    ],
)
def test_a_mismatch_is_refused_with_the_first_layer_that_differs(vae, target, first):
    with pytest.raises(SettingError, match=f"decoder cannot .* generator.*first in {first}"):
        transfer_ticket(ticket_of(vae), vae, make(**target), "decoder", "generator")


def dense(name, widths, layer=L.Dense):
    stack = [layer(width, name=f"{name}_layer{i}") for i, width in enumerate(widths)]
    return keras.Sequential([keras.Input((4,)), *stack], name=name)


@pytest.mark.parametrize(
    ("widths", "first"),
    [
        ((5, 4), r"source_layer2 .* against no layer at all"),
        ((5, 4, 3, 2), "no layer at all against target_layer3"),
        ((5, 6, 3), r"source_layer1 \(Dense: kernel \(5, 4\), bias \(4,\)\) against target_layer1"),
    ],
)
def test_one_network_may_be_longer(widths, first):
    source = dense("source", (5, 4, 3))
    with pytest.raises(SettingError, match=f"first in {first}"):
        transfer_ticket(ticket_of(source), source, dense("target", widths))


def test_layers_of_another_kind_are_another_network():
    class Other(L.Dense):
        pass

    source = dense("source", (5, 3))
    with pytest.raises(SettingError, match=r"source_layer0 \(Dense.*target_layer0 \(Other"):
        transfer_ticket(ticket_of(source), source, dense("target", (5, 3), layer=Other))


def convolution(name, layers=(), **options):
    conv = L.Conv2D(3, 3, **{"padding": "same", "name": f"{name}_conv", **options})
    return keras.Sequential([keras.Input((4, 4, 2)), conv, *layers], name=name)


@pytest.mark.parametrize(
    ("options", "layers", "first"),
    [
        ({"strides": 2}, (), r"source_conv \(.*strides \[1, 1\]\) .* \(.*strides \[2, 2\]\)"),
        ({"padding": "valid"}, (), r"source_conv .*padding same.* against .*padding valid"),
        ({"activation": "relu"}, (), r"source_conv .*activation linear.*activation relu"),
        ({}, [L.ReLU(name="target_relu")], r"no layer at all against target_relu \(ReLU\)"),
    ],
    ids=str,
)
def test_layers_of_the_same_shapes_that_compute_otherwise_are_refused(options, layers, first):
    source = convolution("source")
    with pytest.raises(SettingError, match=f"first in {first}"):
        transfer_ticket(ticket_of(source), source, convolution("target", layers, **options))


def test_how_layers_are_started_and_computed_does_not_matter():
    source = convolution("source", activation="relu")
    options = {"kernel_initializer": "zeros", "kernel_regularizer": "l2", "dtype": "mixed_bfloat16"}
    target = convolution("target", activation="relu", **options)
    assert transfer_ticket(ticket_of(source), source, target).masks.sparsity > 0


def test_networks_in_networks_are_compared_by_their_layers():
    networks = [
        keras.Sequential([keras.Input((4,)), dense(f"{name}_inner", widths)], name=name)
        for name, widths in (("source", (5, 3)), ("target", (5, 4)))
    ]
    message = r"first in source_inner_layer1 \(.{,40}\) against target_inner_layer1 \(.{,40}\)"
    with pytest.raises(SettingError, match=message):
        transfer_ticket(ticket_of(networks[0]), *networks)


def test_a_ticket_that_prunes_nothing_of_the_part_is_refused(vae, gan):
    dense_ticket = ticket_of(vae)
    dense_ticket = Ticket(Masks.all_kept(prunable(vae)), dense_ticket.weights, {})
    for ticket in (ticket_of(vae, "encoder"), dense_ticket):
        with pytest.raises(
            SettingError, match=r"nothing of the decoder.* all of the model, or in the decoder"
        ):
            transfer_ticket(ticket, vae, gan, "decoder", "generator")


def test_a_ticket_of_another_network_is_refused(vae, gan):
    with pytest.raises(SettingError, match=r"no decoder_.*`source` is the model that it was found"):
        transfer_ticket(ticket_of(vae), vae.decoder, gan.generator)
    with pytest.raises(SettingError, match="another network than vae: it has no decoder/decoder_"):
        transfer_ticket(ticket_of(gan), vae, gan, "decoder", "generator")
