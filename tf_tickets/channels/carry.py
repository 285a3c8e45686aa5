"""What a slim model takes over of the model that it was made from, beside its networks."""

import keras
import numpy as np

from tf_tickets.channels.ranking import networks_of
from tf_tickets.keras_internals import (
    compile_arguments,
    innermost,
    schedule_of,
    slots_of,
    trained_variables,
)
from tf_tickets.optimizers import optimizers_of
from tf_tickets.protocols import averages_of


def carry_own(model, slimmed, slices):
    """Copy what a model holds beside its networks: the states of its noise, and moving averages."""
    averaged = {id(average): id(weight) for weight, average in averages_of(model)}
    for variable, target in zip(_own(model), _own(slimmed), strict=True):
        cut = slices.get(averaged.get(id(variable)), np.asarray)
        target.assign(cut(variable.numpy()))


def _own(model):
    inside = {id(v) for network in networks_of(model).values() for v in network.variables}
    return [variable for variable in model.variables if id(variable) not in inside]


def carry_training(model, slimmed, slices):
    """Compile the slim model as the model is, with what its optimizers remember."""
    if not model.compiled:
        return
    if type(model).compile is keras.Model.compile:
        _compile_as(model, slimmed)
    else:  # with arguments of its own
        slimmed.compile_from_config(model.get_compile_config())
    for optimizer, target in zip(optimizers_of(model), optimizers_of(slimmed), strict=True):
        if optimizer.built:
            _carry_optimizer(optimizer, target, slices)


def _compile_as(model, slimmed):
    """Compile with the very loss and metrics; a config has only names of those of the user."""
    arguments = compile_arguments(model)
    optimizer = arguments["optimizer"]
    slimmed.compile(
        **{**arguments, "optimizer": _new_optimizer(optimizer)},
        auto_scale_loss=model.optimizer is not optimizer,
    )
    if model.optimizer.built:
        # Not for what is trainable now: a layer may have been frozen since.
        narrowed = {id(v): n for v, n in zip(model.variables, slimmed.variables, strict=True)}
        trained = trained_variables(innermost(model.optimizer))
        slimmed.optimizer.build([narrowed[id(variable)] for variable in trained])


def _new_optimizer(optimizer):
    config = optimizer.get_config()
    if schedule_of(optimizer):
        config["learning_rate"] = schedule_of(optimizer)
    return type(optimizer).from_config(config)


def _carry_optimizer(optimizer, target, slices):
    of_slot = {
        id(slot): slices[key]
        for key, slots in slots_of(optimizer).items()
        if key in slices
        for slot in slots
    }
    for variable, copy in zip(optimizer.variables, target.variables, strict=True):
        value = of_slot.get(id(variable), np.asarray)(variable.numpy())
        if value.shape == copy.shape:  # factored moments start anew
            copy.assign(value)
