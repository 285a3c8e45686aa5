"""A TFLite file of any model that can be exported, its zeros left out."""

import contextlib
import os
import pathlib
import re
import sys
import tempfile

import keras
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import write_whole
from tf_tickets.keras_internals import check_model, layers_of
from tf_tickets.shipping.saved_model import export_saved_model


def export_tflite(
    model: keras.Model, path: str | os.PathLike, weights: str = "sparse"
) -> pathlib.Path:
    """Write `model` as a TFLite file for inference and return its path.

    The file has the signature `serving_default` that `export_saved_model` describes, with the same
    names of inputs and outputs, and of the weights those that its answer hangs on. A slim model is
    converted like any other. One of mixed precision computes in float32 there, as TFLite has no
    other convolution or matrix product of floats.

    "sparse" stores of each kernel that is sparse enough the nonzero values and their places, by
    `tf.lite.Optimize.EXPERIMENTAL_SPARSITY`. "dense" stores all weights as they are. Measured with
    TensorFlow 2.21, for a convolutional network of 1.16 M weights (4.64 MB dense):

        zeros                    file, sparse    gzip of dense    gzip of sparse
        50 %                     3.43 MB         2.61 MB          2.80 MB
        70 %                     2.07 MB         1.78 MB          1.76 MB
        90 %                     0.70 MB         0.83 MB          0.62 MB
        90 %, 1x4 blocks         0.53 MB         0.73 MB          0.47 MB
        95 %                     0.36 MB         0.56 MB          0.31 MB

    Blocks of 1x4 are four neighbours along a kernel's inputs, its axis -2; along its outputs they
    save nothing. They are what a time can be won with: three dense layers of 1024 x 1024 took
    0.05 ms instead of 0.11 on one CPU core at 90 % zeros in such blocks, but 0.10 at 80 %, 0.26 at
    50 %, and 0.15 at 90 % in no blocks. Convolutions are made dense again before they run, as fast
    as they were. XNNPACK can skip the zeros of 1x1 convolutions in certain networks, where two
    thirds of their weights are zero; with the interpreter that comes with TensorFlow for x86 we saw
    no gain from that.

    Args:
        model: as `export_saved_model` takes it.
        path: the file to write; missing parents are made.
        weights: "sparse" or "dense".

    Returns:
        `path`.

    Raises:
        SettingError: as `export_saved_model` does; if `path` has no name; or if TFLite has no
            operation of its own for something that the model does, which the message names.
        FileError: if the file cannot be written.

    Example:
        >>> export_tflite(model, "model.tflite")
        >>> interpreter = tf.lite.Interpreter("model.tflite")
        >>> interpreter.get_signature_runner()(inputs=images)["outputs"]

    Source: for XNNPACK, "Sparse inference" in TensorFlow's lite/delegates/xnnpack/README.md.
    """
    check_model(model)
    if weights not in ("sparse", "dense"):
        raise SettingError(f'`weights` must be "sparse" or "dense". Received: weights={weights!r}.')
    path = pathlib.Path(path)
    if not path.name:
        raise SettingError(f"`path` must name a file, such as model.tflite. Received: {path}")
    with tempfile.TemporaryDirectory() as folder:
        with _in_float32(model):
            saved = export_saved_model(model, pathlib.Path(folder) / "model", weights="dense")
        content = _convert(model.name, saved, sparse=weights == "sparse")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise FileError(f"Cannot write {path}: {error.strerror or error}") from error
    return path


def _convert(name, saved_model, sparse) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=["serving_default"]
    )
    if sparse:
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
    try:
        with _quiet():
            return converter.convert()
    except Exception as error:  # ConverterError, or whatever else the converter stumbles on
        raise SettingError(f"{name} cannot be converted to TFLite: {_reason(error)}") from error


def _reason(error) -> str:
    """Return in one line why a conversion failed."""
    missing = re.findall(r"^\s*(?:TF Select|Custom) ops: (.+)$", str(error), flags=re.MULTILINE)
    if missing:
        return f"TFLite has no operation of its own for {', '.join(missing)}."
    if "TensorListReserve" in str(error):
        return "it loops over steps of a batch of unknown size. Make recurrent layers unroll=True."
    first = str(error).strip().splitlines()[0]
    return first[first.find("'tf.") :] if "'tf." in first else first  # less where in the graph


@contextlib.contextmanager
def _in_float32(model):
    """Let the layers of mixed precision, whose weights are float32, compute in float32 too."""
    policies = [
        (layer, layer.dtype_policy)
        for layer in layers_of(model)
        if layer.dtype_policy.name.startswith("mixed_")
    ]
    try:
        for layer, _ in policies:
            layer.dtype_policy = "float32"
        yield
    finally:
        for layer, policy in policies:
            layer.dtype_policy = policy


@contextlib.contextmanager
def _quiet():
    """Drop what is written to stderr: a dozen lines that a conversion logs when all is well.

    They come from C++, where only the file descriptor leads. What matters is in the exception.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
