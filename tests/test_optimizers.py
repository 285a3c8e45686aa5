import types

import keras
import pytest

from tf_tickets.optimizers import UpdateCounter, nested_optimizers


def sgd(num_updates=0):
    optimizer = keras.optimizers.SGD()
    optimizer.build([keras.Variable([1.0])])
    optimizer.iterations.assign(num_updates)
    return optimizer


def after(optimizers, *updates):
    """Return what is counted at first, and after each batch of so many updates by each."""
    count = UpdateCounter(types.SimpleNamespace(optimizers=optimizers))
    counts = [count()]
    for batch in updates:
        for optimizer, number in zip(optimizers, batch, strict=True):
            optimizer.iterations.assign_add(number)
        counts.append(count())
    return counts


@pytest.mark.parametrize(
    "kept",
    [lambda a, b: [a, b], lambda a, b: (a, b), lambda a, b: {"a": a, "b": {"c": [b]}}],
    ids=["list", "tuple", "dict"],
)
def test_optimizers_are_found_wherever_a_model_keeps_them(kept):
    class Keeper(keras.Model):
        def __init__(self, optimizers):
            super().__init__()
            self.kept = optimizers

    inner = sgd()
    first, second = sgd(), keras.optimizers.LossScaleOptimizer(inner)
    found = list(nested_optimizers(Keeper(kept(first, second))))
    assert {id(each) for each in found} == {id(first), id(second), id(inner)}


def test_one_optimizer_counts_what_it_makes_and_what_it_brings_along():
    assert after([sgd()], [1], [1], [3], [0]) == [0, 1, 2, 5, 5]
    assert after([sgd(7)], [1], [1]) == [7, 8, 9]


def test_a_critic_that_makes_several_updates_in_a_step_counts_one():
    assert after([sgd(), sgd()], [1, 5], [1, 5]) == [0, 1, 2]
    assert after([sgd(2), sgd(10)], [1, 5]) == [2, 3]


def test_a_generator_that_is_updated_now_and_then_does_not_turn_the_count_back():
    assert after([sgd(), sgd()], [0, 1], [0, 1], [1, 1], [0, 1]) == [0, 1, 2, 3, 4]


def test_an_optimizer_of_another_phase_does_not_hold_up_the_count():
    assert after([sgd(4), sgd()], [0, 1], [0, 1], [0, 1]) == [4, 5, 6, 7]


def test_without_optimizers_nothing_is_counted():
    assert after([], [], []) == [0, 0, 0]


def test_gradients_that_are_added_up_are_not_none_at_all():
    variable = keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=3)
    count = UpdateCounter(types.SimpleNamespace(optimizers=[optimizer]))
    assert count() == 0 and count.stands_still
    optimizer.apply([[1.0]], [variable])
    assert count() == 0 and not count.stands_still
