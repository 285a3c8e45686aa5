"""Telling how sparse a model is while `fit` trains it."""

import contextlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tf_tickets.callbacks.training_callback import TrainingCallback
from tf_tickets.errors import FileError
from tf_tickets.files import as_text_path
from tf_tickets.pruning.prunable import num_values, prunable
from tf_tickets.pruning.zeros import mask_of_zeros
from tf_tickets.strategy import is_chief


class PruningReport(TrainingCallback):
    """Reports after each epoch which fraction of the weights is zero: to the log, and TensorBoard.

    The log is what `fit` prints and returns and what callbacks after this one see, `CSVLogger` or
    `EarlyStopping` for instance: it gets `weight_sparsity`, that of all kernels in `scope`
    together, a fraction in [0, 1]. A kernel that is zero everywhere counts as whole: it was not
    pruned, but has yet to learn. TensorBoard gets it too, and that of each kernel by its name, at
    the epoch's number.

    Args:
        log_dir: folder for TensorBoard, a run of it by itself; None to write none. Of several
            workers the chief writes it.
        scope: which kernels count, as `tt.prunable` takes it.

    Raises:
        SettingError: if `log_dir` is no path; before the first update, if there is no kernel in
            `scope`.
        FileError: if the log cannot be written, as where `log_dir` is a file.

    Example:
        model.fit(images, callbacks=[pruning, tt.callbacks.PruningReport("logs/sparsity")])
    """

    def __init__(self, log_dir=None, scope=None):
        super().__init__()
        self._log_dir = None if log_dir is None else as_text_path(log_dir, "log_dir")
        self._scope = scope
        self._writer = None

    def begin(self):
        """Find the kernels."""
        self._kernels = prunable(self.model, self._scope)
        writes = self._log_dir and is_chief(self.model.distribute_strategy)
        if writes:
            with writing_log(self._log_dir):
                self._writer = tf.summary.create_file_writer(str(self._log_dir))

    def on_epoch_end(self, epoch, logs=None):
        """Count the zeros."""
        num_zeros = [np.count_nonzero(~mask_of_zeros(kernel.numpy())) for kernel in self._kernels]
        sparsity = sum(num_zeros) / num_values(self._kernels)
        if logs is not None:
            logs["weight_sparsity"] = sparsity
        if self._writer:
            with writing_log(self._log_dir), self._writer.as_default():
                tf.summary.scalar("weight_sparsity", sparsity, epoch)
                for name, kernel, zeros in zip(
                    self._kernels.names, self._kernels, num_zeros, strict=True
                ):
                    value = zeros / num_values([kernel])
                    tf.summary.scalar(f"weight_sparsity/{name}", value, epoch)
                self._writer.flush()

    def let_go(self):
        """Close TensorBoard's file."""
        writer, self._writer = self._writer, None
        if writer:
            with writing_log(self._log_dir):
                writer.close()


@contextlib.contextmanager
def writing_log(folder, advice: str = "") -> Iterator[None]:
    """Name the folder in what TensorFlow would call exhausted, as it calls a full memory too.

    Args:
        folder: that a TensorBoard log is written to in the `with` block.
        advice: what the message ends with.

    Raises:
        FileError: if it cannot be.
    """
    try:
        yield
    except tf.errors.OpError as error:
        reason = " ".join(str(error.message).split())[-200:]
        raise FileError(
            f"Cannot write the TensorBoard log in {folder}: {reason}. {advice}".rstrip()
        ) from error
