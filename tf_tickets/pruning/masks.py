"""Masks: which weights are kept, by variable path."""

from collections.abc import Mapping

import numpy as np

from tf_tickets.errors import SettingError


class Masks(Mapping):
    """Immutable mapping from a variable's path to its mask.

    A mask is a bool array shaped like its variable, `True` where the weight is kept. A variable
    whose path is absent is not pruned. All masks together are the pool: sparsity and distance
    count each weight once, so a large layer weighs more than a small one.

    Args:
        masks: variable path -> bool array. The order of the paths is kept; it settles ties.

    Raises:
        SettingError: if an array is not boolean.
    """

    def __init__(self, masks: Mapping):
        self._masks = {}
        for path, mask in masks.items():
            mask = np.array(mask)
            if mask.dtype != bool:
                raise SettingError(
                    f"A mask must be a bool array, `True` where a weight is kept. "
                    f"Received: dtype {mask.dtype} for {path}"
                )
            mask.flags.writeable = False
            self._masks[path] = mask

    @classmethod
    def all_kept(cls, variables) -> "Masks":
        """Return masks that keep every weight of the given Keras variables."""
        return cls({variable.path: np.ones(variable.shape, bool) for variable in variables})

    def __getitem__(self, path):
        return self._masks[path]

    def __iter__(self):
        return iter(self._masks)

    def __len__(self):
        return len(self._masks)

    def __repr__(self):
        return f"Masks({len(self)} variables, kept {self.num_kept:,} of {self.size:,})"

    def __eq__(self, other):
        if not isinstance(other, Masks):
            return NotImplemented
        return self.keys() == other.keys() and all(
            np.array_equal(mask, other[path]) for path, mask in self.items()
        )

    __hash__ = None

    @property
    def size(self) -> int:
        """Number of weights in the pool."""
        return sum(mask.size for mask in self.values())

    @property
    def num_kept(self) -> int:
        """Number of weights that are kept."""
        return sum(int(np.count_nonzero(mask)) for mask in self.values())

    @property
    def sparsity(self) -> float:
        """Fraction of the pool that is removed, in [0, 1]."""
        return 1.0 - self.num_kept / self.size if self.size else 0.0

    def __and__(self, other: "Masks") -> "Masks":
        self._check_same_variables(other)
        return Masks({path: mask & other[path] for path, mask in self.items()})

    def __or__(self, other: "Masks") -> "Masks":
        self._check_same_variables(other)
        return Masks({path: mask | other[path] for path, mask in self.items()})

    def __invert__(self) -> "Masks":
        return Masks({path: ~mask for path, mask in self.items()})

    def __le__(self, other: "Masks") -> bool:
        """Return whether every weight kept here is kept in `other` too."""
        self._check_same_variables(other)
        return not any(np.any(mask & ~other[path]) for path, mask in self.items())

    def shuffled(self, seed: int) -> "Masks":
        """Return masks that keep as many weights of each variable, at places drawn at random.

        The control that asks whether a ticket is more than the sparsity of each of its layers (S6).

        Args:
            seed: decides the places, together with the shapes and order of the variables.

        Source: Frankle et al., 2021, arXiv:2009.08576.
        """
        random = np.random.default_rng(seed)
        return Masks(
            {path: random.permutation(m.ravel()).reshape(m.shape) for path, m in self.items()}
        )

    def distance(self, other: "Masks") -> float:
        """Return the fraction of weights on which two masks disagree (normalised Hamming).

        Args:
            other: masks of the same variables.

        Returns:
            A fraction in [0, 1]: 0 if identical, 1 if opposite everywhere.

        Raises:
            SettingError: if the variables or their shapes differ, or there are none.

        Source: You et al., 2020, arXiv:1909.11957.
        """
        self._check_same_variables(other)
        if not self.size:
            raise SettingError("The distance of empty masks is not defined.")
        differ = sum(int(np.count_nonzero(mask != other[path])) for path, mask in self.items())
        return differ / self.size

    def check_fits(self, variables) -> None:
        """Raise SettingError, naming the first difference, unless each path is in `variables`.

        Args:
            variables: Keras variables, of which some may have no mask.
        """
        named = by_path(variable for variable in variables if variable.path in self)
        shapes = {path: tuple(variable.shape) for path, variable in named.items()}
        for path, mask in self.items():
            if path not in shapes:
                raise SettingError(
                    f"These masks are for another model, or it is not built yet: it has no "
                    f"variable {path}. Name the model and its layers, as Keras numbers those "
                    "without a name over the whole process."
                )
            if shapes[path] != mask.shape:
                raise SettingError(
                    f"These masks are for another model: the mask of {path} has shape "
                    f"{mask.shape}, the variable has shape {shapes[path]}."
                )

    def check_covers(self, variables) -> None:
        """Raise SettingError unless there is one mask for each of `variables` and no other."""
        self.check_fits(variables)
        for variable in variables:
            if variable.path not in self:
                raise SettingError(f"There is no mask for {variable.path}.")

    def _check_same_variables(self, other):
        check_same_variables(self, other, "The masks")


def check_same_variables(first: Mapping, second: Mapping, what: str) -> None:
    """Raise SettingError, naming the first difference, unless paths and shapes are the same."""
    for path in {**first, **second}:
        here = first[path].shape if path in first else "absent"
        there = second[path].shape if path in second else "absent"
        if here != there:
            raise SettingError(
                f"{what} are of different variables: {path} is {here} in the first and "
                f"{there} in the second."
            )


def masks_of(masks) -> Masks:
    """Return masks, or those of a ticket.

    Raises:
        SettingError: if it is something else.
    """
    masks = getattr(masks, "masks", masks)
    if not isinstance(masks, Masks):
        raise SettingError(
            "`masks` must be tt.Masks or a Ticket, such as tt.Ticket.load(path) or "
            f"tt.Masks({{path: array}}). Received: {type(masks).__name__}"
        )
    return masks


def masks_for(model, masks) -> Masks:
    """Return masks under the paths that the variables of a model have.

    Args:
        model: a built Keras model.
        masks: `Masks`, or what has such as its `masks`: a ticket.

    Raises:
        SettingError: if they are something else, or for another model.
    """
    masks = masks_of(masks)
    if not masks.keys() <= {variable.path for variable in model.variables}:
        masks = Masks(under_own_paths(masks, model))
    masks.check_fits(model.variables)
    return masks


def under_own_paths(values: Mapping, model) -> dict:
    """Return variable path -> value under the paths that the variables of a model have.

    Keras leaves a Sequential's own name out of the paths of one that it loads from a file. A path
    that has no variable either way is returned as it is.
    """
    paths = {variable.path for variable in model.variables}
    prefix = f"{model.name}/"

    def own(path):
        other = path.removeprefix(prefix) if path.startswith(prefix) else prefix + path
        return other if path not in paths and other in paths else path

    return {own(path): value for path, value in values.items()}


def by_path(variables) -> dict:
    """Return variable path -> variable.

    Raises:
        SettingError: if two share a path, so that it cannot name one of them.
    """
    named = {}
    for variable in variables:
        if named.setdefault(variable.path, variable) is not variable:
            raise SettingError(
                f"Two variables are called {variable.path}: give their layers names of their own."
            )
    return named
