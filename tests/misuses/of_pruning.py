"""Misuses of masks, scores, schedules and what prunes by them."""

import keras
import numpy as np

import tf_tickets as tt
from tf_tickets import DivergedError, SettingError

ERROR = SettingError
ONES = np.ones((2, 3), bool)
SCORES = {"a": np.arange(6.0).reshape(2, 3), "b": np.arange(4.0)}


def scores(**changes):
    return {**SCORES, **changes}


def masks(*shapes):
    return tt.Masks({name: np.ones(shape, bool) for name, shape in zip("abc", shapes)})  # noqa: B905


def all_named(g, *values):
    return dict(zip(g.kernels.names, values, strict=False))


MISUSES = {
    "wrong type": [
        (lambda g: tt.Masks([ONES]), "`masks` must map"),
        (lambda g: tt.Masks(None), "`masks` must map"),
        (lambda g: tt.Masks(g.net), "`masks` must map"),
        (lambda g: tt.Masks({"a": np.ones(3)}), "must be a bool array"),
        (lambda g: tt.Masks({"a": None}), "must be a bool array"),
        (lambda g: tt.Masks({"a": "kept"}), "must be a bool array"),
        (lambda g: tt.Masks({0: ONES}), "must map"),
        (lambda g: tt.Masks.all_kept(g.net), "must be Keras variables"),
        (lambda g: tt.Masks.all_kept(None), "must be Keras variables"),
        (lambda g: masks(2) & ONES, "must be tt.Masks"),
        (lambda g: masks(2) | None, "must be tt.Masks"),
        (lambda g: masks(2) <= {"a": ONES}, "must be tt.Masks"),
        (lambda g: masks(2).distance(0.5), "must be tt.Masks"),
        (lambda g: masks(2).check_fits([ONES]), "must be Keras variables"),
        (lambda g: masks(2).shuffled("seed"), "`seed` must be a whole number"),
        (lambda g: tt.prunable(None), "`model` must be a Keras model"),
        (lambda g: tt.prunable("net.keras"), "keras.models.load_model"),
        (lambda g: tt.prunable(g.net.layers), "`model` must be a Keras model"),
        (lambda g: tt.prunable(g.net, 3), "`scope` must be None, the name of a component"),
        (lambda g: tt.prunable(g.net, keras.layers.Dense), "`scope` must be None"),
        (lambda g: tt.masks_of_zeros(g.masks), "`model` must be a Keras model"),
        (lambda g: tt.variable_names(g.net.weights), "`model` must be a Keras model"),
        (lambda g: tt.magnitude_scores(g.net), "as tt.prunable(model) returns them"),
        (lambda g: tt.magnitude_scores(None), "as tt.prunable(model) returns them"),
        (lambda g: tt.magnitude_scores([ONES]), "as tt.prunable(model) returns them"),
        (lambda g: tt.magnitude_scores(g.net.layers), "as tt.prunable(model) returns them"),
        (lambda g: tt.random_scores(g.net, 0), "as tt.prunable(model) returns them"),
        (lambda g: tt.random_scores(g.kernels, None), "`seed` must be a whole number"),
        (lambda g: tt.random_scores(g.kernels, 0.5), "`seed` must be a whole number"),
        (lambda g: tt.snip_scores(g.net, [g.loss]), "as tt.prunable(model) returns them"),
        (lambda g: tt.snip_scores(g.kernels, None), "`losses` is empty"),
        (lambda g: tt.snip_scores(g.kernels, g.loss), "`losses` must be a list of functions"),
        (lambda g: tt.snip_scores(g.kernels, [g.loss()]), "`losses` must be a list of functions"),
        (lambda g: tt.snip_scores(g.kernels, [lambda: None]), "must return a tensor"),
        (lambda g: tt.snip_scores(g.kernels, [lambda: 0.5]), "must return a tensor"),
        (lambda g: tt.grasp_scores(g.net, [g.loss]), "as tt.prunable(model) returns them"),
        (lambda g: tt.grasp_scores(g.kernels, g.loss), "`losses` must be a list of functions"),
        (lambda g: tt.synflow_scores(g.kernels, g.kernels), "`model` must be a Keras model"),
        (lambda g: tt.synflow_scores(g.net, None), "as tt.prunable(model) returns them"),
        (lambda g: tt.SynapticFlow("net"), "`model` must be a Keras model"),
        (lambda g: tt.normalized_scores([SCORES["a"]]), "`scores` must map variable names"),
        (lambda g: tt.normalized_scores({"a": [1.0]}), "must be a NumPy array of real numbers"),
        (lambda g: tt.global_masks([SCORES["a"]], 0.5), "`scores` must map variable names"),
        (lambda g: tt.global_masks({"a": [0.1, 0.2]}, 0.5), "must be a NumPy array"),
        (lambda g: tt.global_masks(scores(b=np.ones(4, complex)), 0.5), "real numbers"),
        (lambda g: tt.global_masks(scores(b=np.array(["x"] * 4)), 0.5), "real numbers"),
        (lambda g: tt.global_masks(scores(b=np.array([None] * 4)), 0.5), "real numbers"),
        (lambda g: tt.global_masks(g.net, 0.5), "`scores` must map variable names"),
        (lambda g: tt.global_masks(SCORES, "90 %"), "`sparsity` must be a number"),
        (lambda g: tt.global_masks(SCORES, None), "`sparsity` must be a number"),
        (lambda g: tt.global_masks(SCORES, 0.5, {"a": ONES}), "must be tt.Masks"),
        (lambda g: tt.IterativeSparsity("a fifth", 3), "`rate` must be a number"),
        (lambda g: tt.IterativeSparsity(None, 3), "`rate` must be a number"),
        (lambda g: tt.IterativeSparsity(0.2, "3"), "`rounds` must be a whole number"),
        (lambda g: tt.IterativeSparsity(0.2, 2.5), "`rounds` must be a whole number"),
        (lambda g: tt.ConstantSparsity("half", 0), "`target_sparsity` must be a number"),
        (lambda g: tt.ConstantSparsity(0.5, "0"), "`begin_step` must be a whole number"),
        (lambda g: tt.ConstantSparsity(0.5, 0, frequency=None), "`frequency` must be a whole"),
        (lambda g: tt.PolynomialDecay(0, 0.5, 0.5, 10), "`begin_step` must be a whole number"),
        (lambda g: tt.PolynomialDecay(0, 0.5, 0, "10"), "`end_step` must be a whole number"),
        (lambda g: tt.PolynomialDecay(0, 0.5, 0, 10, power="3"), "`power` must be a number"),
        (lambda g: tt.GlobalPruning(lambda: 1, g.held, 0.5), "`schedule` must be a Pruning"),
        (lambda g: tt.GlobalPruning(lambda: 1, g.masks, g.schedule), "`held` must be"),
        (lambda g: tt.GlobalPruning(1, g.held, g.schedule), "`step_fn` must be a function"),
    ],
    "wrong shape": [
        (lambda g: tt.Masks({"a": [[True], [True, False]]}), "must be a bool array"),
        (lambda g: masks(2).distance(masks(3)), "a is (2,) in the first and (3,)"),
        (lambda g: masks(2) & masks(2, 3), "b is absent in the first"),
        (lambda g: masks(2, 3) | masks(2), "b is (3,) in the first and absent"),
        (lambda g: tt.global_masks(SCORES, 0.5, masks((2, 3), 5)), "b is (4,) in the first"),
        (lambda g: tt.global_masks(SCORES, 0.5, masks((2, 3))), "b is (4,) in the first"),
        (lambda g: tt.Masks(all_named(g, ONES)).check_fits(g.kernels), "has shape (2, 3)"),
        (lambda g: tt.snip_scores(g.kernels, [lambda: g.net(np.ones((2, 4)))]), "scalar"),
    ],
    "wrong range": [
        (lambda g: tt.global_masks(SCORES, 90), "Did you mean 0.9?"),
        (lambda g: tt.global_masks(SCORES, 1.0), "`sparsity` must be in [0, 1)"),
        (lambda g: tt.global_masks(SCORES, -0.1), "`sparsity` must be in [0, 1)"),
        (lambda g: tt.global_masks(SCORES, np.nan), "`sparsity` must be in [0, 1)"),
        (lambda g: tt.global_masks(SCORES, 0.95), "of which none may be emptied"),
        (lambda g: tt.global_masks({}, 0.5), "There are no scores"),
        (
            lambda g: tt.global_masks(scores(b=np.full(4, np.nan)), 0.5),
            "A score of b",
            DivergedError,
        ),
        (lambda g: tt.global_masks(scores(b=np.full(4, -np.inf)), 0.5), "A score", DivergedError),
        (lambda g: tt.normalized_scores({}), "There are no scores"),
        (lambda g: tt.normalized_scores({"a": np.zeros(2)}), "All scores are zero", DivergedError),
        (lambda g: tt.normalized_scores({"a": np.full(2, np.nan)}), "is NaN", DivergedError),
        (lambda g: tt.snip_scores(g.kernels, []), "`losses` is empty"),
        (lambda g: tt.grasp_scores(g.kernels, []), "`losses` is empty"),
        (lambda g: tt.random_scores(g.kernels, -1), "`seed` must be at least 0"),
        (lambda g: masks(2).shuffled(-1), "`seed` must be at least 0"),
        (lambda g: tt.Masks({}).distance(tt.Masks({})), "empty masks"),
        (lambda g: tt.IterativeSparsity(20, 3), "Did you mean 0.2?"),
        (lambda g: tt.IterativeSparsity(0, 3), "`rate` must be in (0, 1)"),
        (lambda g: tt.IterativeSparsity(np.nan, 3), "`rate` must be in (0, 1)"),
        (lambda g: tt.IterativeSparsity(0.2, 0), "`rounds` must be at least 1"),
        (lambda g: tt.ConstantSparsity(50, 0), "Did you mean 0.5?"),
        (lambda g: tt.ConstantSparsity(0.5, -1), "begin_step"),
        (lambda g: tt.ConstantSparsity(0.5, 10, 5), "end_step"),
        (lambda g: tt.ConstantSparsity(0.5, 0, frequency=0), "frequency"),
        (lambda g: tt.PolynomialDecay(0, 80, 0, 10), "Did you mean 0.8?"),
        (lambda g: tt.PolynomialDecay(-0.1, 0.8, 0, 10), "`initial_sparsity` must be in [0, 1)"),
        (lambda g: tt.PolynomialDecay(0, 0.8, 10, 5), "end_step"),
        (lambda g: tt.PolynomialDecay(0, 0.8, 0, 10, power=-1), "`power` must be above 0"),
        (lambda g: tt.PolynomialDecay(0, 0.8, 0, 10, power=np.nan), "`power` must be above 0"),
        (lambda g: tt.PolynomialDecay(0, 0.8, 0, 10, frequency=-1), "frequency"),
        (lambda g: tt.prunable(g.net, lambda kernel: False), "There is no kernel to prune"),
        (lambda g: tt.prunable(g.net, []), "There is no kernel to prune"),
    ],
    "wrong order": [
        (lambda g: tt.prunable(g.unbuilt), "has no variables yet"),
        (lambda g: tt.masks_of_zeros(g.unbuilt), "has no variables yet"),
        (lambda g: tt.synflow_scores(g.unbuilt, []), "unbuilt"),
        (lambda g: tt.global_masks(SCORES, 0.2, ~masks((2, 3), 4)), "is removed already"),
    ],
    "wrong model": [
        (lambda g: tt.prunable(g.net, "decoder"), "none here"),
        (lambda g: tt.prunable(g.net, "first"), "Did you mean model.get_layer('first')?"),
        (lambda g: tt.prunable(g.net, g.other), "There is no kernel to prune"),
        (lambda g: g.masks.check_fits(tt.prunable(g.other)), "no variable first/kernel"),
        (lambda g: g.masks.check_fits(tt.prunable(g.wide)), "the variable has shape (4, 8)"),
        (lambda g: g.masks.check_covers(tt.prunable(g.other)), "for another model"),
        (lambda g: tt.Masks({}).check_covers(g.kernels), "There is no mask for first/kernel"),
        (lambda g: tt.synflow_scores(g.subclassed, []), "Functional or Sequential"),
        (lambda g: tt.synflow_scores(g.net, tt.prunable(g.other)), "no variable of"),
        (lambda g: tt.SynapticFlow(g.net)(tt.prunable(g.wide)), "no variable of"),
        (lambda g: tt.snip_scores(tt.prunable(g.other), [g.loss]), "no gradient", DivergedError),
        (lambda g: tt.grasp_scores(tt.prunable(g.other), [g.loss]), "no gradient", DivergedError),
    ],
}
