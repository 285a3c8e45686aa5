"""What channel masks remove of a model's weights, and channels that are gone already."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_tickets as tt
from tests.channels.test_ranking import network, set_scales


def test_channels_whose_scale_and_shift_are_zero_are_found():
    model = network(3, 2)
    assert tt.channel_masks_of_zeros(model) == tt.Masks({})
    set_scales(model, [0, 1, 0])
    model.get_layer("bn0").beta.assign([0, 0, 1])
    masks = tt.channel_masks_of_zeros(model)
    assert {path: mask.tolist() for path, mask in masks.items()} == {
        "bn0/gamma": [False, True, True],
        "bn1/gamma": [True, True],
    }


def test_channels_that_begin_at_zero_are_not_among_them():
    model = network(3, 2)
    set_scales(model, [0, 0, 0])
    assert tt.channel_masks_of_zeros(model) == tt.Masks({})
    set_scales(model, [0, 0, 0], [0, 1])
    masks = tt.channel_masks_of_zeros(model)
    assert [mask.tolist() for mask in masks.values()] == [[True, True, True], [False, True]]


def test_channel_masks_come_back_from_what_was_held_to_them():
    model = network(4, 4)
    set_scales(model, [0.1, 0.4, 0.2, 0.3], [4, 1, 2, 3])
    masks = tt.channel_masks(model, 0.5)
    with tt.hold(model, tt.weight_masks(model, masks)):
        assert tt.channel_masks_of_zeros(model) == masks


def test_weight_masks_remove_a_channel_everywhere():
    model = network(2, 1)
    masks = tt.Masks({"bn0/gamma": np.array([True, False])})
    found = tt.weight_masks(model, masks)
    assert set(found) == {
        *("conv0/kernel", "conv0/bias", "bn0/gamma", "bn0/beta"),
        "conv1/kernel",
    }
    assert found["conv0/kernel"].reshape(2, 2).tolist() == [[True, False]] * 2
    assert found["conv1/kernel"].reshape(2, 1).tolist() == [[True], [False]]


def test_weight_masks_take_only_scale_and_shift_where_the_channel_stays():
    model = network(2, 2, residual=True)
    found = tt.weight_masks(model, tt.Masks({"bn0/gamma": np.array([True, False])}))
    assert set(found) == {"bn0/gamma", "bn0/beta"}


def test_weight_masks_take_scale_and_shift_of_a_frozen_normalisation_too():
    model = network(2, 1)
    model.get_layer("bn0").trainable = False
    found = tt.weight_masks(model, tt.Masks({"bn0/gamma": np.array([True, False])}))
    assert found["bn0/gamma"].tolist() == found["bn0/beta"].tolist() == [True, False]
    with tt.hold(model, found):
        assert model.get_layer("bn0").gamma.numpy().tolist() == [1, 0]


def without_scales(*widths, **norm):
    """Return convolutions with normalisations that have no scale, or none if `norm` is None."""
    x = inputs = keras.Input((4, 4, 2))
    for number, width in enumerate(widths):
        x = layers.Conv2D(width, 1, name=f"conv{number}")(x)
        if norm:
            x = layers.BatchNormalization(scale=False, name=f"bn{number}", **norm)(x)
        x = layers.ReLU()(x)
    return keras.Model(inputs, layers.Conv2D(1, 1, name="last")(x), name="network")


def test_masked_filters_take_their_biases_and_what_is_behind_them():
    model = without_scales(2, center=True)
    found = tt.weight_masks(model, tt.Masks({"conv0/kernel": np.array([True, False])}))
    assert set(found) == {
        *("conv0/kernel", "conv0/bias", "bn0/beta", "bn0/moving_mean"),
        "last/kernel",
    }
    assert found["conv0/kernel"].reshape(2, 2).tolist() == [[True, False]] * 2
    assert found["bn0/moving_mean"].tolist() == [True, False]
    assert found["last/kernel"].reshape(2, 1).tolist() == [[True], [False]]


def test_a_filter_that_cannot_go_is_masked_with_its_bias_alone():
    model = network(2, 2, residual=True)
    found = tt.weight_masks(model, tt.Masks({"conv0/kernel": np.array([True, False])}))
    assert set(found) == {"conv0/kernel", "conv0/bias"}


@pytest.mark.parametrize("frozen", [False, True])
def test_a_channel_of_frozen_layers_is_zero_too(frozen):
    model = without_scales(2, center=True)
    for layer in model.layers:
        layer.trainable = not frozen
    found = tt.weight_masks(model, tt.Masks({"conv0/kernel": np.array([True, False])}))
    decides = {"conv0/kernel", "conv0/bias", "bn0/beta", "bn0/moving_mean"}
    assert decides <= set(found)
    assert ("last/kernel" in found) == (not frozen)


def test_filters_that_are_zero_are_found_with_all_behind_them():
    model = without_scales(3, 2, center=True)
    masks = tt.Masks({"conv0/kernel": np.array([True, False, True])})
    with tt.hold(model, tt.weight_masks(model, masks)):
        assert tt.channel_masks_of_zeros(model) == masks
    model.get_layer("bn0").beta.assign([0, 0.1, 0])
    assert tt.channel_masks_of_zeros(model) == tt.Masks({})


def test_filters_that_begin_at_zero_are_not_among_them():
    model = without_scales(3, 2)
    model.get_layer("conv0").kernel.assign(np.zeros((1, 1, 2, 3)))
    assert tt.channel_masks_of_zeros(model) == tt.Masks({})
