"""A folder of PNG and JPEG files of the user's own, with a subfolder for each class or without."""

import dataclasses
import functools
import hashlib
import io
import os
import pathlib
import warnings
from collections.abc import Iterator, Sequence

from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.data.card import SPLITS, DatasetCard

_READ = (".png", ".jpg", ".jpeg")
# Images of other kinds; other files than images are no loss, and are not spoken of.
_LEFT_OUT = (".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".avif", ".ppm", ".pgm")
# What is no folder of its own is taken from the training images, by these shares of them.
_SHARES = {"test": 0.15, "validation": 0.15, "classifier": 0.2}
# Of more bytes than this the names and sizes alone are the identity: to read all takes minutes.
_HASHED_BYTES = 10**9
_TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")
_GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N", "F")


@dataclasses.dataclass(frozen=True)
class _File:
    """One image; `name` is relative to the folder, with "/" between its parts."""

    name: str
    num_bytes: int
    modified_ns: int

    @functools.cached_property
    def hash(self) -> bytes:
        """32 bytes that follow from the name: the first half decides on the split."""
        return hashlib.sha256(os.fsencode(self.name)).digest()

    @property
    def place(self) -> float:
        """Where the hash lies among all hashes, in [0, 1)."""
        return int.from_bytes(self.hash[:8], "big") / 2**64


@dataclasses.dataclass(frozen=True)
class _Folder:
    """What there is in a folder: for each split the names of the images and their labels."""

    channels: int
    num_classes: int
    identity: str
    names: dict[str, list[str]]
    labels: dict[str, list[int]]


def _look(data_dir: str | None) -> dict:
    _, folder = _study(data_dir)
    return {
        "channels": folder.channels,
        "num_classes": folder.num_classes,
        "identity": folder.identity,
        "splits": tuple(folder.names),
        "num_images": {split: len(names) for split, names in folder.names.items()},
    }


def study(path: pathlib.Path) -> _Folder:
    """Return what is in a folder of images: their channels, an identity, and names by split.

    Raises:
        FileError: if it cannot be read, or holds too few images.
    """
    return _study(str(path))[1]


def _study(data_dir: str | None) -> tuple[pathlib.Path, _Folder]:
    """Return the folder and what is in it; files that did not change are not read again."""
    if data_dir is None:
        raise SettingError(
            "`data_dir` must be the folder of PNG or JPEG files that the data set images is made "
            "of. Received: data_dir=None"
        )
    path = pathlib.Path(os.path.expanduser(data_dir)).resolve()
    try:
        found = sorted(_walk(path, ""), key=lambda file: os.fsencode(file.name))
    except OSError as error:
        raise FileError(
            f"Cannot read the folder of images {error.filename or path}: {error.strerror}. Give a "
            "folder of PNG or JPEG files as `data_dir`."
        ) from error
    return path, _study_files(path, tuple(found))


def _walk(folder: pathlib.Path, prefix: str) -> Iterator[_File]:
    """Yield all images of a folder and its subfolders, but hidden ones and links."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or entry.is_symlink():
                continue
            if entry.is_dir():
                yield from _walk(folder / entry.name, f"{prefix}{entry.name}/")
            elif entry.is_file() and entry.name.lower().endswith((*_READ, *_LEFT_OUT)):
                status = entry.stat()
                yield _File(prefix + entry.name, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _study_files(path: pathlib.Path, found: tuple[_File, ...]) -> _Folder:
    files = [file for file in found if file.name.lower().endswith(_READ)]
    others = [file for file in found if file.name.lower().endswith(_LEFT_OUT)]
    _warn(path, others, "are neither PNG nor JPEG")
    by_folder = _by_folder(files)
    used = {file for split in by_folder.values() for file in split}
    _warn(path, [file for file in files if file not in used], "are in no folder of a split")
    files = [file for file in files if file in used]
    depth = 0 if len(by_folder) == 1 else 1
    classes = _classes(files, depth)
    splits = _with_all_splits(by_folder, bool(classes))
    if not all(splits.values()):
        raise FileError(
            f"A data set needs images to train on, to choose by, to test on and, with classes, for "
            f"a classifier: {path} holds {len(files)} PNG or JPEG files. Give another folder as "
            "`data_dir`."
        )
    channels, identity, transparent = _read_headers(path, files)
    if transparent:
        warnings.warn(
            f"{len(transparent)} images in {path} can be transparent in places, such as "
            f"{transparent[0].name}: there they are read in the colours that transparency hides.",
            stacklevel=2,
        )
    # By their names, so that the first images of a split are of all classes.
    splits = {name: sorted(split, key=lambda f: f.hash[16:]) for name, split in splits.items()}
    return _Folder(
        channels=channels,
        num_classes=len(classes),
        identity=identity,
        names={name: [file.name for file in split] for name, split in splits.items()},
        labels={
            name: [classes.index(_parts(file)[depth]) if classes else -1 for file in split]
            for name, split in splits.items()
        },
    )


def _by_folder(files: Sequence[_File]) -> dict[str, list[_File]]:
    """Return the files of each split that has a folder; all for training if train or test has none.

    Whoever has a folder "train" need not mean a split by it.
    """
    by_folder = {name: [f for f in files if _parts(f)[0] == name] for name in SPLITS}
    found = {name: split for name, split in by_folder.items() if split}
    return found if {"train", "test"} <= set(found) else {"train": list(files)}


def _with_all_splits(by_folder, has_classes: bool) -> dict[str, list[_File]]:
    """Take the splits without a folder from the training images.

    A file stays in its split, whatever others come and go: its name decides.
    """
    missing = {
        name: share
        for name, share in _SHARES.items()
        if name not in by_folder and (has_classes or name != "classifier")
    }
    splits, end = dict(by_folder), 0.0
    left = sorted(by_folder["train"], key=lambda file: file.hash)
    for name, share in missing.items():
        end += share
        count = max(sum(file.place < end for file in left), 1)
        splits[name], left = left[:count], left[count:]
    return {**splits, "train": left}


def _classes(files: Sequence[_File], depth: int) -> list[str]:
    """Return the names of the classes, if all images are in subfolders and these are several."""
    parts = [_parts(file)[depth:] for file in files]
    names = sorted({folder for folder, *rest in parts if rest})
    return names if len(names) > 1 and all(len(rest) > 1 for rest in parts) else []


def _parts(file: _File) -> list[str]:
    return file.name.split("/")


def _warn(path, files, fault):
    if files:
        warnings.warn(
            f"{len(files)} images in {path} are left out: they {fault}, such as {files[0].name}.",
            stacklevel=2,
        )


def _read_headers(path: pathlib.Path, files: Sequence[_File]) -> tuple[int, str, list[_File]]:
    """Return the channels, 1 if all images are grey and else 3, a digest of the content, and the
    files that have transparency.
    """
    reads_all = sum(file.num_bytes for file in files) < _HASHED_BYTES
    digest = hashlib.sha256()
    channels, transparent = 1, []
    for file in files:
        digest.update(os.fsencode(file.name) + b"\0%d\0" % file.num_bytes)
        source = path / file.name
        if reads_all:
            content = _content_of(source)
            digest.update(content)
            source = io.BytesIO(content)
        of_file, is_transparent = _look_at_pixels(source, path / file.name)
        channels = max(channels, of_file)
        transparent += [file] if is_transparent else []
    return channels, digest.hexdigest()[:12], transparent


def _content_of(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror) from error


def _look_at_pixels(source, path: pathlib.Path) -> tuple[int, bool]:
    """Return the channels of an image, and whether it has transparency."""
    import PIL.Image

    failures = (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError)
    try:
        with PIL.Image.open(source, formats=("PNG", "JPEG")) as image:
            transparent = image.mode in _TRANSPARENT_MODES or "transparency" in image.info
            return 1 if image.mode in _GREY_MODES else 3, transparent
    except failures as error:
        raise _unreadable(path, getattr(error, "strerror", None)) from error


def _unreadable(path: pathlib.Path, reason: str | None = None) -> FileError:
    reason = reason or "it is not a whole PNG or JPEG image"
    return FileError(f"Cannot read the image {path}: {reason}. Replace the file, or delete it.")


def _read(split: str, size: int, limit: int | None, data_dir: str | None):
    import tensorflow as tf

    from tf_tickets.lab.data.pixels import fits_in_memory, hold, square

    path, folder = _study(data_dir)
    names, labels = folder.names[split], folder.labels[split]
    num_available = len(names)
    names, labels = ([*values][:limit] for values in (names, labels))
    paths = [os.fsencode(path / name) for name in names]

    def decode(path, label):
        image = _decode(path, folder.channels)
        image = tf.ensure_shape(square(image, size), (size, size, folder.channels))
        return image, tf.cast(label, tf.int64)

    stream = tf.data.Dataset.from_tensor_slices((paths, labels)).map(decode, tf.data.AUTOTUNE)
    shape = (len(names), size, size, folder.channels)
    try:
        if fits_in_memory(shape):
            return hold(stream.batch(512), shape), num_available
        # A broken file shows now and by its name, and not in the middle of a training.
        for _ in stream.batch(64):
            pass
    except tf.errors.OpError as error:
        raise _fault_among(paths, folder.channels) from error
    return stream, num_available


def _decode(path, channels: int):
    import tensorflow as tf

    content = tf.io.read_file(path)
    return tf.io.decode_image(content, channels, expand_animations=False)


def _fault_among(paths: Sequence[bytes], channels: int) -> FileError:
    """Return the error that names the first file which cannot be decoded."""
    import tensorflow as tf

    for path in paths:
        try:
            _decode(path, channels)
        except tf.errors.OpError:
            return _unreadable(pathlib.Path(os.fsdecode(path)))
    return FileError("The images could be read one by one, but not together. Try again.")


CARD = DatasetCard(
    name="images",
    title="a folder of images",
    read=_read,
    look=_look,
    channels=None,
    num_classes=None,
)
