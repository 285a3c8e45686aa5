import keras
import numpy as np
import pytest

from tf_tickets import Masks, SettingError
from tf_tickets.names import NamedVariables


def masks(**kept):
    return Masks({path: np.array(mask, bool) for path, mask in kept.items()})


def variable(path, shape):
    layer = keras.layers.Layer(name=path)
    return layer.add_weight(shape=shape, name="kernel")


def test_counts_are_of_the_whole_pool():
    drawn = masks(small=[1, 0], large=[[1, 1, 1], [0, 0, 0]])
    assert (drawn.size, drawn.num_kept, drawn.sparsity) == (8, 4, 0.5)
    assert repr(drawn) == "Masks(2 variables, kept 4 of 8)"


def test_no_masks_are_not_sparse():
    assert Masks({}).sparsity == 0.0
    assert Masks({}).size == 0


def test_a_mask_is_a_copy_that_cannot_be_written_to():
    source = np.array([True, False])
    drawn = Masks({"k": source})
    source[0] = False
    assert drawn["k"].tolist() == [True, False]
    with pytest.raises(ValueError, match="read-only"):
        drawn["k"][0] = False
    with pytest.raises(TypeError):
        drawn["k"] = source


@pytest.mark.parametrize("values", [[1, 0], [1.0, 0.0], [0.5, 0.2]])
def test_only_bool_arrays_are_masks(values):
    with pytest.raises(SettingError, match=r"bool array.*for conv/kernel"):
        Masks({"conv/kernel": np.array(values)})


def test_all_kept_follows_the_variables():
    variables = [variable("second", (2, 3)), variable("first", (4,))]
    drawn = Masks.all_kept(variables)
    assert list(drawn) == ["second/kernel", "first/kernel"]
    assert [mask.shape for mask in drawn.values()] == [(2, 3), (4,)]
    assert drawn.num_kept == 10


def test_equality_asks_for_the_same_variables_and_positions():
    drawn = masks(a=[1, 0], b=[1])
    assert drawn == masks(b=[1], a=[1, 0])
    assert drawn != masks(a=[0, 1], b=[1])
    assert drawn != masks(a=[1, 0])
    assert drawn != {"a": np.array([True, False]), "b": np.array([True])}
    with pytest.raises(TypeError, match="unhashable"):
        hash(drawn)


def test_set_algebra_by_hand():
    first, second = masks(a=[1, 1, 0, 0]), masks(a=[1, 0, 1, 0])
    assert first & second == masks(a=[1, 0, 0, 0])
    assert first | second == masks(a=[1, 1, 1, 0])
    assert ~first == masks(a=[0, 0, 1, 1])
    assert first & second <= first
    assert not first <= second
    assert first <= first


def test_distance_counts_each_weight_once():
    first = masks(small=[1], large=[1, 1, 1, 1, 0, 0, 0])
    second = masks(small=[0], large=[1, 1, 1, 1, 0, 0, 1])
    assert first.distance(second) == second.distance(first) == 0.25
    assert first.distance(first) == 0.0
    assert first.distance(~first) == 1.0


def test_the_distance_of_no_masks_is_not_defined():
    with pytest.raises(SettingError, match="not defined"):
        Masks({}).distance(Masks({}))


@pytest.mark.parametrize(
    "combine",
    [Masks.__and__, Masks.__or__, Masks.__le__, Masks.distance],
    ids=["and", "or", "subset", "distance"],
)
def test_masks_of_other_variables_do_not_combine(combine):
    with pytest.raises(SettingError, match=r"b is \(1,\) in the first and absent in the second"):
        combine(masks(a=[1], b=[1]), masks(a=[1]))
    with pytest.raises(SettingError, match=r"a is \(1,\) in the first and \(2,\) in the second"):
        combine(masks(a=[1]), masks(a=[1, 1]))


def test_check_fits_names_the_first_difference():
    variables = [variable("conv", (2,)), variable("dense", (3,))]
    Masks({"conv/kernel": np.ones(2, bool)}).check_fits(variables)
    with pytest.raises(SettingError, match="it has no variable deconv/kernel"):
        Masks({"deconv/kernel": np.ones(2, bool)}).check_fits(variables)
    with pytest.raises(SettingError, match=r"dense/kernel has shape \(2,\).* shape \(3,\)"):
        Masks({"dense/kernel": np.ones(2, bool)}).check_fits(variables)


def test_check_fits_goes_by_the_names_that_are_given():
    named = {"a/kernel": variable("twin", (2,)), "b/kernel": variable("twin", (3,))}
    for variables in (named, NamedVariables(named)):
        Masks({"b/kernel": np.ones(3, bool)}).check_fits(variables)
        with pytest.raises(SettingError, match="it has no variable twin/kernel"):
            Masks({"twin/kernel": np.ones(2, bool)}).check_fits(variables)
        with pytest.raises(SettingError, match="no mask for b/kernel"):
            Masks({"a/kernel": np.ones(2, bool)}).check_covers(variables)


def test_check_covers_wants_a_mask_for_each_variable():
    variables = [variable("conv", (2,)), variable("dense", (3,))]
    Masks.all_kept(variables).check_covers(variables)
    with pytest.raises(SettingError, match="no mask for dense/kernel"):
        Masks.all_kept(variables[:1]).check_covers(variables)


def test_a_path_that_two_variables_share_names_neither():
    twins = [variable("twin", (2,)), variable("twin", (2,))]
    with pytest.raises(SettingError, match="Two variables have the path twin/kernel"):
        Masks.all_kept(twins)
    with pytest.raises(SettingError, match="Two variables have the path twin/kernel"):
        Masks({"twin/kernel": np.ones(2, bool)}).check_fits(twins)
    with pytest.raises(SettingError, match="Two variables have the path twin/kernel"):
        Masks({"twin/kernel": np.ones(2, bool)}).check_covers(twins)
    # No harm where no mask names them.
    Masks({}).check_fits(twins)
    assert list(Masks.all_kept([twins[0], twins[0]])) == ["twin/kernel"]


def test_shuffled_masks_keep_as_many_of_each_variable_elsewhere():
    random = np.random.default_rng(0)
    original = Masks({"a": random.random((30, 20)) < 0.3, "b": random.random(50) < 0.9})
    first, again, other = (original.shuffled(seed) for seed in (1, 1, 2))
    assert first == again != other
    for path, mask in original.items():
        assert first[path].shape == mask.shape and first[path].sum() == mask.sum()
    kept_by_both = (first["a"] & original["a"]).sum() / original["a"].sum()
    assert 0.2 < kept_by_both < 0.4, "as by chance"
    assert Masks({"all": np.ones((3, 3), bool)}).shuffled(0)["all"].all()
