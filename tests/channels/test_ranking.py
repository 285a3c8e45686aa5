"""Channel masks: which scales are kept."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_tickets as tt
from tf_tickets.names import variable_names


def network(*widths, residual=False):
    """Return convolutions with normalisations named bn0, bn1, ... and a last one without."""
    inputs = keras.Input((4, 4, 2))
    x = inputs
    for number, width in enumerate(widths):
        y = layers.Conv2D(width, 1, name=f"conv{number}")(x)
        y = layers.BatchNormalization(name=f"bn{number}")(y)
        x = layers.Add()([x, y]) if residual and number else y
    return keras.Model(inputs, layers.Conv2D(1, 1, name="last")(x), name="network")


def set_scales(model, *scales):
    for number, values in enumerate(scales):
        model.get_layer(f"bn{number}").gamma.assign(values)


def test_the_smallest_scales_of_all_layers_go():
    model = network(3, 2)
    set_scales(model, [0.1, -0.9, 0.3], [0.2, 0.8])
    masks = tt.channel_masks(model, 0.6)
    assert {path: mask.tolist() for path, mask in masks.items()} == {
        "bn0/gamma": [False, True, False],
        "bn1/gamma": [False, True],
    }


def test_no_layer_is_emptied():
    model = network(3, 3)
    set_scales(model, [0.1, 0.2, 0.3], [1, 2, 3])
    masks = tt.channel_masks(model, 0.5)
    assert masks["bn0/gamma"].tolist() == [False, False, True]
    assert masks["bn1/gamma"].tolist() == [False, True, True]


def test_each_layer_by_itself_keeps_the_same_part():
    model = network(4, 4, 1)
    set_scales(model, [0.1, 0.4, 0.2, 0.3], [4, 1, 2, 3], [0.01])
    masks = tt.channel_masks(model, 0.75, pool="layer")
    assert [mask.tolist() for mask in masks.values()] == [
        [False, True, False, False],
        [True, False, False, False],
        [True],  # by itself no layer is emptied
    ]


def test_each_network_of_a_gan_by_itself():
    gan = tt.models.build("dcgan-shared", (16, 16, 3), width=4)
    for path, gamma in variable_names(gan).items():
        if gamma.name == "gamma":
            gamma.assign(gamma * (1 if path.startswith("generator") else 0.1))
    masks = tt.channel_masks(gan, 0.5, pool="component")
    for name in ("generator", "discriminator"):
        of_network = [mask for path, mask in masks.items() if path.startswith(name)]
        assert np.mean(np.concatenate(of_network)) == 0.5


@pytest.mark.parametrize("sparsity", [1.0, -0.1, 70])
def test_out_of_range_is_refused_by_layer_too(sparsity):
    with pytest.raises(tt.SettingError, match="sparsity"):
        tt.channel_masks(network(3, 3), sparsity, pool="layer")


def test_an_unknown_pool_is_refused():
    with pytest.raises(tt.SettingError, match="`pool` must be one of model, component, layer"):
        tt.channel_masks(network(3, 3), 0.5, pool="global")


def test_channels_with_several_scales_go_only_as_whole_groups_by_their_mean():
    model = network(2, 2, residual=True)
    set_scales(model, [0.1, 0.6], [0.8, 0.1])
    with pytest.raises(tt.SettingError, match="whole_groups=True"):
        tt.channel_masks(model, 0.5)
    masks = tt.channel_masks(model, 0.5, whole_groups=True)
    assert [mask.tolist() for mask in masks.values()] == [[True, False], [True, False]]


def test_a_ranking_can_be_asked_again():
    model = network(2, 2)
    ranking = tt.ChannelRanking(model)
    assert ranking.num_channels == 4
    set_scales(model, [1, 2], [3, 4])
    assert ranking.masks(0.25)["bn0/gamma"].tolist() == [False, True]
    set_scales(model, [4, 3], [2, 1])
    assert ranking.masks(0.25)["bn1/gamma"].tolist() == [True, False]


def test_both_networks_of_a_gan_are_ranked_together():
    model = tt.models.build("dcgan-table2", (32, 32, 3), width=4)
    masks = tt.channel_masks(model, 0.5)
    assert {path.split("/")[0] for path in masks} == {"generator", "discriminator"}
    assert masks.num_kept == round(0.5 * masks.size)


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


def test_a_model_without_normalisation_is_refused():
    model = tt.models.build("conv-ae", (32, 32, 3), width=2)
    with pytest.raises(tt.SettingError, match="no batch or group normalisation"):
        tt.channel_masks(model, 0.5)


def test_a_model_whose_every_channel_is_needed_is_refused_with_the_reason():
    inputs = keras.Input((4, 4, 2))
    x = layers.BatchNormalization()(layers.Conv2D(3, 1)(inputs))
    with pytest.raises(tt.SettingError, match="it is an output of the network"):
        tt.channel_masks(keras.Model(inputs, x), 0.5)


def test_a_subclassed_model_is_refused():
    class Subclassed(keras.Model):
        def __init__(self):
            super().__init__()
            self.norm = layers.BatchNormalization()

        def call(self, x):
            return self.norm(x)

    model = Subclassed()
    model(np.zeros((1, 2), "float32"))
    with pytest.raises(tt.SettingError, match="Functional or Sequential"):
        tt.channel_masks(model, 0.5)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 70])
def test_a_sparsity_out_of_range_is_refused(sparsity):
    with pytest.raises(tt.SettingError, match=r"must be in \[0, 1\)"):
        tt.channel_masks(network(4), sparsity)


def test_a_scale_that_is_not_a_number_is_refused():
    model = network(2)
    set_scales(model, [np.nan, 1])
    with pytest.raises(tt.DivergedError, match="bn0/gamma"):
        tt.channel_masks(model, 0.5)
