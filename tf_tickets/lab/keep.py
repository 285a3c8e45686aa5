"""The ticket that a run keeps, and its SavedModel."""

import pathlib
import shutil
from collections.abc import Callable

import keras

from tf_tickets.protocols import ForInference
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.search.early_bird import rebuild_slim
from tf_tickets.shipping.saved_model import export_saved_model
from tf_tickets.tickets.ticket import Ticket


def keep_ticket(
    folder: RunFolder, build: Callable[[int], keras.Model], stage: str, slims: bool = False
) -> pathlib.Path:
    """Copy a stage's ticket to `winning_ticket/`, and return the SavedModel of its trained model.

    Args:
        folder: the run, entered.
        build: `build(seed)` returns a model of the run's recipe.
        stage: the name of the ticket's stage.
        slims: whether the stage's model is smaller than that, and not sparse.
    """
    if not folder.is_done(paths.WINNING_TICKET, [stage]):
        with folder.stage(paths.WINNING_TICKET, [stage]) as path:
            for name in (paths.TICKET, paths.TRAINED):
                shutil.copyfile(folder.path / stage / name, path / name)
    if not folder.is_done(paths.EXPORT, [stage]):
        with folder.stage(paths.EXPORT, [stage]) as path:
            model = trained_model(folder.path / stage, build, slims)
            exported = model.inference_model() if isinstance(model, ForInference) else model
            weights = "dense" if slims else "packed"
            export_saved_model(exported, path / paths.SAVED_MODEL, weights=weights)
    return folder.path / paths.EXPORT / paths.SAVED_MODEL


def trained_model(
    stage: pathlib.Path, build: Callable[[int], keras.Model], slims: bool
) -> keras.Model:
    """Return the model that a stage has trained.

    Args:
        stage: its folder.
        build: `build(seed)` returns a model of the run's recipe.
        slims: whether the stage's model is smaller than that.
    """
    if slims:
        return rebuild_slim(build, stage / paths.TICKET, stage / paths.TRAINED)
    model = build(0)
    Ticket.load(stage / paths.TRAINED).apply(model)
    return model
