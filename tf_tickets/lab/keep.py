"""What a run keeps of its best ticket: the ticket, the trained weights, and a SavedModel."""

import pathlib
import shutil
from collections.abc import Callable

from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.early_bird import rebuild_slim
from tf_tickets.shipping.saved_model import export_saved_model
from tf_tickets.tickets.ticket import Ticket


def keep_ticket(folder: RunFolder, build: Callable, stage: str, slim: bool = False) -> pathlib.Path:
    """Return the SavedModel of a stage's trained model; its ticket is in `winning_ticket/` then.

    Args:
        folder: the run, entered.
        build: returns a new model for a seed, such as `Experiment.build_on_one_device`.
        stage: the name of the ticket's stage.
        slim: whether the ticket is an early-bird one, whose model is smaller and not sparse.
    """
    if not folder.is_done(paths.WINNING_TICKET, [stage]):
        with folder.stage(paths.WINNING_TICKET, [stage]) as path:
            for name in (paths.TICKET, paths.TRAINED):
                shutil.copyfile(folder.path / stage / name, path / name)
    if not folder.is_done(paths.EXPORT, [stage]):
        with folder.stage(paths.EXPORT, [stage]) as path:
            model = _trained_model(folder.path / stage, build, slim)
            # Of a GAN only the generator is of use.
            exported = model.inference_model() if hasattr(model, "inference_model") else model
            weights = "dense" if slim else "packed"
            export_saved_model(exported, path / paths.SAVED_MODEL, weights=weights)
    return folder.path / paths.EXPORT / paths.SAVED_MODEL


def _trained_model(stage, build, slim):
    if slim:
        return rebuild_slim(build, stage / paths.TICKET, stage / paths.TRAINED)
    model = build(seed=0)
    Ticket.load(stage / paths.TRAINED).apply(model)
    return model
