"""What a slim model takes over of the model that it was made from, beside its networks.

A model is more than layers and weights. It may be of a user's class, with a training step and
attributes of its own; it may have been compiled, by an optimizer that was told this and that.
"""

import types
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.keras_internals import (
    build_for,
    compile_arguments,
    copy_layer,
    copy_network,
    graph_of,
    layers_of,
    own_attributes,
    slots_of,
    trained_variables,
    unbuilt_copy,
    update_constants,
)
from tf_tickets.names import variable_names
from tf_tickets.optimizers import optimizers_of
from tf_tickets.protocols import Rebuilds, averages_of, has_ability


def carry(
    model: keras.Model, slimmed: keras.Model, pairs: Sequence[tuple], slices: Mapping[int, Callable]
) -> None:
    """Let a slim model be and go on as the model does.

    Args:
        model: the original.
        slimmed: made of slim networks, uncompiled; the weights of these are set.
        pairs: of a layer or network within the model, and its copy.
        slices: id of a variable of the original -> function of an array of its shape, which cuts
            out what the copy's variable keeps; absent where that is all.

    Raises:
        SettingError: if the model has something that cannot be carried; the message names it.
    """
    _Carrier(model, slimmed, pairs, slices).carry()
    update_constants(slimmed)


def variable_pairs(layer, copied) -> Iterator[tuple]:
    """Return pairs of the variables of a layer and its copy.

    A layer whose rate of dropout was set to 0 has the state of its noise still, and its copy none.
    """
    alike = len(layer.variables) == len(copied.variables)
    first, second = (each.variables if alike else each.weights for each in (layer, copied))
    return zip(first, second, strict=True)


class _Carrier:
    """Carries one model's attributes, state and training over to its slim copy."""

    def __init__(self, model, slimmed, pairs, slices):
        self._model = model
        self._slimmed = slimmed
        self._slices = slices
        # With the originals, so that no other object can be at the same place in memory.
        self._copies = {id(model): (model, slimmed)}
        for old, new in pairs:
            self._copies[id(old)] = (old, new)
            if graph_of(old) is None:  # whose layers are among the pairs
                inside = zip(layers_of(old), layers_of(new), strict=False)
                held = variable_pairs(old, new)
                self._copies |= {id(pair[0]): pair for pair in (*inside, *held)}
        self._set = set(self._copies)
        # What a copy of a layer has no use for is nothing of the model's own.
        layers = [old for old, _ in pairs if graph_of(old) is None]
        self._set |= {id(variable) for layer in layers for variable in layer.variables}

    def carry(self):
        """Carry all that there is."""
        kind = type(self._model)
        by_config = kind.compile_from_config is not keras.Model.compile_from_config
        own_compile = kind.compile is not keras.Model.compile and not by_config
        for old, new in list(self._copies.values()):
            made_by_user = old is self._model and has_ability(old, Rebuilds)
            if isinstance(old, keras.Model) and (own_compile or not made_by_user):
                self._carry_attributes(old, new)
        self._carry_own()
        if self._model.compiled:
            if by_config:
                self._slimmed.compile_from_config(self._model.get_compile_config())
            else:
                self._compile()
            self._carry_optimizers()

    def _compile(self):
        """Compile with the very loss and metrics; a config has only names of those of the user.

        Not by a `compile` of the user's: what that has set besides is among the attributes.
        """
        arguments = compile_arguments(self._model)
        given = arguments["optimizer"]
        keras.Model.compile(
            self._slimmed,
            **{**arguments, "optimizer": self._copied(given)},
            auto_scale_loss=self._model.optimizer is not given,
        )
        for name in ("run_eagerly", "steps_per_execution"):  # which may have been set since
            setattr(self._slimmed, name, getattr(self._model, name))

    def _carry_attributes(self, old, new):
        for name, value in own_attributes(old, new):
            try:
                setattr(new, name, self._copied(value))
            except SettingError as error:
                raise SettingError(
                    f"{old.name}.{name} cannot be carried over to the slim model: {error}"
                ) from error

    def _copied(self, value):
        """Return what an attribute is in the slim model."""
        if id(value) in self._copies:
            return self._copies[id(value)][1]
        copied = self._copied_anew(value)
        self._copies[id(value)] = (value, copied)
        return copied

    def _copied_anew(self, value):
        if isinstance(value, list | set):
            made = (self._copied(each) for each in value)
            return set(made) if isinstance(value, set) else list(made)
        if isinstance(value, dict):
            return {key: self._copied(each) for key, each in value.items()}
        if type(value) is tuple:
            return tuple(self._copied(each) for each in value)
        if isinstance(value, keras.optimizers.Optimizer):
            return unbuilt_copy(value, self._variables())
        if isinstance(value, keras.Variable):
            return _same_variable(value)
        if isinstance(value, keras.random.SeedGenerator):
            return keras.random.SeedGenerator(**value.get_config())
        if isinstance(value, keras.layers.Layer):
            return self._copied_layer(value)
        if isinstance(value, types.MethodType) and id(value.__self__) in self._copies:
            return types.MethodType(value.__func__, self._copies[id(value.__self__)][1])
        if isinstance(getattr(value, "python_function", None), types.MethodType):
            return tf.function(self._copied(value.python_function))  # which has traced the original
        return value

    def _copied_layer(self, layer):
        """Return a layer beside the graph: itself, unless the training changes it.

        A teacher or a network behind a loss is frozen, and as good for both models.
        """
        if not layer.trainable_variables:
            return layer
        if graph_of(layer) is not None:
            copied = copy_network(layer, self._copied_part)
        else:
            copied = copy_layer(layer)
            copied.build_from_config(layer.get_build_config())
        for old, new in zip(layer.variables, copied.variables, strict=True):
            if id(old) not in self._copies:
                new.assign(old.value)
                self._copies[id(old)] = (old, new)
        return copied

    def _copied_part(self, layer):
        if not isinstance(layer, keras.layers.Layer):
            return layer  # an operation
        return self._copied(layer)

    def _variables(self) -> list[tuple]:
        """Return pairs of a variable and the slim model's that was made from it."""
        return [pair for pair in self._copies.values() if isinstance(pair[0], keras.Variable)]

    def _carry_own(self):
        """Copy what a model holds beside its networks: states of its noise, moving averages."""
        averaged = {id(average): id(weight) for weight, average in averages_of(self._model)}
        targets = variable_names(self._slimmed)
        for name, variable in variable_names(self._model).items():
            if id(variable) in self._set:
                continue
            target = self._copies.get(id(variable), (variable, targets.get(name)))[1]
            value = self._slices.get(averaged.get(id(variable)), np.asarray)(variable.numpy())
            if target is None or tuple(target.shape) != value.shape:
                raise SettingError(
                    f"{name} of {self._model.name} has no place in the slim model. Let "
                    "with_networks of your class make all that its __init__ makes."
                )
            self._copies[id(variable)] = (variable, target)
            target.assign(value)

    def _carry_optimizers(self):
        """Give the optimizers what those of the model remember."""
        several = self._model.optimizer is not None
        models = (self._model, self._slimmed) if several else ()
        pairs = list(zip(*map(optimizers_of, models), strict=True))
        pairs += [
            pair
            for pair in self._copies.values()
            if isinstance(pair[0], keras.optimizers.Optimizer) and pair[0] is not pair[1]
        ]
        variables = {id(old): new for old, new in self._variables()}
        for old, new in {id(new): (old, new) for old, new in pairs}.values():
            if not old.built:
                continue
            if not new.built:
                # Not for what is trainable now: a layer may have been frozen since.
                build_for(new, [variables[id(each)] for each in trained_variables(old)])
            self._carry_slots(old, new)

    def _carry_slots(self, optimizer, target):
        of_slot = {
            id(slot): self._slices[key]
            for key, slots in slots_of(optimizer).items()
            if key in self._slices
            for slot in slots
        }
        for variable, copy in zip(optimizer.variables, target.variables, strict=True):
            value = of_slot.get(id(variable), np.asarray)(variable.numpy())
            if value.shape == copy.shape:  # factored moments start anew
                copy.assign(value)


def _same_variable(variable):
    return keras.Variable(
        variable.numpy(),  # not the value itself, which both would share
        dtype=variable.dtype,
        trainable=variable.trainable,
        aggregation=variable.aggregation,
        name=variable.name,
    )
