"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import keras_internals


def variables():
    """Return two variables of the same shape, and one of another."""
    return [keras.Variable(np.ones(shape)) for shape in ((2, 3), (2, 3), (4,))]


def built(optimizer, trained):
    optimizer.build(trained)
    return optimizer


def scaled(optimizer):
    return keras.optimizers.LossScaleOptimizer(optimizer)


def test_the_innermost_optimizer_is_within_a_loss_scale():
    inner = keras.optimizers.SGD()
    assert keras_internals.innermost(inner) is inner
    assert keras_internals.innermost(scaled(inner)) is inner


@pytest.mark.parametrize("around", [lambda inner: inner, scaled], ids=["plain", "loss scale"])
def test_what_an_optimizer_was_built_for_is_known_in_its_order(around):
    trained, optimizer = variables(), around(keras.optimizers.SGD())
    assert keras_internals.trained_variables(optimizer) == []
    found = keras_internals.trained_variables(built(optimizer, trained))
    assert [id(variable) for variable in found] == [id(variable) for variable in trained]


@pytest.mark.parametrize("around", [lambda inner: inner, scaled], ids=["plain", "loss scale"])
@pytest.mark.parametrize(
    ("optimizer", "num_slots"),
    [
        (lambda: keras.optimizers.SGD(), 0),
        (lambda: keras.optimizers.SGD(momentum=0.9), 1),
        (lambda: keras.optimizers.Adam(), 2),
        (lambda: keras.optimizers.Adam(amsgrad=True), 3),
        (lambda: keras.optimizers.Adam(use_ema=True), 3),
        (lambda: keras.optimizers.Adam(gradient_accumulation_steps=2), 3),
    ],
    ids=["sgd", "momentum", "adam", "amsgrad", "averages", "accumulation"],
)
def test_each_variable_has_its_own_slots(optimizer, num_slots, around):
    trained = variables()
    optimizer = built(around(optimizer()), trained)
    slots = keras_internals.slots_of(optimizer)
    assert list(slots) == [id(variable) for variable in trained]
    assert [len(slots[id(variable)]) for variable in trained] == [num_slots] * 3
    assert all(slot.shape == v.shape for v in trained for slot in slots[id(v)])
    found = {id(slot) for each in slots.values() for slot in each}
    assert len(found) == 3 * num_slots
    assert found <= {id(variable) for variable in optimizer.variables}


def test_slots_of_another_shape_are_left_out():
    (variable,) = trained = [keras.Variable(np.ones((200, 300)))]
    optimizer = built(keras.optimizers.Adafactor(), trained)
    factors = keras_internals.slots_of(optimizer)[id(variable)]
    assert all(slot.shape == (200, 300) for slot in factors)
    # Its counters are as many as the variables, and of the shape of a number.
    pair = [keras.Variable(1.0), keras.Variable(2.0)]
    assert not any(keras_internals.slots_of(built(keras.optimizers.SGD(), pair)).values())


def test_slots_of_a_variable_change_with_it_alone():
    trained = variables()
    optimizer = built(keras.optimizers.SGD(momentum=0.5), trained)
    optimizer.apply([tf.ones((2, 3)), tf.zeros((2, 3)), tf.zeros((4,))])
    slots = keras_internals.slots_of(optimizer)
    changed = [bool(np.any(slots[id(variable)][0].numpy())) for variable in trained]
    assert changed == [True, False, False]


def test_averages_are_those_of_the_variable_by_use_ema():
    trained = variables()
    averaging = keras.optimizers.SGD(use_ema=True)
    assert keras_internals.moving_averages(averaging, trained[1]) == []  # not built yet
    averaging.build(trained)
    (average,) = keras_internals.moving_averages(averaging, trained[1])
    averaging.apply([tf.zeros((2, 3)), tf.ones((2, 3)), tf.zeros((4,))])
    assert average.shape == (2, 3) and np.all(average.numpy() != 1)
    assert keras_internals.moving_averages(averaging, keras.Variable(1.0)) == []
    plain = built(keras.optimizers.SGD(), trained)
    assert keras_internals.moving_averages(plain, trained[1]) == []


def test_a_schedule_of_the_learning_rate_is_the_very_function():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert keras_internals.schedule_of(keras.optimizers.SGD(schedule)) is schedule

    def rate():
        return 0.1

    assert keras_internals.schedule_of(keras.optimizers.SGD(rate)) is rate
    assert keras_internals.schedule_of(keras.optimizers.SGD(0.1)) is None


class Unlisted(keras.optimizers.SGD):
    """An optimizer whose config does not bring it back."""

    def __init__(self, rates):
        super().__init__(rates[0], momentum=0.5)
        self.rates = rates


@pytest.mark.parametrize("around", [lambda inner: inner, scaled], ids=["plain", "loss scale"])
def test_a_copy_that_is_not_built_learns_as_the_optimizer_would(around):
    optimizer = around(Unlisted([0.1, 0.2]))
    copied = keras_internals.unbuilt_copy(optimizer)
    first, second = [keras.Variable([1.0, 2.0])], [keras.Variable([1.0, 2.0])]
    keras_internals.build_for(optimizer, first)
    keras_internals.build_for(copied, second)
    assert keras_internals.innermost(copied).rates == [0.1, 0.2]
    assert not {id(v) for v in copied.variables} & {id(v) for v in optimizer.variables}
    gradient = [tf.constant([0.5, -1.0])]
    optimizer.apply(gradient)
    assert int(optimizer.iterations) == 1 and int(copied.iterations) == 0
    assert np.all(second[0].numpy() == [1.0, 2.0])
    copied.apply(gradient)
    assert np.all(second[0].numpy() == first[0].numpy())


def test_an_optimizer_is_built_under_the_strategy_that_it_was_made_under():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        optimizer = keras.optimizers.SGD(momentum=0.5)
        variable = keras.Variable([1.0])
    keras_internals.build_for(optimizer, [variable])
    for each in optimizer.variables:
        assert isinstance(each.value, tf.distribute.DistributedValues)
