"""The fraction of channels whose slim model has lost a fraction of the weights."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_tickets as tt
from tf_tickets.channels.equal_sparsity import channel_sparsity_for
from tf_tickets.pruning.prunable import num_values


def network(width, shuffle=0):
    """Return three convolutions of a width, whose scales are drawn from a seed."""
    x = inputs = keras.Input((4, 4, 2))
    for number in range(3):
        x = layers.Conv2D(width, 3, name=f"conv{number}", use_bias=False)(layers.ZeroPadding2D()(x))
        x = layers.BatchNormalization(name=f"bn{number}")(x)
    model = keras.Model(inputs, layers.Conv2D(1, 1, name="last")(x), name="network")
    rng = np.random.default_rng(shuffle)
    for number in range(3):
        model.get_layer(f"bn{number}").gamma.assign(rng.random(width))
    return model


def lost(model, channel_sparsity, pool="layer"):
    slimmed = tt.slim(model, tt.channel_masks(model, channel_sparsity, pool=pool))
    sizes = [num_values(tt.prunable(each)) for each in (model, slimmed)]
    return 1 - sizes[1] / sizes[0]


def gone(width, kept):
    """Return the fraction of the weights that is gone if each layer keeps so many channels."""
    sizes = [9 * (2 * number + 2 * number**2) + number for number in (width, kept)]
    return 1 - sizes[1] / sizes[0]


def test_by_hand():
    """Of 100 channels a layer the inner kernels go by the square of what is kept."""
    model = network(100)
    found = channel_sparsity_for(model, gone(100, 60))
    assert found == pytest.approx(0.4, abs=0.005)
    assert lost(model, found) == pytest.approx(gone(100, 60), abs=1e-12)


def test_it_comes_as_near_as_whole_channels_can():
    model = network(12)
    for weight_sparsity in (0.0, 0.2, 0.488, 0.79, 0.93):
        kept = 12 - round(12 * channel_sparsity_for(model, weight_sparsity))
        distances = {k: abs(gone(12, k) - weight_sparsity) for k in range(1, 13)}
        assert kept == min(distances, key=distances.get), weight_sparsity


def test_it_follows_from_the_widths_alone_and_leaves_the_model_as_it_is():
    first, second = network(12), network(12, shuffle=1)
    before = [value.copy() for value in first.get_weights()]
    assert channel_sparsity_for(first, 0.6) == channel_sparsity_for(second, 0.6)
    assert all(map(np.array_equal, before, first.get_weights()))


@pytest.mark.parametrize("name", ["resnet-vae", "dcgan-shared"])
def test_the_networks_of_the_papers(name):
    model = tt.models.build(name, (16, 16, 1), width=8)
    found = channel_sparsity_for(model, 0.5, whole_groups=True)
    slimmed = tt.slim(model, tt.channel_masks(model, found, True, pool="layer"))
    sizes = [num_values(tt.prunable(each)) for each in (model, slimmed)]
    assert 1 - sizes[1] / sizes[0] == pytest.approx(0.5, abs=0.05)


def test_what_no_model_can_lose_is_all_but_a_channel_of_each_layer():
    model = network(4)
    assert lost(model, channel_sparsity_for(model, 0.999)) == lost(model, 0.75)


def test_widths_that_are_rounded_up_count_as_they_are():
    model = network(12)
    found = channel_sparsity_for(model, 0.6, round_to=4)
    slimmed = tt.slim(model, tt.channel_masks(model, found, pool="layer"), round_to=4)
    assert slimmed.get_layer("conv1").filters == 8


def test_a_sparsity_that_cannot_be_is_refused():
    with pytest.raises(tt.SettingError, match=r"`weight_sparsity` must be in \[0, 1\)"):
        channel_sparsity_for(network(4), 1.0)
