"""Names of variables: the place of each in its model's tree, as in Keras's `.weights.h5` files.

`variable.path` names no place: two networks of the same layers, such as a network and its moving
average, have the same paths, and Keras numbers layers without a name over the whole process.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import keras

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import attributes_of, check_model, is_network, parts_of


class NamedVariables(list):
    """A list of Keras variables that knows what each is called in its model.

    Args:
        variables: name -> variable. A plain list, of which TensorFlow and `copy` make another one,
            is taken too; what is in it goes by its path.
    """

    def __init__(self, variables: Mapping[str, keras.Variable] | Iterable = ()):
        names = variables if isinstance(variables, Mapping) else {}
        super().__init__(names.values() if names else variables)
        # With the variables, so that no other one can be at the same place in memory.
        self._named = {id(variable): (name, variable) for name, variable in names.items()}

    @property
    def names(self) -> list[str]:
        """The name of each variable, in the list's order."""
        return [self._name(variable) for variable in self]

    def items(self) -> Iterator[tuple[str, keras.Variable]]:
        """Return pairs of a name and its variable."""
        return zip(self.names, self, strict=True)

    def __getitem__(self, index):
        chosen = super().__getitem__(index)
        return self._with_names(chosen) if isinstance(index, slice) else chosen

    def __add__(self, other):
        joined = self._with_names(super().__add__(other))
        joined._named |= getattr(other, "_named", {})
        return joined

    def _with_names(self, variables):
        made = NamedVariables(variables)
        made._named = dict(self._named)
        return made

    def _name(self, variable):
        known = self._named.get(id(variable))
        return known[0] if known else KerasPath(variable.path)


class KerasPath(str):
    """A variable's `path`, as a key where no model was there to say the variable's name."""


def variable_names(model: keras.Model) -> dict[str, keras.Variable]:
    """Return name -> variable for each of `model.variables`, in that order.

    A name says where a variable is: "encoder/conv1/kernel", "blocks/dense_1/bias". It is made of
    attributes, less underscores at their beginning; of the layers' names within a Sequential or
    Functional model, or a list; of the keys of a dict; and in the end of the variable's own name. A
    layer whose name Keras made up is called by its class, and numbered within its place: dense,
    dense_1, ... So the names are unique, and the same in another process, after loading and
    whatever was made before. The model's own name is no part of them. What is shared is named by
    its first place.

    Args:
        model: any Keras model, or layer; one that is not built yet has names for what it has.
    """
    check_model(model, keras.layers.Layer)
    name_of = {}
    _walk(model, "", name_of, {id(model)})
    taken = _Unique(name_of.values())
    named = {}
    for variable in model.variables:
        if id(variable) not in name_of:  # of a layer that says itself what its variables are
            name_of[id(variable)] = taken(_own_name(variable) or "variable")
        named[name_of[id(variable)]] = variable
    return named


def names_of(model: keras.Model) -> dict[int, str]:
    """Return the `id` of each variable of a model -> its name."""
    return {id(variable): name for name, variable in variable_names(model).items()}


def named(variables: Sequence[keras.Variable]) -> dict[str, keras.Variable]:
    """Return name -> variable of variables that know their names, as `tt.prunable` returns them.

    Other variables are named by the path that Keras gives them.

    Raises:
        SettingError: if they are no variables, or two share a path, so that it cannot name one of
            them.
    """
    found = {}
    known = variables
    if not isinstance(variables, NamedVariables):
        known = NamedVariables(check_variables(variables))
    for name, variable in known.items():
        if found.setdefault(name, variable) is not variable:
            raise SettingError(
                f"Two variables have the path {variable.path}, which cannot tell them apart: take "
                "them as tt.prunable(model, scope) returns them, which knows their names."
            )
    return found


def check_variables(variables) -> list[keras.Variable]:
    """Return variables as a list; SettingError if they are something else."""
    try:
        listed = list(variables)
    except TypeError:  # such as a model
        listed = [variables]
    strange = [each for each in listed if not isinstance(each, keras.Variable)]
    if strange:
        raise SettingError(
            "`variables` must be Keras variables, as tt.prunable(model) returns them. Received: "
            f"a {type(strange[0]).__name__}"
        )
    return listed


def under_names(model: keras.Model, values: Mapping) -> dict:
    """Return what a mapping holds under the names that a model's variables have.

    So code that has keys of its own, by `variable.path`, goes on working: where a key is no name
    but the path of exactly one variable, the keys are paths. Keys that are neither stay.

    Args:
        model: whose variables the keys stand for.
        values: name or path -> anything.

    Raises:
        SettingError: if two keys are of one variable, or one may be of several.
    """
    names = variable_names(model)
    name_of = _unique_paths(names)

    def is_name(key):
        return key in names and not isinstance(key, KerasPath)

    for key in values:
        if isinstance(key, KerasPath) and key in names and key not in name_of:
            raise SettingError(f"{key} is the path of several variables of {model.name}, or none.")
    if not any(key in name_of for key in values if not is_name(key)):
        return dict(values)
    # A name may be the path of another variable, whose layer Keras numbered otherwise.
    only_paths = all(key in name_of for key in values if key in names)
    found = {}
    for key, value in values.items():
        name = name_of.get(key, key) if only_paths or not is_name(key) else key
        if name in found:
            raise SettingError(
                f"Two of the keys are of the variable {name}, one of them its name and one its "
                "path: use names, as tt.prunable(model).names has them."
            )
        found[name] = value
    return found


def place_names(layer: keras.layers.Layer) -> dict[int, str]:
    """Return the `id` of each layer right within another -> its name there."""
    return {id(part): name for name, part in _parts(layer) if isinstance(part, keras.layers.Layer)}


def _unique_paths(names) -> dict:
    """Return path -> name for the paths that only one variable has."""
    name_of, shared = {}, set()
    for name, variable in names.items():
        if variable.path in name_of:
            shared.add(variable.path)
        name_of[variable.path] = name
    return {path: name for path, name in name_of.items() if path not in shared}


def _walk(layer, prefix, name_of, seen) -> None:
    """Name all variables within a layer, less those of layers that were seen before."""
    for name, part in _parts(layer):
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, keras.layers.Layer):
            _walk(part, f"{prefix}{name}/", name_of, seen)
        elif isinstance(part, keras.random.SeedGenerator):
            name_of[id(part.state)] = f"{prefix}{name}/{part.state.name}"
        else:
            name_of[id(part)] = f"{prefix}{name}"


def _parts(layer) -> Iterator[tuple]:
    """Yield the layers, variables and seed generators right within a layer: name, part."""
    missing = {id(part): part for part in parts_of(layer)}
    unique = _Unique()
    if is_network(layer):
        for part in layer.layers:
            if missing.pop(id(part), None) is not None:
                yield unique(_base_name(part)), part
    for attribute, value in attributes_of(layer):
        stripped = attribute.lstrip("_") or attribute
        yield from _held(stripped, value, unique, missing, by_key=True)
        if not missing:
            return
    for part in missing.values():  # held by no attribute, or in a set
        yield unique(_base_name(part)), part


def _held(key, value, unique, missing, by_key, within=()) -> list[tuple]:
    """Return what a value is or contains of the missing parts, and strike it off: name, part.

    Args:
        key: of the value in what holds it: an attribute's name, a dict's key, a list's index.
        value: anything.
        unique: makes the names within what holds the value.
        missing: id -> part.
        by_key: whether the key is what to call a part by; the place in a list is not.
        within: ids of the containers around the value.
    """
    part = missing.pop(id(value), None)
    if part is not None:
        return [(unique(_base_name(part, key if by_key else None)), part)]
    if not isinstance(value, list | tuple | dict) or id(value) in within:
        return []
    is_dict = isinstance(value, dict)
    items = list(value.items()) if is_dict else enumerate(value)
    inside, found = _Unique(), []
    for inner_key, inner in items:
        key_name = str(inner_key).replace("/", "_")
        found += _held(key_name, inner, inside, missing, is_dict, (*within, id(value)))
    if not found:
        return []
    place = unique(key)
    return [(f"{place}/{name}", part) for name, part in found]


def _base_name(part, key=None) -> str:
    """Return what to call a part, before it is told from others of the same name.

    Args:
        part: a layer, a variable or a seed generator.
        key: the attribute or key that holds it, or None where none does.
    """
    if isinstance(part, keras.Variable):
        return _own_name(part) or key or "variable"
    if key is not None:
        return key
    made_up = _snake_case(type(part).__name__)
    return made_up if _is_made_up(part.name, made_up) else part.name


def _own_name(variable) -> str:
    """Return the name that a variable was given; empty where Keras made one up."""
    made_up = _snake_case(type(variable).__name__)
    return "" if _is_made_up(variable.name, made_up) else variable.name


def _is_made_up(name, stem) -> bool:
    return re.fullmatch(rf"{re.escape(stem)}(_\d+)?", name) is not None


def _snake_case(name) -> str:
    """Return a class's name as Keras 3 makes layers' names of it (keras/src/utils/naming.py)."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


class _Unique:
    """Makes names unique in one place: of several that are called "a", a, a_1, a_2."""

    def __init__(self, taken=()):
        self._taken = set(taken)
        self._count = {}

    def __call__(self, name: str) -> str:
        made = name
        while made in self._taken:
            self._count[name] = self._count.get(name, 0) + 1
            made = f"{name}_{self._count[name]}"
        self._taken.add(made)
        return made
