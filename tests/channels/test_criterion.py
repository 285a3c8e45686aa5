"""The early-bird criterion: when the masks have settled."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_tickets as tt
from tf_tickets.channels.criterion import EarlyBirdCriterion, penalised_scales


def network():
    inputs = keras.Input((2, 2, 1))
    x = layers.BatchNormalization(name="bn")(layers.Conv2D(4, 1)(inputs))
    return keras.Model(inputs, layers.Conv2D(1, 1)(x))


def criterion(model, **options):
    return EarlyBirdCriterion(tt.ChannelRanking(model), 0.5, **options)


def set_scales(model, *scales):
    model.get_layer("bn").gamma.assign(scales)


def test_it_settles_when_the_newest_is_close_to_all_of_the_last():
    model = network()
    watched = criterion(model, mask_distance=0.4, look_back=2)
    drawn = []
    for scales in ([4, 3, 2, 1], [4, 3, 2, 1], [4, 2, 3, 1], [4, 2, 3, 1], [4, 2, 3, 1]):
        set_scales(model, *scales)
        drawn.append(watched.draw())
    # Two of four channels changed places between the second and the third.
    assert watched.history == [[], [0.0], [0.5, 0.5], [0.0, 0.5], [0.0, 0.0]]
    assert drawn == [False, False, False, False, True]
    assert watched.masks["bn/gamma"].tolist() == [True, False, True, False]


def test_it_waits_until_it_can_look_back_far_enough():
    model = network()
    watched = criterion(model, look_back=3)
    set_scales(model, 4, 3, 2, 1)
    assert [watched.draw() for _ in range(5)] == [False, False, False, True, True]


def test_a_distance_of_delta_is_not_below_it():
    model = network()
    watched = criterion(model, mask_distance=0.5, look_back=1)
    for scales in ([4, 3, 2, 1], [4, 2, 3, 1]):
        set_scales(model, *scales)
        watched.draw()
    assert watched.history[-1] == [0.5] and not watched.settled


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mask_distance": 0}, "`mask_distance`"), ({"look_back": 0}, "`look_back`")],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(tt.SettingError, match=message):
        criterion(network(), **options)


def test_a_sparsity_that_empties_a_layer_is_refused_before_training():
    with pytest.raises(tt.SettingError, match="none may be emptied"):
        EarlyBirdCriterion(tt.ChannelRanking(network()), 0.99)


def test_the_penalty_is_the_sum_of_magnitudes_and_leaves_no_trace():
    model = network()
    set_scales(model, 1, -2, 3, -4)
    model.get_layer("bn").gamma.regularizer = keras.regularizers.L2(0.5)
    with penalised_scales(model, tt.ChannelRanking(model), 0.1):
        assert float(sum(model.losses)) == pytest.approx(0.1 * 10 + 0.5 * 30)
    assert float(sum(model.losses)) == pytest.approx(0.5 * 30)


def test_the_penalty_reaches_a_step_that_was_traced_before():
    model = network()
    model.compile(keras.optimizers.SGD(1.0), "mse")
    x, y = np.zeros((1, 2, 2, 1), "float32"), np.zeros((1, 2, 2, 1), "float32")
    set_scales(model, 4, 3, 2, 1)
    model.fit(x, y, verbose=0)  # constant images: the gradient of every scale is zero
    assert model.get_layer("bn").gamma.numpy().tolist() == [4, 3, 2, 1]
    with penalised_scales(model, tt.ChannelRanking(model), 0.25):
        model.fit(x, y, verbose=0)
    assert model.get_layer("bn").gamma.numpy().tolist() == [3.75, 2.75, 1.75, 0.75]
    model.fit(x, y, verbose=0)
    assert model.get_layer("bn").gamma.numpy().tolist() == [3.75, 2.75, 1.75, 0.75]


def test_a_negative_penalty_is_refused():
    model = network()
    with (
        pytest.raises(tt.SettingError, match="`scale_penalty`"),
        penalised_scales(model, tt.ChannelRanking(model), -1),
    ):
        pass
