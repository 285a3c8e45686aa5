import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
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


def search(path, train=train, seeds=(0,), settings=None, **options):
    """Run a small search and return (records, folder)."""
    options = {"rounds": 3, "rewind_step": 4, **options}
    searched = tt.IterativeMagnitudePruning(
        build,
        train,
        evaluate,
        num_steps=NUM_STEPS,
        schedule=tt.IterativeSparsity(0.2, options["rounds"]),
        **options,
    )
    with tt.RunFolder(path, settings or {}) as folder:
        return searched.run(seeds, folder), folder.path


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
    kernels = [
        ticket(path, record).weights["toy/first/kernel"] for record in of_arm(records, "random")
    ]
    kernels.append(ticket(path, records[0]).weights["toy/first/kernel"])
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


def test_one_shot_prunes_the_dense_network_at_once(tmp_path):
    records, path = search(tmp_path, one_shot=True)
    dense = tt.Ticket.load(path / "seed-0/round-00/dense/trained.safetensors")
    scores = {name: np.abs(dense.weights[name]) for name in dense.masks}
    for record in of_arm(records, "winning"):
        assert ticket(path, record).masks == tt.global_masks(scores, 1 - 0.8 ** record["round"])


def test_the_optimizer_is_fresh_or_restored(tmp_path):
    iterations = []

    def spying_train(model, seed, start_step, stop_step):
        iterations.append(int(model.optimizer.iterations))
        train(model, seed, start_step, stop_step)

    search(tmp_path / "fresh", spying_train, rounds=1)
    search(tmp_path / "restored", spying_train, rounds=1, restore_optimizer=True)
    # Dense to the rewind point, dense on from there, winning, random.
    assert iterations == [0, 4, 0, 0] + [0, 4, 4, 0]


def test_only_what_is_in_scope_is_pruned(tmp_path):
    records, path = search(tmp_path, scope=lambda variable: "last" in variable.path)
    last = of_arm(records, "winning")[-1]
    assert list(ticket(path, last).masks) == ["toy/last/kernel"]
    assert last["weight_sparsity"] == pytest.approx(1 - 0.8**3, abs=1 / 128)
    assert last["network_sparsity"] == pytest.approx(last["weight_sparsity"] / 2)


def test_seeds_differ_and_repeat(tmp_path):
    records, path = search(tmp_path, seeds=(0, 1), rounds=1)
    first, second = (ticket(path, record) for record in of_arm(records, "winning"))
    assert first.masks.distance(second.masks) > 0
    _, other_path = search(tmp_path / "again", seeds=(1,), rounds=1)
    assert all_bits(other_path).items() <= all_bits(path).items()


class Broken(Exception):
    pass


@pytest.mark.parametrize("calls", range(0, 8, 2))
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
    search(tmp_path, rounds=1, arms=("winning",))
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

    with pytest.raises(DivergedError, match="toy/last/kernel"):
        search(tmp_path, diverging_train)
    stages = sorted(file.parent.name for file in tmp_path.rglob("done.json"))
    assert stages == ["dense"]
    records, _ = search(tmp_path)
    assert len(records) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rewind_step": NUM_STEPS}, r"\[0, 12\)"),
        ({"rewind_step": -1}, "rewind_step"),
        ({"arms": ("random",)}, "arms"),
        ({"arms": ("winning", "lucky")}, "lucky"),
    ],
)
def test_settings_that_cannot_work_are_refused(options, message, tmp_path):
    schedule = tt.IterativeSparsity(0.2, 3)
    with pytest.raises(SettingError, match=message):
        tt.IterativeMagnitudePruning(
            build,
            train,
            evaluate,
            num_steps=NUM_STEPS,
            schedule=schedule,
            **{"rounds": 3, **options},
        )


def test_observers_are_told_of_every_stage(tmp_path):
    told = []

    class Notes:
        def search_begins(self, stages):
            told.append(len(stages))

        def stage_begins(self, stage):
            told.append(stage.name)

        def stage_ends(self, stage, record):
            told.append(json.dumps(record["metrics"]))

    records, _ = search(tmp_path, rounds=1, arms=("winning",), observers=[Notes()])
    dense, winning = (json.dumps(record["metrics"]) for record in records)
    assert told == [2, "seed-0/round-00/dense", dense, "seed-0/round-01/winning", winning]


def test_rounds_that_would_empty_a_layer_are_refused_before_any_training(tmp_path):
    def refusing_train(*arguments):
        raise AssertionError("trained")

    with pytest.raises(SettingError, match=r"leaves 1, fewer than the 2.*fewer rounds"):
        search(tmp_path, refusing_train, rounds=25)


def test_asking_for_less_keeps_the_lines_of_the_rest(tmp_path):
    records, path = search(tmp_path, rounds=2)
    fewer, _ = search(tmp_path, rounds=1, arms=("winning",))
    assert [(r["round"], r["arm"]) for r in fewer] == [(0, "dense"), (1, "winning")]
    assert tt.read_results(path / "results.jsonl") == records
