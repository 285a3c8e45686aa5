"""A run folder that several workers share, of which the chief alone writes."""

import contextlib
import tempfile
from collections.abc import Iterator

import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.runs.folder import RunFolder
from tf_tickets.strategy import check_agreement, is_chief


@contextlib.contextmanager
def shared_folder(folder: RunFolder, strategy: tf.distribute.Strategy) -> Iterator[RunFolder]:
    """Enter a run folder in the chief, and in any other worker a copy that is thrown away.

    So the chief alone writes, while every worker finds the stages that later ones are made from,
    and skips the same ones.

    Args:
        folder: the run's, not entered; the same in all workers, on a disk that they share.
        strategy: of the workers.

    Yields:
        The entered folder for this worker's search.

    Raises:
        FileError: as the folder does.
        SettingError: if the workers have other settings or see other finished stages.
    """
    if not isinstance(folder, RunFolder):
        raise SettingError(f"`folder` must be a tt.RunFolder. Received: a {type(folder).__name__}")
    with contextlib.ExitStack() as stack:
        if not is_chief(strategy):
            place = stack.enter_context(tempfile.TemporaryDirectory())
            folder = folder.copied_to(place)
        stack.enter_context(folder)
        advice = "Give all the same data and versions, and one folder on a disk that they share."
        check_agreement(strategy, folder.digest, advice)
        yield folder
