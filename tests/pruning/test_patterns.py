import numpy as np
import pytest

from tf_tickets import DivergedError, Masks, SettingError, global_masks
from tf_tickets.pruning import patterns
from tf_tickets.pruning.kernel_matrices import KernelMatrix
from tf_tickets.pruning.patterns import check_pattern

RANDOM = np.random.default_rng(0)


def as_they_are(scores):
    """Return matrices by which a kernel is (..., inputs, outputs)."""
    return {
        path: KernelMatrix((s.ndim - 2,), (s.ndim - 1,), tuple(range(s.ndim - 2)))
        for path, s in scores.items()
    }


def block_masks(scores, *arguments, **options):
    return patterns.block_masks(scores, *arguments, **options, matrices=as_they_are(scores))


def m_by_n_masks(scores, *arguments, **options):
    return patterns.m_by_n_masks(scores, *arguments, **options, matrices=as_they_are(scores))


def all_kept(scores):
    return Masks({path: np.ones(score.shape, bool) for path, score in scores.items()})


def test_blocks_by_hand():
    scores = {"a": np.array([[1, 9, 1, 1, 5], [1, 1, 2, 2, 5.0]])}
    masks = block_masks(scores, 0.5, all_kept(scores), [{"a"}], block_size=(1, 2))
    # Means of the blocks, the last of each row cut off: [5, 1, 5] and [1, 2, 5].
    expected = [[True, True, False, False, True], [False, False, False, False, True]]
    np.testing.assert_array_equal(masks["a"], expected)


@pytest.mark.parametrize("shape", [(12, 16), (3, 3, 8, 8), (5, 6, 7), (2, 2, 2, 3, 5)])
@pytest.mark.parametrize("block_size", [(1, 4), (2, 2), (4, 1), (3, 3)])
def test_every_block_is_kept_or_removed_as_a_whole(shape, block_size):
    scores = {"a": RANDOM.random(shape), "b": RANDOM.random((9, 10))}
    masks = block_masks(scores, 0.7, all_kept(scores), [{"a", "b"}], block_size=block_size)
    num_blocks = num_kept = 0
    for mask in masks.values():
        rows, columns = block_size
        for place in np.ndindex(mask.shape[:-2]):
            for row in range(0, mask.shape[-2], rows):
                for column in range(0, mask.shape[-1], columns):
                    block = mask[place][row : row + rows, column : column + columns]
                    assert block.all() or not block.any()
                    num_blocks += 1
                    num_kept += block.all()
    assert num_kept == round((1 - 0.7) * num_blocks)


def test_blocks_of_one_weight_are_weights():
    scores = {"a": RANDOM.random((4, 6)), "b": RANDOM.random((3, 5))}
    masks = block_masks(scores, 0.6, all_kept(scores), [{"a", "b"}], block_size=(1, 1))
    assert masks == global_masks(scores, 0.6)


def test_each_pool_of_blocks_has_its_own_threshold():
    scores = {"a": RANDOM.random((4, 8)), "b": 10 + RANDOM.random((8, 8))}
    masks = block_masks(scores, 0.5, all_kept(scores), [{"a"}, {"b"}], block_size=(1, 4))
    assert masks["a"].mean() == masks["b"].mean() == 0.5


def test_removed_blocks_do_not_come_back():
    scores = {"a": RANDOM.random((8, 8))}
    first = block_masks(scores, 0.5, all_kept(scores), [{"a"}], block_size=(2, 2))
    other = {"a": 1 - scores["a"]}
    second = block_masks(other, 0.75, first, [{"a"}], block_size=(2, 2))
    assert second <= first and second.sparsity == 0.75


def test_of_a_block_that_is_kept_what_was_removed_stays_removed():
    """Masks of weights, within which blocks are drawn later."""
    scores = {"a": np.arange(1.0, 17).reshape(4, 4)}
    within = Masks({"a": np.eye(4, dtype=bool) | (scores["a"] > 8)})
    masks = block_masks(scores, 0.5, within, [{"a"}], block_size=(2, 2))
    expected = within["a"] & (scores["a"] > 8)
    np.testing.assert_array_equal(masks["a"], expected)
    within = Masks({"a": ~np.eye(4, dtype=bool)})
    masks = m_by_n_masks(scores, 0.5, within, [{"a"}], m_by_n=(2, 4))
    np.testing.assert_array_equal(masks["a"], within["a"] & (scores["a"] > 8))


@pytest.mark.parametrize("shape", [(8, 5), (10, 4), (3, 3, 8, 4), (16, 2, 4), (3, 8, 6)])
@pytest.mark.parametrize("m_by_n", [(2, 4), (1, 4), (1, 2)])
def test_of_every_n_inputs_the_m_lowest_go(shape, m_by_n):
    score = RANDOM.random(shape)
    m, n = m_by_n
    mask = m_by_n_masks({"a": score}, 0.0, all_kept({"a": score}), [{"a"}], m_by_n=m_by_n)["a"]
    columns = np.moveaxis(score, -2, -1).reshape(-1, shape[-2])
    kept = np.moveaxis(mask, -2, -1).reshape(-1, shape[-2])
    for row, kept_row in zip(columns, kept, strict=True):
        for start in range(0, shape[-2], n):
            values, kept_values = row[start : start + n], kept_row[start : start + n]
            expected = np.sort(values)[::-1][: n - m]
            np.testing.assert_array_equal(np.sort(values[kept_values])[::-1], expected)


def test_a_pattern_of_what_is_pruned_already_changes_nothing():
    score = RANDOM.random((8, 4))
    once = m_by_n_masks({"a": score}, 0.0, all_kept({"a": score}), [{"a"}], m_by_n=(2, 4))
    again = m_by_n_masks({"a": score * once["a"]}, 0.0, once, [{"a"}], m_by_n=(2, 4))
    assert again == once


def test_patterns_lie_along_the_inputs_wherever_these_are():
    score = RANDOM.random((3, 3, 5, 8))  # of a transposed convolution: the inputs are last
    matrices = {"a": KernelMatrix((3,), (2,), (0, 1))}
    arguments = ({"a": score}, 0.5, all_kept({"a": score}), [{"a"}])
    halves = patterns.m_by_n_masks(*arguments, m_by_n=(2, 4), matrices=matrices)["a"]
    assert np.all(halves.reshape(-1, 4).sum(1) == 2)
    blocks = patterns.block_masks(*arguments, block_size=(4, 1), matrices=matrices)["a"]
    assert np.all(np.isin(blocks.reshape(-1, 4).sum(1), (0, 4))) and blocks.mean() == 0.5


def test_scores_that_are_not_finite_are_refused():
    scores = {"a": np.full((4, 4), np.nan)}
    with pytest.raises(DivergedError, match="a is NaN"):
        m_by_n_masks(scores, 0.0, all_kept(scores), [{"a"}], m_by_n=(2, 4))
    with pytest.raises(DivergedError, match="a is NaN"):
        block_masks(scores, 0.5, all_kept(scores), [{"a"}], block_size=(1, 4))


@pytest.mark.parametrize("pattern", [4, (4,), (1, 2, 3), (0, 4), (1.5, 2), ("a", "b"), None])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(SettingError, match="`block_size` must be two whole numbers"):
        check_pattern("block_size", pattern, smallest=(1, 1))
