import keras
import ml_dtypes
import numpy as np
import pytest

from tf_tickets import DivergedError, Masks, SettingError, global_masks, magnitude_scores
from tf_tickets.pruning.selection import pooled_masks


def drawn(masks):
    return {path: mask.astype(int).tolist() for path, mask in masks.items()}


def slow_reference(scores, num_kept, within=None):
    """Keep by sorting on (-score, place in the pool); each variable's best is certain."""
    pool, place = [], 0
    for path, score in scores.items():
        for index, value in enumerate(score.ravel().tolist()):
            if within is None or within[path].ravel()[index]:
                pool.append((-value, place, path, index))
            place += 1
    pool.sort()
    best = {}
    for entry in pool:
        best.setdefault(entry[2], entry)
    kept = pool[:num_kept]
    if {entry[2] for entry in kept} != set(best):
        others = [entry for entry in pool if entry not in best.values()]
        kept = [*best.values(), *others[: num_kept - len(best)]]
    masks = {path: np.zeros(score.shape, bool) for path, score in scores.items()}
    for _, _, path, index in kept:
        masks[path].ravel()[index] = True
    return Masks(masks)


def test_by_hand():
    scores = {"a": np.array([0.1, 0.9, 0.5]), "b": np.array([[0.7, 0.2], [0.3, 0.8]])}
    assert drawn(global_masks(scores, 3 / 7)) == {"a": [0, 1, 1], "b": [[1, 0], [0, 1]]}
    assert drawn(global_masks(scores, 0.0)) == {"a": [1, 1, 1], "b": [[1, 1], [1, 1]]}
    assert drawn(global_masks(scores, 5 / 7)) == {"a": [0, 1, 0], "b": [[0, 0], [0, 1]]}


def test_of_equal_scores_the_first_is_kept():
    scores = {"z": np.array([1.0, 0.5, 0.5]), "a": np.array([[0.5, 0.5], [1.0, 0.5]])}
    # The order of the mapping counts, not that of the names; then the index in C order.
    assert drawn(global_masks(scores, 2 / 7)) == {"z": [1, 1, 1], "a": [[1, 0], [1, 0]]}
    assert drawn(global_masks(scores, 4 / 7)) == {"z": [1, 1, 0], "a": [[0, 0], [1, 0]]}


def test_all_scores_equal():
    scores = {"a": np.zeros(4), "b": np.zeros(4)}
    assert drawn(global_masks(scores, 0.25)) == {"a": [1, 1, 1, 1], "b": [1, 1, 0, 0]}
    # `b` would be emptied; it keeps its first, and `a` gives up its last.
    assert drawn(global_masks(scores, 0.5)) == {"a": [1, 1, 1, 0], "b": [1, 0, 0, 0]}


def test_minus_zero_ties_with_zero():
    scores = {"a": np.array([-0.0, 0.0, -0.0, 0.0], np.float32)}
    assert drawn(global_masks(scores, 0.5)) == {"a": [1, 1, 0, 0]}


def test_a_variable_is_never_emptied():
    scores = {
        "weak": np.array([0.01, 0.03, 0.02]),
        "strong": np.array([5.0, 6.0, 7.0, 8.0]),
        "weaker": np.array([0.001]),
    }
    masks = global_masks(scores, 4 / 8)
    assert drawn(masks) == {"weak": [0, 1, 0], "strong": [0, 0, 1, 1], "weaker": [1]}
    # As few as there are variables: each keeps just its best.
    masks = global_masks(scores, 5 / 8)
    assert drawn(masks) == {"weak": [0, 1, 0], "strong": [0, 0, 0, 1], "weaker": [1]}
    with pytest.raises(SettingError, match="leaves 2, fewer than the 3 variables"):
        global_masks(scores, 6 / 8)


def test_what_is_removed_stays_removed():
    scores = {"a": np.array([9.0, 1.0, 2.0, 3.0]), "b": np.array([8.0, 4.0])}
    within = Masks({"a": np.array([False, True, True, True]), "b": np.array([True, True])})
    assert drawn(global_masks(scores, 0.5, within)) == {"a": [0, 0, 0, 1], "b": [1, 1]}
    assert global_masks(scores, 1 / 6, within) == within


def test_a_variable_that_was_emptied_before_stays_empty():
    scores = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    within = Masks({"a": np.array([False, False]), "b": np.array([True, True])})
    assert drawn(global_masks(scores, 0.5, within)) == {"a": [0, 0], "b": [1, 1]}


@pytest.mark.parametrize("seed", range(150))
def test_agrees_with_a_full_sort(seed):
    random = np.random.default_rng(seed)
    shapes = [
        tuple(random.integers(1, 7, size=random.integers(1, 5)))
        for _ in range(random.integers(1, 6))
    ]
    levels = random.choice([1, 2, 5, 1000])  # of one level all scores tie, of a thousand few do
    dtype = random.choice(["float32", "float64", "float16"])
    scale = 10.0 ** random.integers(-4, 2)
    scores = {
        f"v{number}": (random.integers(0, levels, size=shape) * scale).astype(dtype)
        for number, shape in enumerate(shapes)
    }
    scores["v0"] -= scores["v0"].dtype.type(random.choice([0, 1e4]))  # sometimes a hopeless layer
    pool = sum(score.size for score in scores.values())
    within = None
    # Rounds within the round before, as a search makes them.
    for num_kept in sorted(random.integers(len(scores), pool + 1, size=4), reverse=True):
        masks = global_masks(scores, 1 - num_kept / pool, within)
        assert masks.num_kept == num_kept
        assert masks == slow_reference(scores, num_kept, within)
        assert all(mask.any() for mask in masks.values())
        assert within is None or masks <= within
        within = masks


@pytest.mark.parametrize("levels", [3, 1_000, 10_000_000])
def test_agrees_with_a_full_sort_on_a_huge_layer(levels):
    """Large enough that the sampled bracket does the work: small next to huge, and with ties."""
    random = np.random.default_rng(levels)
    scores = {
        "small": random.integers(0, levels, 10).astype("float32"),
        "huge": random.integers(0, levels, (700, 1000)).astype("float32"),
        "sorted": np.sort(random.integers(0, levels, 300_000).astype("float32")),
    }
    flat = np.concatenate([score.ravel() for score in scores.values()])
    layers = np.repeat([0, 1, 2], [score.size for score in scores.values()])
    best = [np.argmax(np.where(layers == layer, flat, -1)) for layer in range(3)]
    for sparsity in (0.001, 0.2, 0.67, 0.99, 0.9999):
        num_kept = round((1 - sparsity) * flat.size)
        kept = np.argsort(-flat, kind="stable")[:num_kept]
        if len(np.unique(layers[kept])) < 3:  # a layer that would be emptied
            certain = flat.copy()
            certain[best] = np.inf
            kept = np.argsort(-certain, kind="stable")[:num_kept]
        masks = global_masks(scores, sparsity)
        found = np.concatenate([mask.ravel() for mask in masks.values()])
        np.testing.assert_array_equal(np.flatnonzero(found), np.sort(kept))


def test_a_sample_that_misleads_does_no_harm():
    """Every stride-th score is one the sample sees; here it sees none of the others' range."""
    scores = np.random.default_rng(0).random(1_000_000).astype("float32")
    scores[:: 1_000_000 // 65_536] = 7.0
    masks = global_masks({"k": scores}, 0.5)
    threshold = np.sort(scores)[500_000]
    assert masks.num_kept == 500_000
    assert scores[masks["k"]].min() == threshold


def test_twenty_rounds_of_a_fifth_keep_exact_counts():
    """K3: 0.2, 0.36, 0.488, ... 0.9885, each to within one weight of the pool."""
    random = np.random.default_rng(1)
    scores = {f"v{n}": random.normal(size=n * 997 + 11) for n in range(5)}
    pool = sum(score.size for score in scores.values())
    masks, sparsities = None, []
    for number in range(1, 21):
        smaller = global_masks(scores, 1 - 0.8**number, within=masks)
        assert masks is None or smaller <= masks
        assert smaller.num_kept == round(0.8**number * pool)
        masks = smaller
        sparsities.append(masks.sparsity)
    np.testing.assert_allclose(sparsities[:3], [0.2, 0.36, 0.488], atol=0.5 / pool)
    assert abs(sparsities[-1] - 0.98847) < 1 / pool + 1e-5


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 1.5, float("nan")])
def test_sparsity_is_a_fraction_below_one(sparsity):
    with pytest.raises(SettingError, match=r"`sparsity` must be in \[0, 1\)"):
        global_masks({"k": np.ones(10)}, sparsity)


@pytest.mark.parametrize(("percent", "fraction"), [(90, "0.9"), (99.9, "0.999"), (7, "0.07")])
def test_a_percentage_is_recognised(percent, fraction):
    with pytest.raises(SettingError, match=rf"Did you mean {fraction}\?$"):
        global_masks({"k": np.ones(10)}, percent)


def test_removed_weights_do_not_come_back():
    scores = {"k": np.arange(10.0)}
    masks = global_masks(scores, 0.5)
    with pytest.raises(SettingError, match=r"sparsity 0.4000: 0.5000 is removed already"):
        global_masks(scores, 0.4, within=masks)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 5, -1])
def test_a_score_that_is_no_number_is_named(bad, place):
    scores = {"good": np.ones(5), "conv/kernel": np.ones(10)}
    scores["conv/kernel"][place] = bad
    with pytest.raises(DivergedError, match="conv/kernel is NaN or infinite: nothing was pruned"):
        global_masks(scores, 0.5)


def test_within_has_to_be_of_the_same_variables():
    scores = {"k": np.ones(4)}
    for other in (
        Masks({}),
        Masks({"k": np.ones(5, bool)}),
        Masks({"k": np.ones(4, bool), "extra": np.ones(1, bool)}),
    ):
        with pytest.raises(SettingError, match="masks to stay within are of different variables"):
            global_masks(scores, 0.5, within=other)


def test_no_scores_is_an_error():
    with pytest.raises(SettingError, match="no scores"):
        global_masks({}, 0.5)


def test_the_scores_are_left_as_they_were():
    scores = {"a": np.array([0.1, 0.2]), "b": np.array([5.0, 6.0, 7.0])}
    before = {path: score.copy() for path, score in scores.items()}
    global_masks(scores, 0.6)
    for path, score in scores.items():
        np.testing.assert_array_equal(score, before[path])


def test_each_pool_has_a_threshold_of_its_own():
    scores = {
        "a": np.array([5.0, 6.0, 7.0, 8.0]),
        "b": np.array([1.0, 2.0]),
        "c": np.array([4.0, 3.0]),
    }
    within = Masks({path: np.ones(score.shape, bool) for path, score in scores.items()})
    found = pooled_masks(scores, 0.5, within, [{"a"}, {"c", "b"}])
    assert {path: mask.tolist() for path, mask in found.items()} == {
        "a": [False, False, True, True],
        "b": [False, True],  # its best, as no variable is emptied
        "c": [True, False],
    }
    assert list(found) == list(within), "the order of the variables settles ties"
    with pytest.raises(SettingError, match=r"c is absent in the first and \(2,\) in the second"):
        pooled_masks({path: scores[path] for path in "ab"}, 0.5, within, [{"a"}, {"b", "c"}])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0], 0.5), r"`scores` must map variable names to arrays, as tt\.magnitude_scores"),
        (({"a": np.ones(4)}, "0.5"), "`sparsity` must be a number. Received: sparsity='0.5'"),
        (({"a": np.ones(4)}, None), "`sparsity` must be a number. Received: sparsity=None"),
    ],
)
def test_the_wrong_types_are_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        global_masks(*arguments)


def test_scores_are_of_kernels_not_of_a_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(
        SettingError, match=r"must be Keras variables, as tt\.prunable\(model\) returns"
    ):
        magnitude_scores(model)


@pytest.mark.parametrize(
    ("score", "received"),
    [
        ([1.0, 2.0], "list"),
        (3.0, "float"),
        (np.ones(2, complex), "complex128"),
        (np.array(["a", "b"]), "<U1"),
        (np.array([None, 1.0]), "object"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_score_is_named(score, received):
    within = Masks({"k": np.ones(2, bool)})
    for masks in (None, within):
        with pytest.raises(SettingError, match=f"NumPy array .* Received for k: {received}"):
            global_masks({"k": score}, 0.5, masks)
    with pytest.raises(SettingError, match=f"Received for k: {received}"):
        pooled_masks({"k": score}, 0.5, within, [{"k"}])


@pytest.mark.parametrize("dtype", ["float16", "float64", "int32", "uint8", ml_dtypes.bfloat16])
def test_real_numbers_of_any_type_are_scores(dtype):
    masks = global_masks({"k": np.array([3, 1, 2, 0]).astype(dtype)}, 0.5)
    assert masks["k"].tolist() == [True, False, True, False]
