"""The early-bird search: dense, then watched until the masks settle, slimmed and trained on."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.quick import slow_but

NUM_STEPS = 12
IMAGES = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")


def build(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, name="first"),
            keras.layers.BatchNormalization(name="bn", momentum=0.5),
            keras.layers.ReLU(name="relu"),
            keras.layers.Dense(8, name="last"),
        ],
        name="toy",
    )
    model.compile(keras.optimizers.Adam(0.01), loss="mse", jit_compile=False)
    return model


class Trainer:
    """Trains, and notes the widths and steps of what it trained."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, seed, start_step, stop_step):
        self.calls.append((model.get_layer("first").units, start_step, stop_step))
        order = np.random.default_rng(seed).integers(len(IMAGES), size=(NUM_STEPS, 16))
        batches = IMAGES[order[start_step:stop_step]]
        model.fit(tf.data.Dataset.from_tensor_slices((batches, batches)), verbose=0, shuffle=False)


def evaluate(model):
    return {"loss": model.evaluate(IMAGES, IMAGES, verbose=0)}, {"images": len(IMAGES)}


OF_TASK = ("evaluations", "watch", "test", "directions", "check", "prepare", "illustrate")


def search(path, train=None, seeds=(0,), **options):
    """Run a small search and return (records, folder)."""
    options = {"channel_sparsity": (0.5,), "draw_every": 2, "look_back": 2, **options}
    options = {"mask_distance": 1.0, **options}  # settles as soon as there are enough masks
    of_task = {name: options.pop(name) for name in OF_TASK if name in options}
    task = tt.search.Task(build, train or Trainer(), evaluate, NUM_STEPS, **of_task)
    searched = tt.search.EarlyBirdSearch(task, **options)
    with tt.RunFolder(path, {}) as folder:
        return searched.run(seeds, folder), folder.path


def of_arm(records, arm):
    return [record for record in records if record["arm"] == arm]


def weights(ticket, name):
    """Return one of a ticket's weights, by the end of its path."""
    (found,) = [value for path, value in ticket.weights.items() if path.endswith(name)]
    return found


def all_bits(path):
    return {
        file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*.safetensors")
    }


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    return search(tmp_path_factory.mktemp("run"), channel_sparsity=(0.25, 0.5))


def test_it_trains_until_the_draw_then_slim_to_the_same_last_step(tmp_path):
    train = Trainer()
    search(tmp_path, train)
    assert train.calls == [
        (16, 0, 12),
        *[(16, 0, 2), (16, 2, 4), (16, 4, 6), (8, 6, 12)],  # drawn from the third masks on
        (8, 0, 12),
    ]


def test_records_say_when_it_was_drawn_and_what_is_left(searched):
    records, path = searched
    assert [(r["round"], r["arm"]) for r in records] == [
        (0, "dense"),
        *[(1, "winning"), (1, "random"), (2, "winning"), (2, "random")],
    ]
    whole = 8 * 16 + 16 * 8
    for record in records:
        width = round(16 * (1 - record["channel_sparsity"]))
        assert record["kept"] == 2 * 8 * width and record["prunable"] == whole
        assert record["weight_sparsity"] == 1 - record["kept"] / whole
    for record in of_arm(records, "winning"):
        assert record["drawn_step"] == 6 and record["settled"]
        assert [len(drawn["distances"]) for drawn in record["distances"]] == [0, 1, 2]
    assert records == tt.read_results(path / "results.jsonl")


def test_where_nothing_settles_the_last_masks_are_drawn_and_it_is_said(tmp_path):
    records, _ = search(tmp_path, look_back=9)
    (record,) = of_arm(records, "winning")
    assert record["drawn_step"] == 10 and not record["settled"]


def test_the_slim_network_goes_on_from_the_drawn_weights(tmp_path):
    """Its weights before any further step are those of the whole network, cut."""
    kept = []

    def train(model, seed, start_step, stop_step):
        if model.get_layer("first").units < 16:
            kept.append(model.get_layer("last").kernel.numpy())
        Trainer()(model, seed, start_step, stop_step)

    _, path = search(tmp_path, train, random_arm=False)
    ticket = tt.Ticket.load(path / "seed-0/round-01/winning/ticket.safetensors")
    (mask,) = ticket.masks.values()
    np.testing.assert_array_equal(kept[0], weights(ticket, "last/kernel")[mask])


def test_all_rounds_and_arms_start_as_they_should(searched):
    _, path = searched
    dense = tt.Ticket.load(path / "seed-0/round-00/dense/ticket.safetensors")
    fresh = [
        tt.Ticket.load(path / f"seed-0/round-0{number}/random/ticket.safetensors")
        for number in (1, 2)
    ]
    starts = [weights(each, "first/kernel") for each in (dense, *fresh)]
    assert not any(np.array_equal(starts[i], starts[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    for number, ticket in enumerate(fresh, 1):
        winning = tt.Ticket.load(path / f"seed-0/round-0{number}/winning/ticket.safetensors")
        assert winning.masks == ticket.masks


def test_a_trained_ticket_can_be_made_again(searched):
    records, path = searched
    (record,) = [r for r in of_arm(records, "winning") if r["round"] == 2]
    stage = path / "seed-0/round-02/winning"
    model = tt.search.rebuild_slim(
        build, stage / "ticket.safetensors", stage / "trained.safetensors"
    )
    assert model.get_layer("first").units == 8
    assert evaluate(model)[0]["loss"] == pytest.approx(record["metrics"]["loss"], rel=1e-6)


@pytest.mark.slow
def test_without_its_control_the_tickets_are_the_same(searched, tmp_path):
    records, path = search(tmp_path, channel_sparsity=(0.25, 0.5), random_arm=False)
    assert [record["arm"] for record in records] == ["dense", "winning", "winning"]
    assert all_bits(path).items() < all_bits(searched[1]).items()


@pytest.mark.slow
def test_widths_can_be_rounded(tmp_path):
    records, _ = search(tmp_path, channel_sparsity=(0.6,), round_to=4)
    assert {record["kept"] for record in records if record["round"]} == {2 * 8 * 8}


@pytest.mark.parametrize("calls", slow_but(range(0, 6, 2), 2))
def test_a_search_that_is_broken_off_resumes_to_the_same_bits(searched, tmp_path, calls):
    class Broken(Exception):
        pass

    class BreaksOff(Trainer):
        def __call__(self, *args):
            if len(self.calls) == calls:
                raise Broken
            super().__call__(*args)

    with pytest.raises(Broken):
        search(tmp_path, BreaksOff(), channel_sparsity=(0.25, 0.5))
    search(tmp_path, channel_sparsity=(0.25, 0.5))
    assert all_bits(tmp_path) == all_bits(searched[1])


def test_finished_stages_are_not_trained_again(searched):
    train = Trainer()
    records, _ = search(searched[1], train, channel_sparsity=(0.25, 0.5))
    assert not train.calls and records == searched[0]


def test_evaluations_lie_on_one_grid_and_change_no_training(searched, tmp_path):
    records, path = search(tmp_path, channel_sparsity=(0.25, 0.5), evaluations=4)
    for record in records:
        assert [point["step"] for point in record["curve"]] == [3, 6, 9, 12]
    assert all_bits(path) == all_bits(searched[1])


def test_seeds_differ(tmp_path):
    records, _ = search(tmp_path, seeds=(0, 1), random_arm=False)
    first, second = of_arm(records, "winning")
    losses = [record["metrics"]["loss"] for record in (first, second)]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("once_slim", [True, False])
def test_a_ticket_that_diverges_is_a_result_and_its_control_is_not_trained(tmp_path, once_slim):
    calls = []

    def train(model, seed, start_step, stop_step):
        Trainer()(model, seed, start_step, stop_step)
        calls.append(stop_step)
        if model.get_layer("first").units < 16 or (not once_slim and len(calls) == 2):
            model.get_layer("last").bias.assign(np.full(8, np.nan))

    (dense, winning, random), path = search(tmp_path, train)
    assert dense["collapsed"] is None
    assert winning["collapsed"] == "Training diverged: last/bias is NaN or infinite."
    assert winning["metrics"] == random["metrics"] == {}
    assert ("drawn_step" in winning) == once_slim
    assert winning["kept"] == random["kept"] == 2 * 8 * 8
    assert (winning["ticket"] is None) == (not once_slim)
    assert random["collapsed"] == (
        "Not trained: seed-0/round-01/winning collapsed, from which it would have been made."
    )
    assert (random["ticket"], random["attempts"], random["curve"]) == (None, 0, [])
    assert not list((path / "seed-0/round-01/random").glob("*.safetensors"))
    again, _ = search(tmp_path, lambda *arguments: pytest.fail("trained again"))
    assert again == [dense, winning, random]


def test_every_training_from_the_start_is_prepared(tmp_path):
    """The random control's too, which begins as a slim network."""
    begun, train = [], Trainer()

    def prepare(model, dense):
        begun.append((model.get_layer("first").units, dense, len(train.calls)))

    search(tmp_path, train, prepare=prepare)
    # Before each call that starts at step 0: what is drawn goes on, and is not begun again.
    first_calls = [i for i, (_, start, _) in enumerate(train.calls) if start == 0]
    assert begun == [(width, None, i) for width, i in zip((16, 16, 8), first_calls, strict=True)]


def test_a_dense_network_that_is_worth_nothing_ends_no_round(tmp_path):
    answers = iter([tt.DivergedError("nothing"), None, None])

    def refuse(metrics):
        if answer := next(answers):
            raise answer

    records, _ = search(tmp_path, check=refuse)
    assert [record["collapsed"] for record in records] == ["nothing.", None, None]
    assert all(record["metrics"] for record in records)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draw_every": 0}, "`draw_every` must be from 1"),
        ({"draw_every": 12}, "`draw_every` must be from 1"),
        ({"channel_sparsity": ()}, "`channel_sparsity`"),
        ({"channel_sparsity": (0.5, 0.3)}, "`channel_sparsity`"),
        ({"channel_sparsity": (1.0,)}, r"must be in \[0, 1\)"),
        ({"mask_distance": 0.0}, "`mask_distance`"),
        ({"look_back": 0}, "`look_back`"),
        ({"scale_penalty": -1.0}, "`scale_penalty`"),
        ({"round_to": 0}, "`round_to`"),
        ({"evaluations": 0}, "`evaluations` must be from 1 to the 12 steps"),
        ({"evaluations": 13}, "`evaluations` must be from 1 to the 12 steps"),
        ({"pool": "network"}, "`pool`"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_any_training(options, message, tmp_path):
    train = Trainer()
    with pytest.raises(tt.SettingError, match=message):
        search(tmp_path, train, **options)
    assert not train.calls


def test_records_have_what_other_searches_have(tmp_path):
    def test(model):
        return {"loss": 2.0}, {"images": "others"}

    records, path = search(
        tmp_path, test=test, watch=lambda model: {"loss": 1.0}, evaluations=NUM_STEPS // 2
    )
    for record in records:
        assert (record["test_metrics"], record["test_protocol"]) == (
            *({"loss": 2.0}, {"images": "others"}),
        )
        *before, last = [point["metrics"]["loss"] for point in record["curve"]]
        assert set(before) == {1.0} and last == record["metrics"]["loss"]
        assert record["converged"].keys() <= {"loss"}
        assert record["seconds"] > 0 and record["evaluation_seconds"] > 0
        assert (path / record["ticket"]).with_name("trained.safetensors").exists()


def test_a_ranking_is_asked_for_by_names_that_there_are(tmp_path):
    with pytest.raises(TypeError, match="pol"):
        search(tmp_path, pol="layer")


def test_tickets_and_their_control_by_norm(tmp_path):
    train = Trainer()
    records, path = search(tmp_path, train, by="norm")
    assert train.calls[-1] == (8, 0, 12), "the control has the ticket's widths"
    for record in records[1:]:
        ticket = tt.Ticket.load(path / record["ticket"])
        assert ticket.masks["first/kernel"].shape == (8, 16)
        assert ticket.masks["first/kernel"].any(axis=0).sum() == 8
    winning, random = (of_arm(records, arm) for arm in ("winning", "random"))
    assert winning[0]["kept"] == random[0]["kept"] == 8 * 8 * 2
