"""A hunt through random graphs: slim equals masked, or layers are left whole; nothing else."""

import keras
import numpy as np
import pytest

import tf_tickets as tt
from tests.channels.masked_twin import answers, check_slim, in_float64, inputs_of
from tests.channels.random_graphs import random_model
from tf_tickets.channels.ranking import graphs_of

# Keras warns of a softmax over one channel, for one; graphs drawn at random do such things.
pytestmark = pytest.mark.filterwarnings("ignore")

NUM_QUICK = 100  # a third of a second each
NUM_SLOW = 2000
RANKED = ({}, {"whole_groups": True}, {"by": "norm"}, {"by": "norm", "whole_groups": True})


def hunt(seed, folder=None):
    """Try all of one graph; return how many weights it had and has."""
    model = random_model(seed)
    rng = np.random.default_rng(seed)
    masks = random_masks(model, rng) if seed % 5 == 4 else ranked_masks(model, RANKED[seed % 5])
    round_to = int(rng.choice([1, 1, 2, 3]))
    inputs = inputs_of(model, batch=3, seed=seed)
    slimmed = check_slim(model, masks, inputs, 1e-8, round_to=round_to, least_scale=1e-3)
    if folder is not None and can_be_saved(model, folder):
        slimmed.save(folder / "slim.keras")
        loaded = keras.models.load_model(folder / "slim.keras")
        for pair in zip(*(answers(each, inputs, False) for each in (slimmed, loaded)), strict=True):
            np.testing.assert_array_equal(*pair)
    return slimmed.slim_report.params_before, slimmed.slim_report.params_after


def ranked_masks(model, options):
    """Return masks by a ranking; none where that says in a line that there are none."""
    try:
        return tt.channel_masks(model, 0.5, **options)
    except tt.SettingError as error:
        assert "\n" not in str(error)
        return tt.Masks({})


def random_masks(model, rng):
    """Return masks of any scales and kernels, whatever can go."""
    names = {name: len(c) for g in graphs_of(model).values() for name, c in g.by_name.items()}
    some = {name: rng.random(n) < 0.4 for name, n in names.items() if rng.random() < 0.7}
    return tt.Masks(some)


def can_be_saved(model, folder):
    """Return whether Keras itself can save the model and load it, constants in it and all."""
    try:
        model.save(folder / "whole.keras")
        keras.models.load_model(folder / "whole.keras")
    except Exception:  # whatever it is, it is so without us
        return False
    return True


@pytest.fixture(autouse=True)
def float64():
    with in_float64():
        yield


def hunt_all(seeds, folder, saved_every):
    """Try graphs; fail with all faults, a line for each seed."""
    faults, slimmed = [], 0
    for seed in seeds:
        try:
            before, after = hunt(seed, folder if seed % saved_every == 0 else None)
            slimmed += after < before
        except Exception as error:  # all seeds at once
            line = " ".join(str(error).split())[:200]
            faults.append(f"random_model({seed}): {type(error).__name__}: {line}")
        if seed % 50 == 49:  # which takes as long as a graph
            keras.backend.clear_session()
    assert not faults, "\n".join(faults)
    return slimmed


def test_random_graphs(tmp_path):
    slimmed = hunt_all(range(NUM_QUICK), tmp_path, saved_every=20)
    assert slimmed > NUM_QUICK / 4, "too few of them lose channels to say anything"


@pytest.mark.slow
def test_many_random_graphs(tmp_path):
    assert hunt_all(range(NUM_QUICK, NUM_SLOW), tmp_path, saved_every=1) > NUM_SLOW / 4
