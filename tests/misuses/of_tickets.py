"""Misuses of tickets, snapshots and of what holds a model to masks."""

import contextlib

import keras
import numpy as np

import tf_tickets as tt
from tf_tickets import SettingError

ERROR = SettingError
ONES = np.ones((4, 6), bool)
C = tt.callbacks


def entered(manager):
    with manager as found:
        return found


def in_half(g, policy="float16"):
    """Return the net with weights of 16 bits."""
    layers = [keras.layers.Dense(n, name=name, dtype=policy) for name, n in _LAYERS]
    return keras.Sequential([keras.Input((4,)), *layers])


_LAYERS = (("first", 6), ("out", 3))


def held(g, change):
    """Call a function with the masks that a model is held to."""
    with contextlib.ExitStack() as stack:
        change(stack.enter_context(tt.hold(g.wide, tt.Masks.all_kept(tt.prunable(g.wide)))))


MISUSES = {
    "wrong type": [
        (lambda g: tt.Ticket(None, g.weights(), {}), "`masks` must be tt.Masks"),
        (lambda g: tt.Ticket({"first/kernel": ONES}, g.weights(), {}), "`masks` must be tt.Masks"),
        (lambda g: tt.Ticket(g.masks, list(g.weights().values()), {}), "`weights` must map"),
        (lambda g: tt.Ticket(g.masks, None, {}), "`weights` must map"),
        (lambda g: tt.Ticket(g.masks, g.net, {}), "`weights` must map"),
        (lambda g: tt.Ticket(g.masks, g.weights(out__bias="zero"), {}), "real numbers"),
        (
            lambda g: tt.Ticket(g.masks, g.weights(out__bias=np.ones(3, complex)), {}),
            "real numbers",
        ),
        (lambda g: tt.Ticket(g.masks, g.weights(out__bias=[[1], [1, 2]]), {}), "real numbers"),
        (lambda g: tt.Ticket(g.masks, g.weights(), None), "`config` must map names"),
        (lambda g: tt.Ticket(g.masks, g.weights(), "found by hand"), "`config` must map names"),
        (lambda g: tt.Ticket(g.masks, g.weights(), {"by": object()}), "what JSON can hold: Object"),
        (lambda g: tt.Ticket(g.masks, g.weights(), {"by": g.masks}), "what JSON can hold: Object"),
        (lambda g: tt.Ticket.of_model(g.net, None, {}), "`masks` must be tt.Masks or a Ticket"),
        (lambda g: tt.Ticket.of_model(None, g.masks, {}), "`model` must be a Keras model"),
        (lambda g: g.ticket.apply(None), "`model` must be a Keras model"),
        (lambda g: g.ticket.apply(g.net.weights), "`model` must be a Keras model"),
        (lambda g: g.ticket.save(None), "must be a path"),
        (lambda g: tt.take_snapshot(g.ticket), "`model` must be a Keras model"),
        (lambda g: tt.restore_snapshot(None, {}), "`model` must be a Keras model"),
        (lambda g: tt.restore_snapshot(g.net, None), "`snapshot` must map"),
        (lambda g: tt.restore_snapshot(g.net, g.net.get_weights()), "`snapshot` must map"),
        (lambda g: tt.restore_snapshot(g.net, g.ticket), "`snapshot` must map"),
        (lambda g: tt.restore_snapshot(g.net, g.weights(out__bias=["a"] * 3)), "real numbers"),
        (lambda g: tt.restore_snapshot(g.net, g.weights(out__bias=[1j] * 3)), "real numbers"),
        (lambda g: tt.transfer_ticket(None, g.net, g.net), "`ticket` must be a tt.Ticket"),
        (lambda g: tt.transfer_ticket(g.masks, g.net, g.net), "`ticket` must be a tt.Ticket"),
        (lambda g: tt.transfer_ticket(g.ticket, None, g.net), "`model` must be a Keras model"),
        (lambda g: tt.transfer_ticket(g.ticket, g.net, "vae"), "`model` must be a Keras model"),
        (lambda g: tt.transfer_ticket(g.ticket, g.net, g.net, 3), "must be None, the name"),
        (lambda g: entered(tt.hold(None, g.masks)), "`model` must be a Keras model"),
        (lambda g: entered(tt.hold(g.net, None)), "`masks` must be tt.Masks or a Ticket"),
        (lambda g: entered(tt.hold(g.net, dict(g.masks))), "`masks` must be tt.Masks or a Ticket"),
        (
            lambda g: entered(tt.hold(g.net, g.masks, g.net.optimizer)),
            "`optimizers` must be a list",
        ),
        (lambda g: entered(tt.hold(g.net, g.masks, ["adam"])), "`optimizers` must be a list"),
        (lambda g: held(g, lambda masks: masks.assign(0.5)), "`masks` must be tt.Masks"),
        (lambda g: C.HoldMasks([ONES]), "`masks` must be tt.Masks or a Ticket"),
        (lambda g: C.RewindPoint("10"), "`step` must be a whole number"),
        (lambda g: C.RewindPoint(None), "`step` must be a whole number"),
        (lambda g: C.RewindPoint(0.5), "`step` must be a whole number"),
        (lambda g: C.RewindPoint(10, 3), "must be a path"),
        (lambda g: C.PruneLowMagnitude(0.8), "`schedule` must be a PruningSchedule"),
        (lambda g: C.PruneLowMagnitude(None), "`schedule` must be a PruningSchedule"),
        (lambda g: C.PruneLowMagnitude(g.schedule, block_size=4), "two whole numbers"),
        (lambda g: C.PruneLowMagnitude(g.schedule, block_size="ab"), "two whole numbers"),
        (lambda g: C.PruneLowMagnitude(g.schedule, m_by_n=(2, None)), "two whole numbers"),
        (lambda g: C.EarlyBird(0.5, draw_every="epoch"), "`draw_every` must be a whole number"),
        (lambda g: C.EarlyBird("half"), "`channel_sparsity` must be a number"),
        (lambda g: C.EarlyBird(0.5, mask_distance="near"), "`mask_distance` must be a number"),
        (lambda g: C.EarlyBird(0.5, look_back=2.5), "`look_back` must be a whole number"),
        (lambda g: C.EarlyBird(0.5, scale_penalty="L1"), "`scale_penalty` must be a number"),
        (lambda g: C.PruningReport(3), "must be a path"),
    ],
    "wrong shape": [
        (lambda g: tt.Ticket(g.masks, g.weights(first__kernel=ONES[:2]), {}), "of shape (4, 6)"),
        (lambda g: tt.Ticket(tt.Masks({"a": ONES}), g.weights(), {}), "(4, 6) for a"),
        (
            lambda g: tt.restore_snapshot(g.net, g.weights(out__bias=np.ones(2))),
            "(2,) in the weights",
        ),
        (lambda g: tt.restore_snapshot(g.net, g.weights(out__bias=None)), "absent in the weights"),
        (lambda g: tt.restore_snapshot(g.net, g.weights(more=np.ones(2))), "absent in the model"),
        (lambda g: entered(tt.hold(g.net, tt.Masks({"first/kernel": ONES.T}))), "has shape (6, 4)"),
        (lambda g: C.PruneLowMagnitude(g.schedule, block_size=(2, 2, 2)), "two whole numbers"),
        (lambda g: C.PruneLowMagnitude(g.schedule, m_by_n=(2,)), "two whole numbers"),
    ],
    "wrong range": [
        (lambda g: C.RewindPoint(-1), "`step` must be a whole number, at least 0"),
        (lambda g: C.RewindPoint(np.nan), "`step` must be a whole number, at least 0"),
        (lambda g: C.RewindPoint(np.inf), "`step` must be a whole number, at least 0"),
        (lambda g: C.PruneLowMagnitude(g.schedule, pool="component"), "`pool` must be 'model'"),
        (lambda g: C.PruneLowMagnitude(g.schedule, block_size=(0, 1)), "at least 1"),
        (lambda g: C.PruneLowMagnitude(g.schedule, m_by_n=(4, 2)), "m must be less than n"),
        (lambda g: C.PruneLowMagnitude(g.schedule, m_by_n=(1.5, 4)), "two whole numbers"),
        (lambda g: C.PruneLowMagnitude(g.schedule, None, "model", (1, 4), (2, 4)), "one pattern"),
        (lambda g: g.begun(C.PruneLowMagnitude(tt.ConstantSparsity(0.98, 1))), "to its end"),
        (lambda g: C.EarlyBird(50), "Did you mean 0.5?"),
        (lambda g: C.EarlyBird(0.5, mask_distance=0), "`mask_distance` must be in (0, 1]"),
        (lambda g: C.EarlyBird(0.5, mask_distance=np.nan), "`mask_distance` must be in (0, 1]"),
        (lambda g: C.EarlyBird(0.5, look_back=0), "`look_back` must be at least 1"),
        (lambda g: C.EarlyBird(0.5, scale_penalty=-1), "`scale_penalty` must be at least 0"),
        (lambda g: C.EarlyBird(0.5, scale_penalty=np.inf), "`scale_penalty` must be"),
        (lambda g: C.EarlyBird(0.5, draw_every=0), "`draw_every` must be at least 1"),
        (lambda g: C.EarlyBird(0.5, pool="all"), "`pool` must be one of"),
        (lambda g: C.EarlyBird(0.5, by="taylor"), "`by` must be"),
    ],
    "wrong order": [
        (lambda g: C.RewindPoint(1).ticket(g.masks), "was not reached"),
        (lambda g: C.RewindPoint(1).rewind(), "was not reached"),
        (lambda g: g.begun(C.PruneLowMagnitude(g.schedule), g.unbuilt), "has no variables yet"),
        (lambda g: g.begun(C.PruningReport(), g.unbuilt), "has no variables yet"),
        (lambda g: tt.take_snapshot(g.conv, optimizer=True), "optimizer"),
        (lambda g: g.ticket.apply(g.unbuilt), "absent in the model"),
        (lambda g: entered(tt.hold(g.unbuilt, g.masks)), "it is not built yet"),
    ],
    "wrong model": [
        (lambda g: g.ticket.apply(g.other), "for another network"),
        (lambda g: g.ticket.apply(g.wide), "first/kernel is (4, 8) in the model"),
        (lambda g: g.ticket.apply(in_half(g)), "Build the model with the dtype float32"),
        (lambda g: g.ticket.apply(in_half(g, "bfloat16")), "another precision"),
        (lambda g: tt.Ticket.of_model(g.other, g.masks, {}), "no variable first/kernel"),
        (lambda g: tt.restore_snapshot(g.wide, g.weights()), "for another network"),
        (lambda g: tt.transfer_ticket(g.ticket, g.net, g.other), "their layers differ"),
        (lambda g: tt.transfer_ticket(g.ticket, g.net, g.wide), "their layers differ"),
        (lambda g: tt.transfer_ticket(g.ticket, g.other, g.other), "for another network"),
        (lambda g: tt.transfer_ticket(g.ticket, g.net, g.net, "decoder"), "none here"),
        (lambda g: tt.transfer_ticket(g.dense_ticket, g.net, g.net), "prunes nothing"),
        (lambda g: entered(tt.hold(g.other, g.masks)), "no variable first/kernel"),
        (lambda g: entered(tt.hold(g.wide, g.ticket)), "the variable has shape (4, 8)"),
        (lambda g: held(g, lambda masks: masks.assign(g.masks)), "the variable has shape"),
        (lambda g: held(g, lambda masks: masks.assign(tt.Masks({}))), "There is no mask for"),
        (lambda g: g.begun(C.HoldMasks(g.masks), g.other), "no variable first/kernel"),
        (lambda g: g.begun(C.EarlyBird(0.5)), "no batch or group normalisation"),
        (lambda g: g.begun(C.EarlyBird(0.5), g.subclassed), "cannot be followed"),
        (lambda g: g.begun(C.PruneLowMagnitude(g.schedule, "decoder")), "none here"),
        (lambda g: g.begun(C.PruningReport(scope="decoder")), "none here"),
    ],
}
