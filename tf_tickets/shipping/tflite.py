"""A TFLite file of any model that can be exported, its zeros left out."""

import contextlib
import functools
import os
import pathlib
import re
import sys
import tempfile
import textwrap

import keras
import tensorflow as tf

from tf_tickets.errors import FileError, SettingError
from tf_tickets.files import as_text_path, write_whole
from tf_tickets.keras_internals import check_model, layers_of
from tf_tickets.shipping.saved_model import export_saved_model


def export_tflite(
    model: keras.Model, path: str | os.PathLike, weights: str = "sparse", inputs=None
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

    Layers that upsample to the nearest neighbour are converted to a resizing of images, which gives
    the same bits for a batch of any size.

    Args:
        model: as `export_saved_model` takes it.
        path: the file to write; missing parents are made.
        weights: "sparse" or "dense".
        inputs: as of `export_saved_model`. One of a fixed batch size, such as
            `tf.TensorSpec((1, 64))`, also converts recurrent layers that are not unrolled, and
            whatever else the converter needs all sizes for.

    Returns:
        `path`.

    Raises:
        SettingError: as `export_saved_model` does; if `path` has no name; or if the model cannot be
            converted: TFLite has no operation of its own for something that it does, or has to know
            more of the sizes. The message names what.
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
    path = as_text_path(path)
    if not path.name:
        raise SettingError(f"`path` must name a file, such as model.tflite. Received: {path}")
    with tempfile.TemporaryDirectory() as folder:
        with _in_float32(model), _resizing(model):
            saved = export_saved_model(model, pathlib.Path(folder) / "model", "dense", inputs)
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
    names = {name.strip() for line in missing for name in line.split(",")}
    if foreign := sorted(names - _NEEDING_SIZES):
        return f"TFLite has no operation of its own for {', '.join(foreign)}."
    if names:
        return (
            f"it knows too little of the sizes of what {', '.join(sorted(names))} is given. "
            f"{_FIXED_BATCH}"
        )
    if "TensorListReserve" in str(error):
        return (
            "it loops over steps of a batch of unknown size. Make recurrent layers unroll=True, or "
            f"let the batch be known. {_FIXED_BATCH}"
        )
    if found := re.search(r"'tf\.(\w+)' op ([^\n]+)", str(error)):
        return f"its converter fails: {found[1]} {found[2]}."
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return textwrap.shorten(first.split("loc(")[0], _LONGEST_REASON, placeholder=" ...")


# What TFLite has an operation for if it knows the sizes of what it is given.
_NEEDING_SIZES = {
    *("Conv2D", "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative"),
    *("BatchMatMulV2", "MatMul", "FusedBatchNormV3", "ResizeBilinear", "ResizeNearestNeighbor"),
}
# Characters of an error: some go on to print a graph.
_LONGEST_REASON = 240

_FIXED_BATCH = "Give `inputs` with all sizes, such as inputs=tf.TensorSpec((1, 64))."


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
def _resizing(model):
    """Let layers that repeat rows and columns resize images instead, which gives the same bits.

    Of a tensor that is repeated, in a batch of unknown size, the converter knows no size at all.
    """
    kinds = {
        keras.layers.UpSampling1D: _upsampled_1d,
        keras.layers.UpSampling2D: _upsampled_2d,
        keras.layers.UpSampling3D: _upsampled_3d,
    }
    layers = [layer for layer in layers_of(model) if type(layer) in kinds and _repeats(layer)]
    try:
        for layer in layers:
            layer.call = functools.partial(kinds[type(layer)], layer)
        yield
    finally:
        for layer in layers:
            del layer.call


def _repeats(layer) -> bool:
    by_rows = getattr(layer, "data_format", "channels_last") == "channels_last"
    return by_rows and getattr(layer, "interpolation", "nearest") == "nearest"


def _upsampled_1d(layer, inputs):
    return tf.squeeze(_larger(inputs[:, :, tf.newaxis], layer.size, 1), 2)


def _upsampled_2d(layer, inputs):
    return _larger(inputs, *layer.size)


def _upsampled_3d(layer, inputs):
    """Return larger volumes: first their depth, with rows as columns, then each plane."""
    depth, height, width, channels = _sizes(inputs)
    by_depth, by_height, by_width = layer.size
    flat = tf.reshape(inputs, (-1, depth, height * width, channels))
    planes = tf.reshape(_larger(flat, by_depth, 1), (-1, height, width, channels))
    shape = (-1, depth * by_depth, height * by_height, width * by_width, channels)
    return tf.reshape(_larger(planes, by_height, by_width), shape)


def _larger(images, by_height, by_width):
    height, width, _ = _sizes(images)
    return tf.image.resize(images, (height * by_height, width * by_width), "nearest")


def _sizes(tensor) -> list:
    """Return all sizes but the batch's, as numbers where they are known."""
    return keras.ops.shape(tensor)[1:]


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
