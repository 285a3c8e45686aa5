"""What ways of pruning cost, counted by hand."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.lab import comparison, keep
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.ways import WAYS

NUM_STEPS, BATCH_SIZE, REWIND_STEP = 12, 4, 2
WHOLE = 2 * 8 * 16 + 2 * 16 + 2 * 16 * 8  # forward FLOPs of the network below, less its biases
STEP = BATCH_SIZE * (2 * 8 * 16 * 2 + 2 * 16 * 3 + 2 * 16 * 8 * 3)
IMAGES = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


def build(seed):
    keras.utils.set_random_seed(seed)
    dense = keras.layers.Dense
    layers = [dense(16, use_bias=False, name="first"), keras.layers.BatchNormalization(name="bn")]
    layers += [dense(8, use_bias=False, name="last")]
    model = keras.Sequential([keras.Input((8,)), *layers], name="toy")
    model.compile(keras.optimizers.Adam(0.01), loss="mse", jit_compile=False)
    return model


def train(model, seed, start_step, stop_step):
    order = np.random.default_rng(seed).integers(len(IMAGES), size=(NUM_STEPS, BATCH_SIZE))
    batches = IMAGES[order[start_step:stop_step]]
    model.fit(tf.data.Dataset.from_tensor_slices((batches, batches)), verbose=0, shuffle=False)


def evaluate(model):
    return {"loss": model.evaluate(IMAGES, IMAGES, verbose=0)}, {"images": len(IMAGES)}


@pytest.fixture
def experiment(monkeypatch):
    """What costs ask of an experiment; a step of the whole network takes 4 s, of a slim one 1 s."""
    monkeypatch.setattr(
        comparison, "step_seconds", lambda models, _: {key: 1.0 if key else 4.0 for key in models}
    )
    recipe = types.SimpleNamespace(batch_size=BATCH_SIZE)
    return types.SimpleNamespace(build=build, recipe=recipe, images_per_step=BATCH_SIZE)


def records_of(search, path, seeds=(0, 1)):
    with tt.RunFolder(path, {}) as folder:
        return tt.Records(search.run(seeds, folder))


def rows(method, search, path, experiment, seeds=(0, 1), reference=None):
    records = records_of(search, path, seeds)
    costs = comparison.Costs(method, records, path, experiment, reference)
    return records, comparison.rows_of(method.name, records, costs, "loss")


def search_by(draw, rewind_step=REWIND_STEP):
    task = tt.search.Task(build, train, evaluate, NUM_STEPS)
    arms = [tt.search.Winning()]
    return tt.search.TicketSearch(task, draw, 2, rewind_step=rewind_step, arms=arms)


SCHEDULE = tt.IterativeSparsity(0.5, 2)
IMP = METHODS["imp"](rounds=2, rewind_step=REWIND_STEP)


def test_an_iterative_ticket_costs_its_training_and_all_those_before(tmp_path, experiment):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    records, (unpruned, first, second) = rows(IMP, search, tmp_path, experiment)
    pool = 8 * 16 + 16 * 8
    steps = NUM_STEPS - REWIND_STEP
    masks = pool * steps + round(3 * pool * np.log2(pool))
    assert [row.method for row in (unpruned, first, second)] == ["unpruned", "imp", "imp"]
    assert unpruned.training_flops == NUM_STEPS * STEP and unpruned.search_flops == 0
    assert first.training_flops == second.training_flops == steps * STEP + masks
    assert first.search_flops == unpruned.training_flops
    assert second.search_flops == unpruned.training_flops + first.training_flops
    assert (unpruned.seconds, second.seconds) == (4.0 * NUM_STEPS, 4.0 * steps)
    assert second.search_seconds == unpruned.seconds + first.seconds
    assert second.images_per_second == BATCH_SIZE / 4.0
    assert unpruned.weights == pool + 2 * 16 and second.weights == pool / 4 + 2 * 16
    losses = [r["metrics"]["loss"] for r in records if r["round"] == 2]
    assert second.values == tuple(losses)
    assert second.mean == np.mean(losses) and second.spread == np.std(losses, ddof=1)


def test_seconds_are_those_of_another_run_of_the_whole_model(tmp_path, experiment):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    records, (unpruned, pruned, _) = rows(IMP, search, tmp_path, experiment, (0,), reference=2.0)
    assert unpruned.seconds == pytest.approx(2.0 * records[0]["curve"][-1]["step"])
    assert pruned.images_per_second == unpruned.images_per_second == pytest.approx(BATCH_SIZE / 2)


@pytest.mark.parametrize(
    ("method", "thresholds", "scoring"),
    [
        ("snip", 1, 4 * 3 * BATCH_SIZE * WHOLE),
        ("grasp", 1, 4 * 10 * BATCH_SIZE * WHOLE),
        ("synflow", 100, 100 * 3 * WHOLE),
    ],
)
def test_an_initial_ticket_adds_what_its_scores_and_thresholds_take(
    method, thresholds, scoring, tmp_path, experiment
):
    draw = tt.search.ByScore(lambda _, kernels, seed: tt.random_scores(kernels, seed), SCHEDULE)
    search = search_by(draw, rewind_step=0)
    card = METHODS[method]()
    _, (unpruned, first, second) = rows(card, search, tmp_path, experiment, seeds=(0,))
    pool = 8 * 16 + 16 * 8
    masks = pool * NUM_STEPS + thresholds * round(3 * pool * np.log2(pool))
    assert first.training_flops == unpruned.training_flops + masks + scoring
    assert first.search_flops == second.search_flops == 0


def test_an_early_bird_ticket_is_whole_until_it_is_drawn_and_then_slim(
    tmp_path, experiment, monkeypatch
):
    rebuilt = []

    def spying_rebuild(*arguments):
        rebuilt.append(arguments)
        return tt.search.rebuild_slim(*arguments)

    monkeypatch.setattr(keep, "rebuild_slim", spying_rebuild)
    search = tt.search.EarlyBirdSearch(
        tt.search.Task(build, train, evaluate, NUM_STEPS),
        (0.5,),
        draw_every=2,
        mask_distance=1.0,
        look_back=2,
        random_arm=False,
    )
    card = METHODS["early-bird"](channel_sparsity=(0.5,))
    _, (unpruned, slim) = rows(card, search, tmp_path, experiment)
    assert len(rebuilt) == 2, "once for each seed"
    drawn, width = 6, 8
    step = BATCH_SIZE * (2 * 8 * width * 2 + 2 * width * 3 + 2 * width * 8 * 3)
    draws = 3 * round(3 * 16 * np.log2(16)) + (0 + 1 + 2) * 2 * 16
    assert slim.training_flops == drawn * STEP + (NUM_STEPS - drawn) * step + draws
    assert slim.seconds == drawn * 4.0 + (NUM_STEPS - drawn) * 1.0
    assert slim.weights == 8 * width + 2 * width + width * 8
    assert slim.weight_sparsity == 0.5 and unpruned.weight_sparsity == 0.0


def test_the_batches_that_are_timed_are_of_the_training_images():
    images = tt.data.load("digits", "train", limit=16)
    experiment = types.SimpleNamespace(train_images=images, images_per_step=4)
    batches = list(comparison.first_batches(experiment)(9))
    assert [tuple(batch.shape) for batch in batches] == [(4, *images.image_shape)] * 9


def test_the_ways_that_were_asked_for_are_shown_beside_the_unpruned_network(monkeypatch):
    """All but those in mixed precision are timed by the first run's unpruned network."""
    references = {}

    def rows_of_run(way, run, reference=None):
        references[way.name] = reference
        return [f"{run} unpruned", f"{run} first", f"{run} second"], float(len(references))

    monkeypatch.setattr(comparison, "rows_of_run", rows_of_run)
    names = ("imp", "early-bird-mixed", "snip")
    runs = {WAYS[name]: f"run of {name}" for name in names}
    assert comparison.compare(runs, ["early-bird-mixed", "snip"]) == [
        "run of imp unpruned",
        *(f"run of {name} {which}" for name in names[1:] for which in ("first", "second")),
    ]
    assert references == {"imp": None, "early-bird-mixed": None, "snip": 1.0}
    assert len(comparison.compare(runs, names)) == 7
