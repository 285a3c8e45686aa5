"""What ways of pruning cost, counted by hand."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.costs.timing import StepTime
from tf_tickets.lab import comparison, run_costs
from tf_tickets.lab.methods import METHODS
from tf_tickets.lab.run_costs import RunCosts, StepCosts, first_batches
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


POOL = 8 * 16 + 16 * 8
SECONDS = {"whole": 4.0, "masked": 5.0, "penalized": 6.0, "slim": 1.0}


@pytest.fixture
def experiment(monkeypatch):
    """What costs ask of an experiment; each kind of step takes its seconds, and 7 to be traced."""
    timed = []

    def time_steps(models, batches):
        timed.append(list(models))
        return {key: StepTime(SECONDS[key[0]], 7.0) for key in models}

    monkeypatch.setattr(run_costs, "time_steps", time_steps)
    recipe = types.SimpleNamespace(batch_size=BATCH_SIZE, precision="float32")
    return types.SimpleNamespace(
        build=build, recipe=recipe, images_per_step=BATCH_SIZE, timed=timed
    )


def records_of(search, path, seeds=(0, 1)):
    with tt.RunFolder(path, {}) as folder:
        return tt.Records(search.run(seeds, folder))


def run_of(method, records, path):
    config = types.SimpleNamespace(method=method)
    return types.SimpleNamespace(config=config, records=records, path=path, metric="loss")


def rows(way, method, search, path, experiment, seeds=(0, 1), rounds=(1, 2)):
    records = records_of(search, path, seeds)
    steps = StepCosts()
    costs = RunCosts(method, records, path, experiment, steps)
    steps.measure(None)
    return records, comparison.rows_of_run(WAYS[way], run_of(method, records, path), costs, rounds)


def search_by(draw, rewind_step=REWIND_STEP):
    task = tt.search.Task(build, train, evaluate, NUM_STEPS)
    arms = [tt.search.Winning()]
    return tt.search.TicketSearch(task, draw, 2, rewind_step=rewind_step, arms=arms)


SCHEDULE = tt.IterativeSparsity(0.5, 2)
IMP = METHODS["imp"](rounds=2, rewind_step=REWIND_STEP)


def test_an_iterative_ticket_costs_all_its_steps_masked_after_the_rewind_point(
    tmp_path, experiment
):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    records, (unpruned, first, second) = rows("imp", IMP, search, tmp_path, experiment)
    masked = NUM_STEPS - REWIND_STEP
    masks = POOL * masked + round(3 * POOL * np.log2(POOL))
    assert [row.method for row in (unpruned, first, second)] == ["unpruned", "imp", "imp"]
    assert unpruned.training_flops == NUM_STEPS * STEP and unpruned.search_flops == 0
    assert first.training_flops == second.training_flops == NUM_STEPS * STEP + masks
    assert (unpruned.seconds, unpruned.tracing_seconds) == (4.0 * NUM_STEPS, 7.0)
    assert second.seconds == 4.0 * REWIND_STEP + 5.0 * masked
    assert second.images_per_second == pytest.approx(NUM_STEPS * BATCH_SIZE / second.seconds)
    assert unpruned.weights == POOL + 2 * 16 and second.weights == POOL / 4 + 2 * 16
    assert (first.asked_sparsity, second.asked_sparsity) == pytest.approx((0.2, 0.36))
    losses = {r["seed"]: r["metrics"]["loss"] for r in records if r["round"] == 2}
    assert second.values == losses and second.mean == np.mean(list(losses.values()))
    assert second.spread == np.std(list(losses.values()), ddof=1)


def test_the_steps_to_the_rewind_point_count_once_in_a_ticket_and_its_search(tmp_path, experiment):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    _, (unpruned, first, second) = rows("imp", IMP, search, tmp_path, experiment)
    to_rewind, masked = REWIND_STEP * STEP, first.training_flops - REWIND_STEP * STEP
    assert first.search_flops == unpruned.training_flops - to_rewind
    assert second.search_flops == unpruned.training_flops - to_rewind + masked
    whole, of_round = 4.0 * (NUM_STEPS - REWIND_STEP), 5.0 * (NUM_STEPS - REWIND_STEP)
    assert (first.search_seconds, second.search_seconds) == (whole, whole + of_round)


def test_only_the_rounds_that_are_compared_have_rows(tmp_path, experiment):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    _, found = rows("imp", IMP, search, tmp_path, experiment, rounds=(2,))
    assert [row.weight_sparsity for row in found] == [0.0, 0.75]
    assert found[1].search_flops > found[0].training_flops, "the round between is trained"


def test_what_the_run_has_recorded_of_drawing_and_evaluation_stands_apart(tmp_path, experiment):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    records = records_of(search, tmp_path)
    steps = StepCosts()
    costs = RunCosts(IMP, records, tmp_path, experiment, steps)
    steps.measure(None)
    for record in records:
        for name in ("draw_seconds", "evaluation_seconds"):
            record.pop(name, None)
    run = run_of(IMP, records, tmp_path)
    _, first, _ = comparison.rows_of_run(WAYS["imp"], run, costs, (1, 2))
    assert (first.draw_seconds, first.evaluation_seconds) == (None, None)
    for record in records.where(round=1):
        record |= {"draw_seconds": 1.0 + record["seed"], "evaluation_seconds": 0.5}
    _, again, _ = comparison.rows_of_run(WAYS["imp"], run, costs, (1, 2))
    assert (again.draw_seconds, again.evaluation_seconds) == (1.5, 0.5)
    assert again.seconds == first.seconds, "which are those of steps alone"


def test_values_are_of_test_images_and_a_collapse_has_none(tmp_path, experiment):
    search = search_by(tt.search.ByMagnitude(SCHEDULE))
    records = records_of(search, tmp_path, (0, 1, 2))
    steps = StepCosts()
    costs = RunCosts(IMP, records, tmp_path, experiment, steps)
    steps.measure(None)
    first, second, third = records.where(round=1)
    first["test_metrics"] = {"loss": 9.0}
    second |= {"collapsed": "all samples are one image", "metrics": {"loss": float("nan")}}
    third |= {"collapsed": "all samples are one image", "metrics": {"loss": 3.0}}
    for record in records.where(round=2, seed=1):  # had nothing left to be pruned from
        record |= {"collapsed": "so did round 1", "metrics": {}, "curve": []}
    run = run_of(IMP, records, tmp_path)
    _, row, last = comparison.rows_of_run(WAYS["imp"], run, costs, (1, 2))
    assert row.values == {0: 9.0, 2: 3.0} and row.num_collapsed == 2
    assert set(last.values) == {0, 2} and last.num_collapsed == 1
    assert last.seconds == row.seconds


@pytest.mark.parametrize(
    ("method", "thresholds", "scoring"),
    [
        ("snip", 1, 4 * 3 * BATCH_SIZE * WHOLE),
        ("grasp", 1, 4 * 10 * BATCH_SIZE * WHOLE),
        ("synflow", 100, 100 * 3 * WHOLE),
    ],
)
def test_an_initial_ticket_is_masked_from_the_start_and_adds_its_scores_and_thresholds(
    method, thresholds, scoring, tmp_path, experiment
):
    draw = tt.search.ByScore(lambda _, kernels, seed: tt.random_scores(kernels, seed), SCHEDULE)
    search = search_by(draw, rewind_step=0)
    card = METHODS[method](weight_sparsity=(0.5, 0.75))
    _, (unpruned, first, second) = rows(method, card, search, tmp_path, experiment, seeds=(0,))
    masks = POOL * NUM_STEPS + thresholds * round(3 * POOL * np.log2(POOL))
    assert first.training_flops == unpruned.training_flops + masks + scoring
    assert first.search_flops == second.search_flops == 0
    assert first.seconds == 5.0 * NUM_STEPS and first.tracing_seconds == 7.0
    assert [row.asked_sparsity for row in (first, second)] == [0.5, 0.75]


def early_bird_search():
    return tt.search.EarlyBirdSearch(
        tt.search.Task(build, train, evaluate, NUM_STEPS),
        (0.5,),
        draw_every=2,
        mask_distance=1.0,
        look_back=2,
    )


@pytest.mark.slow
def test_an_early_bird_ticket_is_whole_until_it_is_drawn_and_its_control_slim_from_the_start(
    tmp_path, experiment
):
    card = METHODS["early-bird"](weight_sparsity=(0.5,))
    search = early_bird_search()
    _, found = rows("early-bird", card, search, tmp_path, experiment)
    unpruned, ticket, control = found
    assert [row.name for row in found] == ["unpruned", "early-bird", "early-bird random"]
    drawn, width = 6, 8
    step = BATCH_SIZE * (2 * 8 * width * 2 + 2 * width * 3 + 2 * width * 8 * 3)
    draws = 3 * round(3 * 16 * np.log2(16)) + (0 + 1 + 2) * 2 * 16
    assert ticket.training_flops == drawn * STEP + (NUM_STEPS - drawn) * step + draws
    assert ticket.seconds == drawn * 6.0 + (NUM_STEPS - drawn) * 1.0
    assert ticket.tracing_seconds == 2 * 7.0, "of the whole step and of the slim one"
    assert control.training_flops == NUM_STEPS * step
    assert (control.seconds, control.tracing_seconds) == (NUM_STEPS * 1.0, 7.0)
    assert ticket.weights == control.weights == 8 * width + 2 * width + width * 8
    assert ticket.weight_sparsity == control.weight_sparsity == 0.5
    assert unpruned.weight_sparsity == 0.0


@pytest.mark.slow
def test_models_of_one_kind_are_timed_once_and_those_of_all_runs_together(tmp_path, experiment):
    steps = StepCosts()
    imp = records_of(search_by(tt.search.ByMagnitude(SCHEDULE)), tmp_path / "imp")
    RunCosts(IMP, imp, tmp_path / "imp", experiment, steps)
    card = METHODS["early-bird"](weight_sparsity=(0.5,))
    slim = records_of(early_bird_search(), tmp_path / "slim")
    RunCosts(card, slim, tmp_path / "slim", experiment, steps)
    mixed = types.SimpleNamespace(**vars(experiment))
    mixed.recipe = types.SimpleNamespace(batch_size=BATCH_SIZE, precision="mixed_bfloat16")
    RunCosts(card, slim, tmp_path / "slim", mixed, steps)
    steps.measure(None)
    (timed,) = experiment.timed
    assert [key[:2] for key in timed] == [
        *(("whole", "float32"), ("masked", "float32")),
        *(("penalized", "float32"), ("slim", "float32")),
        *((how, "mixed_bfloat16") for how in ("whole", "penalized", "slim")),
    ]


def test_a_masked_step_is_timed_while_the_model_is_held(tmp_path, experiment, monkeypatch):
    """The masks are still on when the steps are timed, and off afterwards."""
    seen = {}

    def time_steps(models, batches):
        for (how, *_), model in models.items():
            kernel = model.get_layer("first").kernel
            train(model, 0, 0, 4)
            seen[how] = np.mean(kernel.numpy() == 0), kernel
        return {key: StepTime(1.0, 1.0) for key in models}

    monkeypatch.setattr(run_costs, "time_steps", time_steps)
    rows("imp", IMP, search_by(tt.search.ByMagnitude(SCHEDULE)), tmp_path, experiment)
    assert seen["whole"][0] == 0 and seen["masked"][0] > 0.4
    assert seen["masked"][1].constraint is None


def test_the_batches_that_are_timed_are_of_the_training_images():
    images = tt.data.load("digits", "train", limit=16)
    experiment = types.SimpleNamespace(train_images=images, images_per_step=4)
    batches = list(first_batches(experiment)(9))
    assert [tuple(batch.shape) for batch in batches] == [(4, *images.image_shape)] * 9


def row(method, values, asked=0.5, arm="winning"):
    numbers = dict.fromkeys(
        [field.name for field in comparison.dataclasses.fields(comparison.Row)], 1.0
    )
    numbers |= {"method": method, "arm": arm, "asked_sparsity": asked, "num_collapsed": 0}
    return comparison.Row(**{**numbers, "values": values, "change": None, "corrected_p": None})


def test_each_row_is_tested_against_unpruned_and_p_is_corrected_over_the_table():
    dense = {0: 10.0, 1: 20.0, 2: 12.0}
    better = {seed: 0.5 * value + 0.01 * seed for seed, value in dense.items()}
    noisy = {0: 12.0, 1: 15.0, 2: 13.0}
    first, *others = comparison.with_tests(
        [row("unpruned", dense, 0.0, "dense"), row("imp", better), row("snip", noisy)]
    )
    assert first.change is None and first.corrected_p is None
    assert others[0].change.change == pytest.approx(0.5, abs=0.01)
    assert others[0].corrected_p == pytest.approx(2 * others[0].change.p)
    assert others[1].corrected_p == pytest.approx(others[1].change.p)


def test_one_value_below_zero_lets_all_rows_be_differences():
    dense, way = {0: 1.0, 1: 2.0}, {0: 2.0, 1: 4.0}
    made = comparison.with_tests(
        [row("unpruned", dense), row("imp", way), row("snip", {0: -1.0, 1: 1.0})]
    )
    assert [each.change.change for each in made[1:]] == [1.5, -1.5]


def test_the_ways_that_were_asked_for_are_shown_by_sparsity_beside_the_unpruned_network(
    monkeypatch,
):
    monkeypatch.setattr(comparison, "experiment_of", lambda run: None)
    monkeypatch.setattr(comparison, "first_batches", lambda experiment: None)
    monkeypatch.setattr(comparison, "StepCosts", lambda: types.SimpleNamespace(measure=print))
    monkeypatch.setattr(comparison, "RunCosts", lambda *_: None)

    def rows_of_run(way, run, costs, rounds):
        yield row("unpruned", {0: 1.0}, 0.0, "dense")
        for number in rounds:
            yield row(way.name, {0: float(number)}, number / 10)

    monkeypatch.setattr(comparison, "rows_of_run", rows_of_run)
    run = types.SimpleNamespace(config=types.SimpleNamespace(method=None), records=[], path=None)
    names = ("imp", "early-bird-mixed", "snip")
    found = comparison.compare({WAYS[name]: run for name in names}, names[1:], (3, 7))
    assert [(each.method, each.asked_sparsity) for each in found] == [
        ("unpruned", 0.0),
        *(("early-bird-mixed", 0.3), ("snip", 0.3)),
        *(("early-bird-mixed", 0.7), ("snip", 0.7)),
    ]
