import keras
import numpy as np
import pytest

import tf_tickets as tt
from tf_tickets.pruning.zeros import apart_from_zero, has_yet_to_learn, mask_of_zeros

L = keras.layers


def network(**options):
    return keras.Sequential(
        [
            keras.Input((4,)),
            L.Dense(4, name="a"),
            L.Dense(4, name="b", **options),
            L.Dense(2, name="c"),
        ]
    )


@pytest.mark.parametrize(
    ("values", "mask"),
    [
        ([0.0, 1.0, 0.0], [False, True, False]),
        ([0.0, 0.0, -0.0], [True, True, True]),
        ([0.0, np.nan, 0.0], [False, True, False]),
        ([], []),
    ],
)
def test_zeros_are_a_mask_where_not_all_is_zero(values, mask):
    np.testing.assert_array_equal(mask_of_zeros(np.array(values)), np.array(mask, bool))
    assert has_yet_to_learn(np.array(values)) == (mask == [True] * 3)


def test_a_zero_kernel_has_a_mask_that_keeps_it_and_no_magnitudes():
    model = network(kernel_initializer="zeros")
    kernels = tt.prunable(model)
    assert tt.masks_of_zeros(model)["b/kernel"].all()
    with pytest.warns(UserWarning, match="^b/kernel: zero everywhere, so not ranked"):
        scores = tt.magnitude_scores(kernels)
    assert list(scores) == ["a/kernel", "c/kernel"]
    assert tt.global_masks(scores, 0.5).num_kept == 12


def test_an_identity_cannot_be_told_from_what_was_pruned():
    model = network(kernel_initializer="identity")
    np.testing.assert_array_equal(tt.masks_of_zeros(model)["b/kernel"], np.eye(4, dtype=bool))


def test_a_scheduled_pruner_leaves_a_zero_kernel_whole_until_it_has_learned():
    model = network(kernel_initializer="zeros")
    with tt.hold(model, tt.Masks.all_kept(tt.prunable(model))) as held:
        pruning = tt.GlobalPruning(lambda: 1, held, tt.ConstantSparsity(0.5, 1, frequency=1))
        with pytest.warns(UserWarning, match="b/kernel: zero everywhere"):
            pruning.conditional_mask_update()
        kept = {name: int(mask.sum()) for name, mask in held.masks.items()}
        assert kept["b/kernel"] == 16 and kept["a/kernel"] + kept["c/kernel"] == 12
        model.get_layer("b").kernel.assign(np.arange(1, 17).reshape(4, 4))
        pruning.conditional_mask_update()
        assert held.masks.num_kept == 20


def test_where_nothing_can_be_ranked_nothing_is_pruned():
    model = keras.Sequential([keras.Input((4,)), L.Dense(4, kernel_initializer="zeros")])
    with tt.hold(model, tt.Masks.all_kept(tt.prunable(model))) as held:
        pruning = tt.GlobalPruning(lambda: 1, held, tt.ConstantSparsity(0.5, 1, frequency=1))
        with pytest.warns(UserWarning, match="zero everywhere"):
            pruning.conditional_mask_update()
        assert held.masks.num_kept == 16


def test_a_kernel_that_began_at_zero_is_ranked_by_itself():
    model = network(kernel_initializer="zeros")
    kernels = tt.prunable(model)
    everything = set(kernels.names)
    apart = [{"a/kernel", "c/kernel"}, {"b/kernel"}]
    assert apart_from_zero(model, kernels, everything) == apart
    model.get_layer("b").kernel.assign(np.ones((4, 4)))
    assert apart_from_zero(model, kernels, everything) == apart, "its layer says how it began"
    assert apart_from_zero(model, kernels, {"b/kernel"}) == [{"b/kernel"}]
    model = network()
    assert apart_from_zero(model, tt.prunable(model), everything) == [everything]


def test_each_kernel_of_a_layer_has_its_own_initializer():
    model = keras.Sequential([keras.Input((3, 4)), L.LSTM(2, recurrent_initializer="zeros")])
    model.layers[0].cell.recurrent_kernel.assign(np.ones((2, 8)))
    kernels = tt.prunable(model)
    (zero,) = (name for name in kernels.names if "recurrent" in name)
    assert {zero} in apart_from_zero(model, kernels, set(kernels.names))


def test_a_score_of_magnitudes_may_leave_a_zero_kernel_out(tmp_path):
    def build(seed):
        keras.utils.set_random_seed(seed)
        model = network(kernel_initializer="zeros")
        model.compile("sgd", "mse", jit_compile=False)
        return model

    def train(model, seed, start_step, stop_step):
        for _ in range(start_step, stop_step):
            model.train_on_batch(np.ones((2, 4)), np.ones((2, 2)))

    task = tt.search.Task(build, train, lambda model: ({"loss": 0.0}, {}), num_steps=1)
    draw = tt.search.ByScore(
        lambda model, kernels, seed: tt.magnitude_scores(kernels), tt.IterativeSparsity(0.5, 1)
    )
    search = tt.search.TicketSearch(task, draw, rounds=1)
    with tt.RunFolder(tmp_path / "run", settings={"model": "toy"}) as folder:
        with pytest.warns(UserWarning, match="b/kernel: zero everywhere"):
            search.run(seeds=[0], folder=folder)
        (path,) = folder.path.glob("**/winning/ticket.safetensors")
        assert tt.Ticket.load(path).masks["b/kernel"].all()
