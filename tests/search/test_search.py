import itertools
import json
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but
from tf_tickets.engines import Observer
from tf_tickets.errors import DivergedError, SettingError

NUM_STEPS = 12
IMAGES = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


def build(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu", name="first"),
            keras.layers.BatchNormalization(name="normalize"),
            keras.layers.Dropout(0.1, name="drop"),
            keras.layers.Dense(8, name="last"),
        ],
        name="toy",
    )
    model.compile(keras.optimizers.AdamW(0.01), loss="mse", jit_compile=False)
    return model


def train(model, seed, start_step, stop_step):
    order = np.random.default_rng(seed).integers(len(IMAGES), size=(NUM_STEPS, 16))
    batches = IMAGES[order[start_step:stop_step]]
    model.fit(tf.data.Dataset.from_tensor_slices((batches, batches)), verbose=0, shuffle=False)


def evaluate(model):
    return {"loss": model.evaluate(IMAGES, IMAGES, verbose=0)}, {"images": len(IMAGES)}


class Pair(keras.Sequential):
    """Two networks one after the other, each of them a component."""

    @property
    def components(self):
        return {part.name: part for part in self.layers if isinstance(part, keras.Sequential)}


def build_pair(seed, head=()):
    keras.utils.set_random_seed(seed)
    encoder = [keras.layers.Dense(12, name="wide"), keras.layers.Dense(6, name="narrow")]
    decoder = [keras.layers.BatchNormalization(name="normalize"), keras.layers.Dense(8, name="out")]
    parts = [
        keras.Sequential([keras.Input((8,)), *encoder], name="encoder"),
        keras.Sequential([keras.Input((6,)), *decoder], name="decoder"),
    ]
    model = Pair([keras.Input((8,)), *parts, *head], name="pair")
    model.compile(keras.optimizers.Adam(0.01), loss="mse", jit_compile=False)
    return model


CONTROLS = {"random": tt.search.Random, "shuffled": tt.search.Shuffled}
OF_TASK = ("evaluations", "watch", "test", "directions", "check", "prepare", "illustrate")
OF_DRAW = ("pool", "one_shot", "steps")


def make_search(
    train=train, build=build, arms=("random",), schedule=None, score=None, tickets=None, **options
):
    """Return a small search; its options go to what takes them."""
    options = {"rounds": 3, "rewind_step": 4, **options}
    of_task = {name: options.pop(name) for name in OF_TASK if name in options}
    of_draw = {name: options.pop(name) for name in OF_DRAW if name in options}
    rounds = options.pop("rounds")
    schedule = tt.IterativeSparsity(0.2, rounds) if schedule is None else schedule
    controls = [CONTROLS[arm]() for arm in arms]
    if tickets:
        draw = tt.search.AsSparseAs(tickets, rounds)
        controls = [tt.search.Transferred(tickets), tt.search.Random(tickets)]
    elif score:
        draw = tt.search.ByScore(score, schedule, **of_draw)
    else:
        draw = tt.search.ByMagnitude(schedule, **of_draw)
    return tt.search.TicketSearch(
        tt.search.Task(build, train, evaluate, NUM_STEPS, **of_task),
        draw,
        rounds,
        arms=[tt.search.Winning(), *controls],
        **options,
    )


def search(path, train=train, seeds=(0,), settings=None, observers=(), **options):
    """Run a small search and return (records, folder)."""
    with tt.RunFolder(path, settings or {}) as folder:
        return make_search(train, **options).run(seeds, folder, observers), folder.path


def score_of_place(model, kernels, seed):
    """Scores that depend on the weights, the seed and the place alone."""
    random = np.random.default_rng(seed)
    return {k.path: np.abs(k.numpy()) * random.random(k.shape) for k in kernels}


def ticket(path, record, name=None):
    file = path / record["ticket"]
    return tt.Ticket.load(file.with_name(name) if name else file)


def of_arm(records, arm):
    return [record for record in records if record["arm"] == arm]


def all_bits(path):
    return {
        file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*.safetensors")
    }


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    return search(tmp_path_factory.mktemp("run"), rounds=5)


def test_each_round_keeps_the_rounded_power_of_the_pool(searched):
    records, path = searched
    pool = 8 * 16 + 16 * 8
    for record in of_arm(records, "winning") + of_arm(records, "random"):
        assert record["kept"] == round(0.8 ** record["round"] * pool)
        assert record["weight_sparsity"] == pytest.approx(1 - record["kept"] / pool)
        assert ticket(path, record).masks.num_kept == record["kept"]


def test_records_are_the_lines_of_the_results_file(searched):
    records, path = searched
    assert tt.read_results(path / "results.jsonl") == records
    assert [(r["round"], r["arm"]) for r in records[:3]] == [
        (0, "dense"),
        (1, "winning"),
        (1, "random"),
    ]
    assert len(records) == 1 + 2 * 5


def test_masks_only_shrink_and_both_arms_share_them(searched):
    records, path = searched
    masks = [ticket(path, record).masks for record in of_arm(records, "winning")]
    assert all(later <= earlier for earlier, later in itertools.pairwise(masks))
    assert masks == [ticket(path, record).masks for record in of_arm(records, "random")]


def test_survivors_start_from_the_rewind_point_bit_for_bit(searched):
    records, path = searched
    rewind = ticket(path, records[0]).weights
    for record in of_arm(records, "winning"):
        found = ticket(path, record)
        for name, value in found.weights.items():
            mask = found.masks.get(name, np.ones(value.shape, bool))
            np.testing.assert_array_equal(value[mask], rewind[name][mask], err_msg=name)
            assert not value[~mask].any()


def test_a_ticket_says_how_it_was_found(tmp_path):
    records, path = search(tmp_path, rounds=1, settings={"images": "random"})
    found = ticket(path, of_arm(records, "winning")[0]).config
    assert found == {"seed": 0, "round": 1, "arm": "winning", "settings": {"images": "random"}}


def test_the_rewind_point_is_the_dense_network_after_that_many_steps(tmp_path):
    seen = []

    def spying_train(model, seed, start_step, stop_step):
        train(model, seed, start_step, stop_step)
        seen.append(((start_step, stop_step), tt.take_snapshot(model)))

    records, path = search(tmp_path, spying_train, rounds=1)
    assert [steps for steps, _ in seen] == [(0, 4), (4, 12), (4, 12), (0, 12)]
    rewind = ticket(path, records[0]).weights
    for name, value in seen[0][1].items():
        np.testing.assert_array_equal(rewind[name], value, err_msg=name)


def test_random_tickets_have_weights_of_their_own(searched):
    records, path = searched
    kernels = [ticket(path, record).weights["first/kernel"] for record in of_arm(records, "random")]
    kernels.append(ticket(path, records[0]).weights["first/kernel"])
    for one, other in itertools.combinations(kernels, 2):
        both_kept = (one != 0) & (other != 0)
        assert not np.any(one[both_kept] == other[both_kept])


def test_masks_are_the_largest_of_what_the_round_before_has_trained(searched):
    records, path = searched
    winning = of_arm(records, "winning")
    before, after = winning[1], winning[2]
    trained = ticket(path, before, "trained.safetensors")
    scores = {name: np.abs(trained.weights[name]) for name in trained.masks}
    expected = tt.global_masks(scores, 1 - 0.8 ** after["round"], within=trained.masks)
    assert ticket(path, after).masks == expected


def test_pruned_weights_are_zero_after_training(searched):
    records, path = searched
    for record in of_arm(records, "winning"):
        trained = ticket(path, record, "trained.safetensors")
        for name, mask in ticket(path, record).masks.items():
            assert not trained.weights[name][~mask].any()
            assert trained.weights[name][mask].all()


def test_a_one_shot_network_that_is_worth_nothing_is_a_result(tmp_path):
    records, _ = search(tmp_path, rounds=2, arms=(), one_shot=True, check=refuse_calls(1))
    assert [record["collapsed"] for record in records] == [None, "One image.", None]
    assert all(record["metrics"] and record["ticket"] for record in records)


def test_a_kernel_by_itself_keeps_one_weight_however_sparse_the_others_are():
    made = make_search(rounds=25, pool="layer")
    bench = types.SimpleNamespace(kernels=tt.prunable(build(0)), model=build(0))
    made.draw.check(bench, 0, 25)


def test_one_shot_prunes_the_dense_network_at_once(tmp_path):
    records, path = search(tmp_path, one_shot=True)
    dense = tt.Ticket.load(path / "seed-0/round-00/dense/trained.safetensors")
    scores = {name: np.abs(dense.weights[name]) for name in dense.masks}
    for record in of_arm(records, "winning"):
        assert ticket(path, record).masks == tt.global_masks(scores, 1 - 0.8 ** record["round"])


def test_the_optimizer_is_fresh_in_each_training(tmp_path):
    iterations = []

    def spying_train(model, seed, start_step, stop_step):
        iterations.append(int(model.optimizer.iterations))
        train(model, seed, start_step, stop_step)

    search(tmp_path, spying_train, rounds=1)
    # Dense to the rewind point, dense on from there, winning, random.
    assert iterations == [0, 4, 0, 0]


def test_the_optimizer_can_be_a_part_of_the_rewind_point(tmp_path):
    begun = []

    def spying_train(model, seed, start_step, stop_step):
        begun.append(tt.take_snapshot(model, optimizer=True))
        train(model, seed, start_step, stop_step)

    options = {"rounds": 1, "arms": ("random", "shuffled"), "rewind_optimizer": True}
    search(tmp_path, spying_train, **options)
    states = [{k: v for k, v in each.items() if k.startswith("optimizer/")} for each in begun]
    _, dense, winning, random, shuffled = states
    assert dense["optimizer/0/iteration"] == 4
    for name, value in dense.items():
        np.testing.assert_array_equal(winning[name], value, err_msg=name)
        np.testing.assert_array_equal(shuffled[name], value, err_msg=name)
    assert random["optimizer/0/iteration"] == 0


@pytest.mark.parametrize("redraws", ["component", "all"])
@pytest.mark.parametrize("start", slow_but(["rewind", "fresh", "trained"], "rewind"))
def test_the_random_arm_redraws_what_is_pruned_alone(tmp_path, redraws, start):
    task = tt.search.Task(build_pair, train, evaluate, NUM_STEPS)
    draw = tt.search.ByMagnitude(tt.IterativeSparsity(0.2, 2))
    made = tt.search.TicketSearch(
        task,
        draw,
        2,
        rewind_step=4,
        arms=[tt.search.Winning(), tt.search.Random(redraws=redraws)],
        scope="encoder",
        starts={"decoder": start},
    )
    with tt.RunFolder(tmp_path, {}) as folder:
        records = made.run([0], folder)
    for number in (1, 2):
        winning, random = (ticket(tmp_path, r) for r in records.where(round=number))
        assert winning.masks == random.masks
        same = {
            name: np.array_equal(w, random.weights[name]) for name, w in winning.weights.items()
        }
        assert not same["encoder/wide/kernel"] and not same["encoder/narrow/kernel"]
        rest_is_the_same = redraws == "component" or start == "trained"
        assert same["decoder/out/kernel"] == rest_is_the_same
        if rest_is_the_same:
            assert all(same[name] for name in same if name.startswith("decoder/"))


def test_what_starts_trained_is_redrawn_if_there_is_nothing_else(tmp_path):
    starts = {"encoder": "trained", "decoder": "trained"}
    records, path = search(tmp_path, build=build_pair, rounds=1, starts=starts)
    winning, random = (ticket(path, record) for record in records[1:])
    assert_masked(winning, "encoder", dense_weights(path))
    for name in winning.masks:
        assert not np.array_equal(winning.weights[name], random.weights[name])


def test_only_what_is_in_scope_is_pruned(tmp_path):
    records, path = search(tmp_path, scope=lambda variable: "last" in variable.path)
    last = of_arm(records, "winning")[-1]
    assert list(ticket(path, last).masks) == ["last/kernel"]
    assert last["weight_sparsity"] == pytest.approx(1 - 0.8**3, abs=1 / 128)
    assert last["network_sparsity"] == pytest.approx(last["weight_sparsity"] / 2)


def test_seeds_differ_and_repeat(tmp_path):
    records, path = search(tmp_path, seeds=(0, 1), rounds=1)
    first, second = (ticket(path, record) for record in of_arm(records, "winning"))
    assert first.masks.distance(second.masks) > 0
    _, other_path = search(tmp_path / "again", seeds=(1,), rounds=1)
    assert all_bits(other_path).items() <= all_bits(path).items()


def refuse_calls(*numbers):
    """Return a `check` that finds some of the networks worth nothing, counted from 0."""
    calls = itertools.count()

    def check(metrics):
        if next(calls) in numbers:
            raise DivergedError("One image. Try another seed.")

    return check


class Broken(Exception):
    pass


@pytest.mark.parametrize("calls", slow_but(range(0, 8, 2), 4))
def test_a_search_that_is_broken_off_resumes_to_the_same_bits(searched, tmp_path, calls):
    left = iter(range(calls))

    def breaking_train(*arguments):
        train(*arguments)
        if next(left, None) is None:
            raise Broken

    with pytest.raises(Broken):
        search(tmp_path, breaking_train, rounds=5)
    _, path = search(tmp_path, rounds=5)
    assert all_bits(path) == all_bits(searched[1])


def test_finished_stages_are_not_trained_again(tmp_path):
    search(tmp_path, rounds=2)

    def refusing_train(*arguments):
        raise AssertionError("trained again")

    records, _ = search(tmp_path, refusing_train, rounds=2)
    assert len(records) == 5


def test_more_rounds_seeds_and_arms_only_add_stages(tmp_path):
    search(tmp_path, rounds=1, arms=())
    before = all_bits(tmp_path)
    search(tmp_path, rounds=2, seeds=(0, 1))
    assert before.items() <= all_bits(tmp_path).items()


def test_a_damaged_stage_is_named_and_made_again(searched, tmp_path):
    _, path = search(tmp_path, rounds=2)
    damaged = path / "seed-0/round-01/winning/trained.safetensors"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.warns(UserWarning, match="round-01/winning/trained.safetensors is damaged"):
        search(tmp_path, rounds=2)
    assert damaged.read_bytes() == whole


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_round_that_diverges_is_never_pruned_on(tmp_path, value):
    def diverging_train(model, seed, start_step, stop_step):
        train(model, seed, start_step, stop_step)
        masks = [variable for variable in model.weights if variable.name == "kernel"]
        if np.any(masks[0].numpy() == 0):
            masks[1].assign(np.full(masks[1].shape, value))

    (dense, first, *others), path = search(tmp_path, diverging_train)
    assert dense["collapsed"] is None and dense["metrics"]
    assert first["collapsed"] == "Training diverged: last/kernel is NaN or infinite."
    assert first["metrics"] == {} and first["kept"] == round(0.8 * 256)
    assert not (path / first["ticket"]).with_name("trained.safetensors").exists()
    for record in others:
        assert record["collapsed"] == (
            "Not trained: seed-0/round-01/winning collapsed, from which it would have been made."
        )
        assert (record["metrics"], record["curve"], record["ticket"]) == ({}, [], None)
        assert record["kept"] == round(0.8 ** record["round"] * 256)
    assert len(list(path.rglob("ticket.safetensors"))) == 1
    again, _ = search(tmp_path)
    assert again == [dense, first, *others], "a collapse is kept as a result"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rewind_step": NUM_STEPS}, r"\[0, 12\)"),
        ({"rewind_step": -1}, "rewind_step"),
        ({"arms": ("random", "random")}, r"no arm twice. Received: arms=\['winning', 'random', "),
        ({"score": score_of_place, "starts": {"decoder": "trained"}}, "has no component"),
        ({"score": score_of_place, "steps": 0}, "Received: steps=0"),
        ({"rewind_optimizer": True, "starts": {"decoder": "fresh"}}, "without `starts`"),
        ({"evaluations": 0}, "`evaluations` must be from 1 to the 12 steps"),
        ({"evaluations": 13}, "Received: evaluations=13"),
        ({"pool": "all"}, "`pool` must be one of model, component, layer. Received: pool='all'"),
        ({"starts": {"decoder": "old"}}, "`starts` must be .*trained, fresh. Received: 'old'"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, message):
    with pytest.raises(SettingError, match=message):
        make_search(**options)


def test_a_search_without_the_winning_arm_is_refused():
    task = tt.search.Task(build, train, evaluate, NUM_STEPS)
    draw = tt.search.ByMagnitude(tt.IterativeSparsity(0.2, 3))
    with pytest.raises(SettingError, match=r"must include Winning\(\)"):
        tt.search.TicketSearch(task, draw, 3, arms=[tt.search.Shuffled()])


def test_observers_are_told_of_every_stage(tmp_path):
    told = []

    class Notes:
        def search_begins(self, stages):
            told.append(len(stages))

        def stage_begins(self, stage):
            told.append(stage.name)

        def stage_ends(self, stage, record):
            told.append(json.dumps(record["metrics"]))

    records, _ = search(tmp_path, rounds=1, arms=(), observers=[Notes()])
    dense, winning = (json.dumps(record["metrics"]) for record in records)
    assert told == [2, "seed-0/round-00/dense", dense, "seed-0/round-01/winning", winning]


def test_rounds_that_would_empty_a_layer_are_refused_before_any_training(tmp_path):
    def refusing_train(*arguments):
        raise AssertionError("trained")

    with pytest.raises(SettingError, match=r"leaves 1, fewer than the 2.*fewer rounds"):
        search(tmp_path, refusing_train, rounds=25)


def test_asking_for_less_keeps_the_lines_of_the_rest(tmp_path):
    records, path = search(tmp_path, rounds=2)
    fewer, _ = search(tmp_path, rounds=1, arms=())
    assert [(r["round"], r["arm"]) for r in fewer] == [(0, "dense"), (1, "winning")]
    assert tt.read_results(path / "results.jsonl") == records


def dense_weights(path, name="trained"):
    return tt.Ticket.load(path / f"seed-0/round-00/dense/{name}.safetensors").weights


def in_part(weights, part):
    return {path: value for path, value in weights.items() if path.startswith(f"{part}/")}


def assert_masked(found, part, start):
    """Assert that a ticket's weights of a component are those of `start`, zero where pruned."""
    weights = in_part(found.weights, part)
    assert weights.keys() == in_part(start, part).keys()
    for name, value in weights.items():
        mask = found.masks.get(name, np.ones(value.shape, bool))
        np.testing.assert_array_equal(value, np.where(mask, start[name], 0), err_msg=name)


@pytest.mark.slow
def test_each_component_is_pruned_by_a_threshold_of_its_own(tmp_path):
    sizes = {"encoder": 8 * 12 + 12 * 6, "decoder": 6 * 8}
    records, path = search(tmp_path / "own", build=build_pair, pool="component")
    dense = tt.Ticket.load(path / "seed-0/round-00/dense/trained.safetensors")
    first = ticket(path, of_arm(records, "winning")[0]).masks
    for part, size in sizes.items():
        for record in of_arm(records, "winning"):
            masks = in_part(ticket(path, record).masks, part)
            assert sum(mask.sum() for mask in masks.values()) == round(
                0.8 ** record["round"] * size
            )
        scores = {name: np.abs(dense.weights[name]) for name in in_part(dense.masks, part)}
        assert tt.Masks(in_part(first, part)) == tt.global_masks(scores, 0.2)
    together, path = search(tmp_path / "together", build=build_pair)
    for record in of_arm(together, "winning"):
        assert record["kept"] == round(0.8 ** record["round"] * sum(sizes.values()))
    assert ticket(path, of_arm(together, "winning")[0]).masks != first


def test_each_layer_ranked_by_itself_keeps_the_same_part(tmp_path):
    records, path = search(tmp_path, pool="layer", rounds=2)
    masks = ticket(path, of_arm(records, "winning")[-1]).masks
    assert len(masks) > 1
    for mask in masks.values():
        assert np.count_nonzero(mask) == round(0.8**2 * mask.size)


def test_pools_of_components_want_every_kernel_in_one(tmp_path):
    def with_head(seed):
        return build_pair(seed, head=[keras.layers.Dense(8, name="head")])

    with pytest.raises(SettingError, match=r"`pool`.* pair has: encoder, decoder"):
        search(tmp_path, build=with_head, pool="component")
    with pytest.raises(SettingError, match=r"`pool`.* toy has: none"):
        search(tmp_path, pool="component")


@pytest.mark.parametrize("start", slow_but(["rewind", "trained", "fresh"], "trained"))
def test_a_component_starts_from_what_it_is_told(tmp_path, start):
    drawn = []

    def spying_build(seed):
        model = build_pair(seed)
        drawn.append(tt.take_snapshot(model))
        return model

    records, path = search(tmp_path, build=spying_build, rounds=2, starts={"decoder": start})
    # One model to train, then one draw for the dense network and for each ticket that needs it.
    draws = iter(drawn[2:])
    rewind, trained = dense_weights(path, "rewind"), dense_weights(path)
    for number in (1, 2):
        winning, random = (ticket(path, record) for record in records if record["round"] == number)
        starts = {"rewind": rewind, "trained": trained}
        starts["fresh"] = next(draws) if start == "fresh" else None
        assert_masked(winning, "encoder", rewind)
        assert_masked(winning, "decoder", starts[start])
        fresh = next(draws)
        assert_masked(random, "encoder", fresh)
        assert_masked(random, "decoder", trained if start == "trained" else fresh)
        assert winning.masks == random.masks
        trained = tt.Ticket.load(
            path / f"seed-0/round-0{number}/winning/trained.safetensors"
        ).weights
    assert next(draws, None) is None


def test_what_a_control_starts_from_is_one_of_its_sources():
    random = tt.engines.Stage(0, 3, "random")
    usual = make_search().sources(random)
    assert usual == [random.dense, random.of_arm("winning")]
    before = tt.engines.Stage(0, 2, "winning")
    assert make_search(starts={"decoder": "trained"}).sources(random) == [*usual, before]


def test_starts_of_what_is_not_there_are_refused(tmp_path):
    with pytest.raises(
        SettingError, match=r"'teacher', .* of pair. Choose one of: encoder, decoder"
    ):
        search(tmp_path, build=build_pair, starts={"teacher": "fresh"})
    with pytest.raises(SettingError, match=r"'encoder', .* of toy.*it has no components"):
        search(tmp_path, starts={"encoder": "fresh"})


@pytest.mark.parametrize("evaluations", [3, 5])
def test_evaluations_lie_on_one_grid_and_change_no_training(searched, tmp_path, evaluations):
    records, path = search(tmp_path, rounds=1, evaluations=evaluations)
    grid = [round(NUM_STEPS * number / evaluations) for number in range(1, evaluations + 1)]
    for record in records:
        # Nor is the random arm, which begins at step 0, looked at before the rewind step.
        assert [point["step"] for point in record["curve"]] == [s for s in grid if s >= 4]
        assert record["metrics"] == record["curve"][-1]["metrics"]
        lowest = min(point["metrics"]["loss"] for point in record["curve"])
        assert record["best"] == {"loss": lowest}
        assert "early_stopping_step" not in record, "it hangs on the other records, too"
    made = all_bits(path)
    assert made.items() <= all_bits(searched[1]).items()
    same_stages = [r for r in searched[0] if r["round"] <= 1]
    assert [r["metrics"] for r in records] == [r["metrics"] for r in same_stages]


def other(model):
    """The metrics of other images, and their protocol."""
    return {"loss": model.evaluate(IMAGES / 2, IMAGES / 2, verbose=0)}, {"images": "halved"}


def watch(model):
    return {"loss": model.evaluate(IMAGES, IMAGES, verbose=0), "cheap": 1.0}


def test_what_is_reported_is_of_other_images_than_what_chooses(tmp_path):
    tested = []

    def test(model):
        tested.append(model.get_layer("last").kernel.numpy())
        return other(model)

    records, path = search(tmp_path, rounds=1, test=test, evaluations=3)
    assert len(tested) == len(records) > 1, "once at the end of each training"
    for record, kernel in zip(records, tested, strict=True):
        assert record["test_protocol"] == {"images": "halved"}
        assert record["protocol"] == {"images": len(IMAGES)}
        assert record["test_metrics"].keys() == record["metrics"].keys() == {"loss"}
        assert record["test_metrics"] != record["metrics"]
        assert record["metrics"] == record["curve"][-1]["metrics"]
        trained = ticket(path, record, "trained.safetensors")
        (kept,) = (v for name, v in trained.weights.items() if name.endswith("last/kernel"))
        np.testing.assert_array_equal(kept, kernel)


def test_without_test_images_there_are_no_test_metrics(searched):
    assert all(
        record.keys().isdisjoint({"test_metrics", "test_protocol"}) for record in searched[0]
    )


def test_a_training_is_followed_by_what_is_cheap(tmp_path):
    evaluated = []

    def check(metrics):
        evaluated.append(metrics)

    records, _ = search(tmp_path, rounds=1, watch=watch, evaluations=6, check=check)
    for record in records:
        *before, last = record["curve"]
        assert before and all(point["metrics"].keys() == {"loss", "cheap"} for point in before)
        assert last["metrics"] == record["metrics"] and last["metrics"].keys() == {"loss"}
    assert all(metrics.keys() == {"loss"} for metrics in evaluated)


@pytest.mark.parametrize("evaluations", [1, 3, 12])
def test_records_say_whether_a_training_had_settled(tmp_path, evaluations):
    def settled(model):
        return {"loss": 1.0, "worse": 1.0, "neither": 1.0}, {}

    def task_of(record):
        return record["converged"]

    directions = {"worse": True, "neither": None}
    with tt.RunFolder(tmp_path, {}) as folder:
        task = tt.search.Task(
            build, train, settled, NUM_STEPS, evaluations=evaluations, directions=directions
        )
        draw = tt.search.ByMagnitude(tt.IterativeSparsity(0.2, 1))
        records = tt.search.TicketSearch(task, draw, 1).run([0], folder)
    expected = {"loss": True, "worse": True} if evaluations == 12 else {}
    assert [task_of(record) for record in records] == [expected] * len(records)


def test_seconds_are_those_of_steps_of_draws_and_of_evaluations(tmp_path):
    def slow_train(*arguments):
        time.sleep(0.4)
        train(*arguments)

    def slow_evaluate(model):
        time.sleep(0.2)
        return {"loss": 1.0}, {}

    def slow_score(model, kernels, seed):
        time.sleep(0.8)
        return score_of_place(model, kernels, seed)

    with tt.RunFolder(tmp_path, {}) as folder:
        task = tt.search.Task(
            build, slow_train, slow_evaluate, NUM_STEPS, evaluations=2, test=slow_evaluate
        )
        draw = tt.search.ByScore(slow_score, tt.IterativeSparsity(0.2, 1))
        search = tt.search.TicketSearch(task, draw, 1, rewind_step=0, arms=[tt.search.Winning()])
        dense, winning = search.run([0], folder)
    # A little less than was slept: clocks of virtual machines are not exact.
    for record in (dense, winning):
        assert record["seconds"] > 1.9 * 0.4 and record["evaluation_seconds"] > 2.9 * 0.2
    assert dense["draw_seconds"] == 0 and winning["draw_seconds"] > 0.75


def test_trained_weights_are_kept_of_every_arm(searched):
    records, path = searched
    for record in records:
        trained = ticket(path, record, "trained.safetensors")
        if record["arm"] != "dense":
            for name, mask in ticket(path, record).masks.items():
                assert not trained.weights[name][~mask].any()


def test_records_of_several_seeds_are_those_of_the_file(tmp_path):
    records, path = search(tmp_path, seeds=(0, 1), rounds=1)
    found = tt.read_results(path / "results.jsonl")
    assert found == records and found.seeds == (0, 1)
    losses = [record["metrics"]["loss"] for record in of_arm(records, "winning")]
    deviation = found.where(arm="winning").deviation("loss")
    assert deviation == pytest.approx(np.std(losses, ddof=1)) and deviation > 0


class Attempts(Observer):
    """Trains, ruins the first calls of every stage, and notes the data seeds of all."""

    def __init__(self, failures):
        self.failures = failures
        self.seeds = {}

    def stage_begins(self, stage):
        self.seeds[stage.name] = self.seen = []

    def train(self, model, seed, start_step, stop_step):
        train(model, seed, start_step, stop_step)
        if len(self.seen) < self.failures:
            for variable in model.variables:
                if variable.dtype == "float32":
                    variable.assign(np.full(variable.shape, np.nan))
        self.seen.append(seed)


def test_a_training_that_diverged_is_begun_again_over_other_batches(tmp_path):
    attempts = Attempts(failures=1)
    records, path = search(
        tmp_path / "retried", attempts.train, rounds=2, retries=2, observers=[attempts]
    )
    assert [record["attempts"] for record in records] == [2] * 5
    (first,) = {seeds[0] for seeds in attempts.seeds.values()}
    (second,) = {seed for seeds in attempts.seeds.values() for seed in seeds[1:]}
    assert first != second

    def train_in_the_second_order(model, seed, start_step, stop_step):
        train(model, second, start_step, stop_step)

    clean, clean_path = search(tmp_path / "clean", train_in_the_second_order, rounds=2)
    assert [record["attempts"] for record in clean] == [1] * 5
    assert all_bits(path) == all_bits(clean_path), "nothing is left of the attempt that failed"


@pytest.mark.parametrize("retries", [0, 1])
def test_a_training_that_diverges_each_time_is_a_result(tmp_path, retries):
    search(tmp_path, rounds=1, arms=())
    attempts = Attempts(failures=retries + 1)
    records, path = search(
        tmp_path, attempts.train, rounds=2, retries=retries, observers=[attempts]
    )
    random = "seed-0/round-01/random"
    seeds = attempts.seeds[random]
    assert len(set(seeds)) == len(seeds) == retries + 1
    assert [bool(record["collapsed"]) for record in records] == [False, False, True, True, True]
    assert [record["attempts"] for record in records] == [1, 1, *2 * [retries + 1], 0]
    assert [file.name for file in (path / random).glob("*.safetensors")] == ["ticket.safetensors"]


@pytest.mark.slow
@pytest.mark.parametrize(("arm", "call"), [("dense", 0), ("winning", 1), ("random", 2)])
def test_a_network_that_is_worth_nothing_is_retried_in_any_arm(tmp_path, arm, call):
    options = {"rounds": 1, "seeds": (0, 1)}
    records, _ = search(tmp_path / "a", retries=1, check=refuse_calls(call), **options)
    assert not any(record["collapsed"] for record in records)
    of_seed = [record for record in records if record["seed"] == 0]
    assert {record["arm"] for record in of_seed if record["attempts"] == 2} == {arm}
    records, _ = search(tmp_path / "b", check=refuse_calls(call), **options)
    first, second = (records.where(seed=seed) for seed in (0, 1))
    assert not any(record["collapsed"] for record in second), "other seeds go on"
    collapsed = [record["collapsed"] for record in first]
    assert collapsed[:call] == [None] * call and collapsed[call] == "One image."
    assert all(reason.startswith("Not trained") for reason in collapsed[call + 1 :])
    assert [bool(record["metrics"]) for record in first] == [n <= call for n in range(3)]


def test_what_is_scored_before_any_training_needs_no_dense_network(tmp_path):
    options = {"rounds": 1, "score": score_of_place, "rewind_step": 0}
    prepared = []

    def prepare(model, dense):
        prepared.append(dense)

    attempts = Attempts(failures=1)
    attempts.seen = []  # ruins the dense training alone
    records, _ = search(tmp_path, attempts.train, prepare=prepare, **options)
    assert [bool(record["collapsed"]) for record in records] == [True, False, False]
    assert prepared == [None, None, None]


def test_nothing_is_made_from_a_dense_network_that_collapsed_before_the_rewind_point(tmp_path):
    attempts = Attempts(failures=1)
    attempts.seen = []
    options = {"rounds": 1, "score": score_of_place, "arms": ()}
    dense, winning = search(tmp_path, attempts.train, **options)[0]
    assert dense["ticket"] is None and dense["weight_sparsity"] == 0
    assert winning["collapsed"].startswith("Not trained: seed-0/round-00/dense collapsed")


def test_scores_that_choose_nothing_are_a_collapse_too(tmp_path):
    def score(model, kernels, seed):
        raise DivergedError("All scores are zero. Give more batches.")

    options = {"rounds": 1, "score": score, "rewind_step": 0}
    _, winning, random = search(tmp_path, **options)[0]
    assert winning["collapsed"] == "All scores are zero." and winning["ticket"] is None
    assert winning["kept"] == random["kept"] == round(0.8 * 256)


def test_every_training_is_prepared_with_the_trained_dense_weights(tmp_path):
    prepared = []

    def prepare(model, dense):
        prepared.append((dense, tt.take_snapshot(model)))
        for kernel in tt.prunable(model):
            kernel.assign(kernel + 1.0)

    begun = {}

    def spying_train(model, *arguments):
        begun.setdefault(len(prepared), tt.take_snapshot(model))
        train(model, *arguments)

    records, path = search(tmp_path, spying_train, rounds=2, prepare=prepare)
    trained = dense_weights(path)
    assert len(prepared) == len(records)
    assert prepared[0][0] is None
    for number, record in enumerate(records[1:], 2):
        dense, weights = prepared[number - 1]
        assert dense.keys() == trained.keys()
        assert all(np.array_equal(dense[name], value) for name, value in trained.items())
        found = ticket(path, record)
        for name, mask in found.masks.items():
            assert not weights[name][~mask].any(), "the masks are set before"
            prepared_weights = np.where(
                mask, weights[name] + 1, 0
            )  # they hold what was prepared, too
            np.testing.assert_array_equal(begun[number][name], prepared_weights)
            np.testing.assert_array_equal(found.weights[name], prepared_weights)


@pytest.fixture
def given():
    """Tickets found elsewhere: (seed, round) -> masks and weights of the pair's decoder."""
    random = np.random.default_rng(0)
    decoder = build_pair(99).components["decoder"]
    weights = {v.path: random.uniform(1, 2, size=v.shape) for v in decoder.variables}
    kernel = tt.prunable(decoder)[0].path
    tickets = {}
    for seed in (0, 1):
        masks = None
        for number, sparsity in ((1, 0.25 + seed / 8), (2, 0.75)):
            scores = {kernel: random.random(weights[kernel].shape)}
            masks = tt.global_masks(scores, sparsity, masks)
            of_round = {name: np.float32(value + number) for name, value in weights.items()}
            tickets[seed, number] = tt.Ticket(masks, of_round, {"found": "elsewhere"})
    return tickets


def test_transferred_tickets_are_trained_beside_own_ones_of_their_sparsity(given, tmp_path):
    steps = []

    def spying_train(model, seed, start_step, stop_step):
        steps.append((start_step, stop_step))
        train(model, seed, start_step, stop_step)

    records, path = search(
        tmp_path,
        spying_train,
        build=build_pair,
        seeds=(0, 1),
        rounds=2,
        scope="decoder",
        tickets=lambda seed, number: given[seed, number],
    )
    arms = ["winning", "transferred", "random"]
    assert [r["arm"] for r in records] == 2 * ["dense", *arms, *arms]
    # Only the winning arm has a rewind point; the others start where training does.
    of_round = [(4, NUM_STEPS), (0, NUM_STEPS), (0, NUM_STEPS)]
    assert steps == 2 * [(0, 4), (4, NUM_STEPS), *of_round, *of_round]
    for record in records:
        if record["arm"] == "dense":
            dense = tt.Ticket.load((path / record["ticket"]).with_name("trained.safetensors"))
            continue
        expected = given[record["seed"], record["round"]]
        found = ticket(path, record)
        assert record["kept"] == found.masks.num_kept == expected.masks.num_kept
        assert (found.masks == expected.masks) == (record["arm"] != "winning")
        if record["arm"] == "transferred":
            assert_masked(found, "decoder", expected.weights)
            transferred = in_part(found.weights, "encoder")
            encoder = transferred["encoder/wide/kernel"]
            assert not np.any(encoder == dense.weights["encoder/wide/kernel"])
        if record["arm"] == "random":
            assert np.abs(found.weights["decoder/out/kernel"]).max() < 1, "none of those given"
            assert_masked(found, "encoder", transferred)


def test_a_transferred_ticket_of_other_variables_is_refused(given, tmp_path):
    with pytest.raises(SettingError, match="no mask for encoder/wide/kernel"):
        search(tmp_path, build=build_pair, rounds=1, tickets=lambda *which: given[which])


def test_transferred_tickets_take_no_starts_and_have_to_be_enough():
    with pytest.raises(SettingError, match="takes no `starts`"):
        make_search(tickets=lambda *_: None, starts={"decoder": "fresh"})
    task = tt.search.Task(build, train, evaluate, NUM_STEPS)
    with pytest.raises(SettingError, match=r"tickets for 2 rounds\. Received: rounds=3"):
        tt.search.TicketSearch(task, tt.search.AsSparseAs(lambda *_: None, 2), 3)


@pytest.mark.parametrize(
    ("schedule", "idle"),
    [
        (tt.IterativeSparsity(0.2, 3), 4),
        (tt.ConstantSparsity(0.8, begin_step=3), 1),
        (tt.ConstantSparsity(0.8, begin_step=1, frequency=2), 2),
    ],
)
@pytest.mark.parametrize("score", [None, score_of_place])
def test_a_schedule_that_leaves_a_round_idle_is_refused(schedule, idle, score):
    with pytest.raises(SettingError, match=f"prunes nothing in round {idle}"):
        make_search(schedule=schedule, rounds=5, score=score)


def test_what_is_no_schedule_is_refused():
    with pytest.raises(SettingError, match=r"must be a PruningSchedule.*Received: schedule=0\.8"):
        tt.search.ByMagnitude(0.8)


def test_a_schedule_of_tf_mot_that_prunes_in_every_round_is_followed(tmp_path):
    schedule = tt.PolynomialDecay(0.0, 0.5, begin_step=0, end_step=2, power=1, frequency=1)
    records, _ = search(tmp_path, rounds=2, schedule=schedule, arms=())
    assert [r["weight_sparsity"] for r in of_arm(records, "winning")] == [0.25, 0.5]


@pytest.mark.parametrize("rewind_step", slow_but([0, 4], 4))
def test_with_scores_every_round_prunes_the_rewind_point(tmp_path, rewind_step):
    seeds = []

    def score(model, kernels, seed):
        seeds.append(seed)
        return score_of_place(model, kernels, seed)

    records, path = search(tmp_path, score=score, rewind_step=rewind_step, seeds=(0, 1))
    assert len(seeds) == len(set(seeds)) == 2, "once for all rounds of a seed"
    for record in of_arm(records, "winning"):
        weights = tt.Ticket.load(path / f"seed-{record['seed']}/round-00/dense/rewind.safetensors")
        found = ticket(path, record)
        random = np.random.default_rng(seeds[record["seed"]])
        scores = {
            name: np.abs(weights.weights[name]) * random.random(mask.shape)
            for name, mask in found.masks.items()
        }
        assert found.masks == tt.global_masks(scores, 1 - 0.8 ** record["round"])
        for name, mask in found.masks.items():
            np.testing.assert_array_equal(found.weights[name], weights.weights[name] * mask)
    assert [r["kept"] for r in of_arm(records, "random")] == [
        r["kept"] for r in of_arm(records, "winning")
    ]


@pytest.mark.slow
def test_scores_in_steps_see_what_the_steps_before_have_left(tmp_path):
    left = []

    def score(model, kernels, seed):
        left.append(sum(np.count_nonzero(kernel) for kernel in kernels))
        return tt.magnitude_scores(kernels)

    records, path = search(tmp_path / "steps", rounds=2, score=score, steps=4, rewind_step=0)
    pool = 8 * 16 + 16 * 8
    of_round = [
        [round((1 - 0.2) ** (number * step / 4) * pool) for step in (1, 2, 3)] for number in (1, 2)
    ]
    assert left == [pool, *of_round[0], *of_round[1]]
    # Magnitudes do not change with the masks, so one step draws the same ones.
    at_once, other = search(tmp_path / "once", rounds=2, score=score, rewind_step=0)
    for one, two in zip(of_arm(records, "winning"), of_arm(at_once, "winning"), strict=True):
        assert ticket(path, one).masks == ticket(other, two).masks


def test_rounds_that_are_scored_resume_with_the_same_bits(tmp_path):
    options = {"score": score_of_place, "steps": 3, "arms": ("shuffled",)}
    _, whole = search(tmp_path / "whole", rounds=2, **options)
    search(tmp_path / "resumed", rounds=1, score=score_of_place, steps=3, arms=())
    _, resumed = search(tmp_path / "resumed", rounds=2, **options)
    assert all_bits(whole) == all_bits(resumed)


def test_an_untrained_ticket_that_is_worth_nothing_is_a_result(tmp_path):
    options = {"rounds": 2, "score": score_of_place, "rewind_step": 0, "arms": ()}
    records, _ = search(tmp_path, check=refuse_calls(1), **options)
    assert [record["collapsed"] for record in records] == [None, "One image.", None]


@pytest.mark.parametrize("start", ["rewind", "fresh"])
def test_shuffled_tickets_have_the_same_weights_at_other_places(tmp_path, start):
    steps = []

    def spying_train(model, seed, start_step, stop_step):
        steps.append((start_step, stop_step))
        train(model, seed, start_step, stop_step)

    records, path = search(
        tmp_path,
        spying_train,
        build=build_pair,
        rounds=2,
        arms=("random", "shuffled"),
        starts={"decoder": start},
    )
    assert [r["arm"] for r in records] == ["dense", *2 * ["winning", "random", "shuffled"]]
    assert steps == [(0, 4), (4, 12), *2 * [(4, 12), (0, 12), (4, 12)]]
    for number in (1, 2):
        winning, _, shuffled = (
            ticket(path, record) for record in records if record["round"] == number
        )
        assert_masked(shuffled, "encoder", dense_weights(path, "rewind"))
        for name, mask in winning.masks.items():
            assert shuffled.masks[name].sum() == mask.sum()
            both = mask & shuffled.masks[name]
            assert both.any()
            np.testing.assert_array_equal(shuffled.weights[name][both], winning.weights[name][both])
        assert winning.masks != shuffled.masks
        assert records[3 * number]["kept"] == winning.masks.num_kept


def test_what_was_pruned_has_no_trained_values_to_be_shuffled_to(tmp_path):
    options = {"build": build_pair, "starts": {"decoder": "trained"}, "rounds": 1}
    with pytest.raises(SettingError, match="no trained values"):
        search(tmp_path / "a", arms=("shuffled",), **options)
    records, _ = search(tmp_path / "b", arms=("shuffled",), scope="encoder", **options)
    assert len(records) == 3


def test_a_search_runs_on_layers_without_names(tmp_path):
    """Keras numbers them over the whole process, so their paths differ in each model built."""

    def build(seed):
        keras.utils.set_random_seed(seed)
        layers = [keras.layers.Dense(4, activation="relu"), keras.layers.Dense(8)]
        model = keras.Sequential([keras.Input((8,)), *layers])
        model.compile("adam", loss="mse", jit_compile=False)
        return model

    search = make_search(build=build, rounds=1, rewind_step=0)
    for name in ("one", "two"):
        with tt.RunFolder(tmp_path / name, settings={"model": "toy"}) as folder:
            records = search.run(seeds=[0], folder=folder)
            (path,) = folder.path.glob("**/winning/ticket.safetensors")
        assert [record["arm"] for record in records] == ["dense", "winning", "random"]
        assert list(tt.Ticket.load(path).masks) == ["dense/kernel", "dense_1/kernel"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("of", ["evaluate", "watch", "test"])
def test_a_metric_that_is_not_finite_is_a_collapse(tmp_path, value, of, monkeypatch):
    """Nothing is pruned on it, be it at the end or on the way."""
    answer = {"loss": value}
    options = {"evaluate": {}, "watch": {"watch": lambda model: answer, "evaluations": 3}}
    options["test"] = {"test": lambda model: (answer, {})}
    if of == "evaluate":
        monkeypatch.setattr(f"{__name__}.evaluate", lambda model: (answer, {}))
    records, _ = search(tmp_path / "run", rounds=1, arms=(), **options[of])
    dense, winning = records
    assert f"Training diverged: its loss is {value}." == dense["collapsed"]
    assert winning["collapsed"].startswith("Not trained: seed-0/round-00/dense collapsed")
    assert dense["metrics"] == winning["metrics"] == {}


@pytest.mark.parametrize("answer", [None, 0.5, {"loss": 1.0}, ({"loss": "a"}, {}), ([0.5], {})])
def test_an_evaluation_that_is_no_metrics_is_named(tmp_path, answer, monkeypatch):
    monkeypatch.setattr(f"{__name__}.evaluate", lambda model: answer)
    with pytest.raises(SettingError, match="`evaluate` must return"):
        search(tmp_path / "run", rounds=1, arms=())


def test_metrics_of_numpy_and_tensorflow_are_numbers(tmp_path, monkeypatch):
    metrics = {"loss": np.float32(0.5), "score": tf.constant(2.0), "count": np.int64(3)}
    monkeypatch.setattr(f"{__name__}.evaluate", lambda model: (metrics, {}))
    records, path = search(tmp_path / "run", rounds=1, arms=())
    assert records[0]["metrics"] == {"loss": 0.5, "score": 2.0, "count": 3.0}
    assert tt.read_results(path / "results.jsonl") == records


@pytest.mark.parametrize("seeds", [[], [0, 0], [-1], [0.5], ["a"], None, 3, [True, 1]])
def test_seeds_that_are_none_are_named(tmp_path, seeds):
    with pytest.raises(SettingError, match="`seeds` must be different whole numbers"):
        search(tmp_path / "run", seeds=seeds)


def test_seeds_of_numpy_are_seeds(tmp_path):
    records, _ = search(tmp_path / "run", seeds=np.arange(2), rounds=1, arms=())
    assert records.seeds == (0, 1)


@pytest.mark.parametrize("rounds", [200, 10**8])
def test_rounds_that_leave_nothing_are_refused_at_once(rounds):
    with pytest.raises(SettingError, match=f"Received: rounds={rounds}, at whose end"):
        make_search(rounds=rounds)


def test_the_verdict_on_nothing_is_refused():
    with pytest.raises(SettingError, match="no record of the dense arm"):
        tt.search.judge([], "loss")
