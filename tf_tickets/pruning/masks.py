"""Masks: which weights are kept, by variable name."""

from collections.abc import Mapping

import numpy as np

from tf_tickets.errors import SettingError, check_count
from tf_tickets.names import (
    NamedVariables,
    check_variables,
    named,
    under_names,
    variable_names,
)


class Masks(Mapping):
    """Immutable mapping from a variable's name to its mask.

    A name is the variable's place in its model, as `tt.prunable(model).names` has it. A mask is a
    bool array shaped like its variable, `True` where the weight is kept. A variable whose name is
    absent is not pruned. All masks together are the pool: sparsity and distance count each weight
    once, so a large layer weighs more than a small one.

    Args:
        masks: variable name -> bool array. The order of the names is kept; it settles ties.

    Raises:
        SettingError: if they are no mapping from names, or an array is not boolean.
    """

    def __init__(self, masks: Mapping):
        if not isinstance(masks, Mapping) or not all(isinstance(name, str) for name in masks):
            raise SettingError(
                "`masks` must map names of variables, which are text, to bool arrays. "
                f"Received: a {type(masks).__name__}"
            )
        self._masks = {name: _bool_array(name, mask) for name, mask in masks.items()}

    @classmethod
    def all_kept(cls, variables) -> "Masks":
        """Return masks that keep every weight of the given Keras variables."""
        return cls({name: np.ones(v.shape, bool) for name, v in named(variables).items()})

    def __getitem__(self, name):
        return self._masks[name]

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
            np.array_equal(mask, other[name]) for name, mask in self.items()
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
        return Masks({name: mask & other[name] for name, mask in self.items()})

    def __or__(self, other: "Masks") -> "Masks":
        self._check_same_variables(other)
        return Masks({name: mask | other[name] for name, mask in self.items()})

    def __invert__(self) -> "Masks":
        return Masks({name: ~mask for name, mask in self.items()})

    def __le__(self, other: "Masks") -> bool:
        """Return whether every weight kept here is kept in `other` too."""
        self._check_same_variables(other)
        return not any(np.any(mask & ~other[name]) for name, mask in self.items())

    def shuffled(self, seed: int) -> "Masks":
        """Return masks that keep as many weights of each variable, at places drawn at random.

        The control that asks whether a ticket is more than the sparsity of each of its layers.

        Args:
            seed: decides the places, together with the shapes and order of the variables; a whole
                number, at least 0.

        Source: Frankle et al., 2021, arXiv:2009.08576.
        """
        check_count("seed", seed, least=0)
        random = np.random.default_rng(seed)
        return Masks(
            {name: random.permutation(m.ravel()).reshape(m.shape) for name, m in self.items()}
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
        differ = sum(int(np.count_nonzero(mask != other[name])) for name, mask in self.items())
        return differ / self.size

    def check_fits(self, variables) -> None:
        """Raise SettingError, naming the first difference, unless each name is in `variables`.

        Args:
            variables: Keras variables, of which some may have no mask: a mapping of their names to
                them, or as `tt.prunable` returns them.
        """
        shapes = {name: tuple(v.shape) for name, v in _named_where(self, variables).items()}
        for name, mask in self.items():
            if name not in shapes:
                raise SettingError(
                    f"These masks are for another model, or it is not built yet: it has no "
                    f"variable {name}."
                )
            if shapes[name] != mask.shape:
                raise SettingError(
                    f"These masks are for another model: the mask of {name} has shape "
                    f"{mask.shape}, the variable has shape {shapes[name]}."
                )

    def check_covers(self, variables) -> None:
        """Raise SettingError unless there is one mask for each of `variables` and no other."""
        self.check_fits(variables)
        for name in variables if isinstance(variables, Mapping) else named(variables):
            if name not in self:
                raise SettingError(f"There is no mask for {name}.")

    def _check_same_variables(self, other):
        if not isinstance(other, Masks):
            raise SettingError(
                "What masks are compared or joined with must be tt.Masks. Received: a "
                f"{type(other).__name__}"
            )
        check_same_variables(self, other, "The masks")


def as_array(values) -> np.ndarray:
    """Return values as an array; as one of an object where they are in rows of unlike lengths."""
    try:
        return np.asarray(values)
    except ValueError:
        return np.asarray(None)


def _bool_array(name, mask) -> np.ndarray:
    """Return a copy of a mask that cannot be written to."""
    mask = as_array(mask).copy()
    if mask.dtype != bool:
        raise SettingError(
            f"A mask must be a bool array, `True` where a weight is kept. "
            f"Received: dtype {mask.dtype} for {name}"
        )
    mask.flags.writeable = False
    return mask


def check_same_variables(first: Mapping, second: Mapping, what: str) -> None:
    """Raise SettingError, naming the first difference, unless names and shapes are the same."""
    for name in {**first, **second}:
        here = first[name].shape if name in first else "absent"
        there = second[name].shape if name in second else "absent"
        if here != there:
            raise SettingError(
                f"{what} are of different variables: {name} is {here} in the first and "
                f"{there} in the second."
            )


def _named_where(masks, variables) -> Mapping:
    """Return name -> variable; of those that only their paths name, where there is a mask."""
    if isinstance(variables, Mapping | NamedVariables):
        return variables if isinstance(variables, Mapping) else named(variables)
    return named([each for each in check_variables(variables) if each.path in masks])


def masks_of(masks) -> Masks:
    """Return masks, or those of a ticket.

    Raises:
        SettingError: if it is something else.
    """
    masks = getattr(masks, "masks", masks)
    if not isinstance(masks, Masks):
        raise SettingError(
            "`masks` must be tt.Masks or a Ticket, such as tt.Ticket.load(path) or "
            f"tt.Masks({{name: array}}). Received: {type(masks).__name__}"
        )
    return masks


def masks_for(model, masks) -> Masks:
    """Return masks under the names that the variables of a model have.

    Args:
        model: a built Keras model.
        masks: `Masks`, or what has such as its `masks`: a ticket.

    Raises:
        SettingError: if they are something else, or for another model.
    """
    masks = masks_of(masks)
    found = under_names(model, masks)
    if any(found.get(name) is not mask for name, mask in masks.items()):
        masks = Masks(found)
    masks.check_fits(variable_names(model))
    return masks
