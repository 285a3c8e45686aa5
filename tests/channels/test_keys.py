"""What channel masks are of, and the shapes that they may have."""

import keras
import numpy as np
from keras import layers

import tf_tickets as tt
from tf_tickets.channels.keys import channel_masks_for, over_kernels, removed_channels
from tf_tickets.channels.ranking import graphs_of

KEPT = np.array([True, False, True])


def network(layer):
    inputs = keras.Input((4, 4, 2))
    x = layers.ReLU()(layer(inputs))
    return keras.Model(inputs, layers.Conv2D(1, 1)(x), name="network")


def test_masks_of_filters_spread_over_kernels_and_come_back():
    for layer, name, axis in (
        (layers.Conv2D(3, 1, name="a"), "a/kernel", -1),
        (layers.Conv2DTranspose(3, 2, name="a"), "a/kernel", -2),
        (layers.SeparableConv2D(3, 2, name="a"), "a/pointwise_kernel", -1),
        (layers.Dense(3, name="a"), "a/kernel", -1),
    ):
        model = network(layer)
        graphs = graphs_of(model).values()
        masks = tt.Masks({name: KEPT})
        spread = over_kernels(graphs, masks)
        assert spread[name].shape == tuple(tt.variable_names(model)[name].shape)
        assert np.array_equal(np.moveaxis(spread[name], axis, -1).reshape(-1, 3)[0], KEPT)
        assert channel_masks_for(model, graphs, spread) == masks


def test_a_channel_goes_by_its_scales_or_by_its_filters():
    inputs = keras.Input((4,))
    x = layers.BatchNormalization(name="bn")(layers.Dense(3, name="a")(inputs))
    model = keras.Model(inputs, layers.Dense(1)(x))
    (graph,) = graphs_of(model).values()
    for masks in ({"bn/gamma": KEPT}, {"a/kernel": KEPT}):
        (gone,) = removed_channels(graph, tt.Masks(masks))
        assert gone == graph.scales["bn/gamma"][1] == graph.kernels["a/kernel"][1]
    both = tt.Masks({"bn/gamma": KEPT, "a/kernel": ~KEPT})
    assert len(removed_channels(graph, both)) == 3
    assert len(removed_channels(graph, both, ["scales"])) == 1
