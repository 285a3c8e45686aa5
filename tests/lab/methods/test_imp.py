"""Where the survivors of iterative magnitude pruning start, and what that may be beside."""

import dataclasses

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import RunConfig
from tf_tickets.lab.methods import IterativeMagnitude
from tf_tickets.lab.models import GanTraining


@pytest.mark.parametrize(
    ("options", "step", "noted"),
    [
        ({}, 10, []),
        ({"rewind_step": 7}, 7, []),
        ({"rewind_share": 0.05}, 20, ["rewind step 20: 0.05 of 400 steps"]),
        ({"rewind_share": 0.0}, 0, ["rewind step 0: 0 of 400 steps"]),
        ({"rewind_share": 0.9999}, 399, ["rewind step 399: 0.9999 of 400 steps"]),
    ],
)
def test_the_rewind_step_is_fitted_to_a_training(options, step, noted):
    fitted, notes = IterativeMagnitude(**options).adapted(num_steps=400, steps_per_epoch=40)
    assert (fitted.rewind_step, fitted.rewind_share, notes) == (step, None, noted)
    assert fitted.identity() == IterativeMagnitude(rewind_step=step).identity()


@pytest.mark.parametrize(
    ("method", "training", "arms", "message"),
    [
        ({"rewind_step": 1, "rewind_share": 0.1}, {}, (), "`rewind_share` must not be given tog"),
        ({"rewind_optimizer": True, "rewind_step": 0}, {}, (), "`rewind_optimizer` is for weights"),
        ({"rewind_optimizer": True, "rewind_share": 0.0}, {}, (), "`rewind_optimizer` is for"),
        ({"rewind_optimizer": True, "start": "trained"}, {}, (), "`rewind_optimizer` is for"),
        (
            {"rewind_optimizer": True},
            {"discriminator_init": "fresh"},
            (),
            "`rewind_optimizer` is for weights that all return to a step after 0",
        ),
        (
            {"start": "trained"},
            {"discriminator_init": "fresh"},
            (),
            "`discriminator_init` means no",
        ),
        ({"start": "trained"}, {}, ("shuffled",), "`arms` cannot have shuffled if `start`"),
        ({"random_redraws": "all"}, {}, (), "`random_redraws` means nothing if all components"),
    ],
    ids=str,
)
def test_what_means_nothing_is_refused(method, training, arms, message):
    config = {"training": GanTraining(**training), "arms": ("winning", "random", *arms)}
    with pytest.raises(SettingError, match=f"^{message}"):
        RunConfig("dcgan", IterativeMagnitude(**method), **config)


def search_of(method, **training):
    """Return the search that a method makes of a GAN."""
    config = RunConfig("dcgan", method, training=GanTraining(**training), seeds=(0,))

    class Experiment:
        @staticmethod
        def task():
            from tf_tickets.search import Task

            return Task(print, print, print, num_steps=40)

    return dataclasses.replace(method, rewind_step=4).search(Experiment, config)


def test_fine_tuning_goes_on_from_what_was_trained():
    assert search_of(IterativeMagnitude()).starts == {}
    assert search_of(IterativeMagnitude(start="trained")).starts == {
        "generator": "trained",
        "discriminator": "trained",
    }
    rewinds = search_of(IterativeMagnitude(), discriminator_init="fresh")
    assert rewinds.starts == {"discriminator": "fresh"}


def test_the_search_knows_what_is_rewound_and_redrawn():
    made = search_of(IterativeMagnitude(rewind_optimizer=True, component="generator"))
    assert made.rewind_optimizer and made.arms["random"].redraws == "component"
    made = search_of(IterativeMagnitude(component="generator", random_redraws="all"))
    assert not made.rewind_optimizer and made.arms["random"].redraws == "all"
