"""In which forms a model can be stored, and how large each of them is."""

import dataclasses
import pathlib
import tempfile
import textwrap
import warnings
import zlib
from collections.abc import Callable

import keras

from tf_tickets.shipping.saved_model import export_saved_model
from tf_tickets.shipping.tflite import export_tflite

# Characters of an error: some go on to print code or a graph.
_LONGEST_REASON = 240


@dataclasses.dataclass(frozen=True)
class Form:
    """One form of a model on disk.

    Attributes:
        name: what it is.
        made_by: the call that writes it to `path`, of `model`, or of `slim_model`, which is what
            `tt.slim` made of it.
        size_bytes: of the file, or of all files of the folder; None where it cannot be made.
        gzip_bytes: the same after gzip; None likewise.
        reason: why it cannot be made, in one line; empty where it can.
    """

    name: str
    made_by: str
    size_bytes: int | None
    gzip_bytes: int | None
    reason: str = ""


def measure_forms(model: keras.Model, slim: keras.Model | None = None) -> list[Form]:
    """Write a model in every form to a temporary folder, and return how large each is.

    This takes the time of four exports, and of two more for a slim model: 3 s for a convolutional
    network of 1.2 M weights, 15 s for MobileNetV2, on two CPU cores. What cannot be made says why.

    Args:
        model: a built model; `.keras` is what `model.save` writes, with its optimizer's state.
        slim: its slim model, if there is one, of which three forms more are measured.
    """
    forms = [
        (".keras", "model.save(path)", _save, model),
        (
            "SavedModel, dense",
            'tt.export_saved_model(model, path, weights="dense")',
            _saved_model("dense"),
            model,
        ),
        ("SavedModel, packed", "tt.export_saved_model(model, path)", _saved_model("packed"), model),
        (
            "TFLite, dense",
            'tt.export_tflite(model, path, weights="dense")',
            _tflite("dense"),
            model,
        ),
        ("TFLite, sparse", "tt.export_tflite(model, path)", _tflite("sparse"), model),
    ]
    if slim is not None:
        forms += [
            ("slim .keras", "slim_model.save(path)", _save, slim),
            (
                "slim SavedModel",
                "tt.export_saved_model(slim_model, path)",
                _saved_model("packed"),
                slim,
            ),
            ("slim TFLite", "tt.export_tflite(slim_model, path)", _tflite("sparse"), slim),
        ]
    return [_measured(*form) for form in forms]


def _measured(name, made_by, write: Callable, model) -> Form:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nobody will load these
        path = pathlib.Path(folder) / "model.keras"
        # Any error: what a model of someone else's cannot do is an answer, not a failure.
        try:
            write(model, path)
        except Exception as error:
            reason = f"{error}".strip() or type(error).__name__
            reason = textwrap.shorten(reason, _LONGEST_REASON, placeholder=" ...")
            return Form(name, made_by, None, None, reason)
        files = sorted(file for file in [path, *path.rglob("*")] if file.is_file())
        return Form(name, made_by, sum(file.stat().st_size for file in files), _gzip_bytes(files))


def _save(model, path):
    model.save(path)


def _saved_model(weights):
    return lambda model, path: export_saved_model(model, path, weights)


def _tflite(weights):
    return lambda model, path: export_tflite(model, path, weights)


def _gzip_bytes(files) -> int:
    """Return how large all files are in one gzip stream, at gzip's own default level."""
    compressor = zlib.compressobj(level=6, wbits=31)
    total = 0
    for file in files:
        with open(file, "rb") as opened:
            while chunk := opened.read(1 << 20):
                total += len(compressor.compress(chunk))
    return total + len(compressor.flush())
