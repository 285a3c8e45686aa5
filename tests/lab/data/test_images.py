"""Folders of images made up here: sizes, colours, classes, splits, and what can be wrong."""

import contextlib
import os
import shutil

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from tests.quick import slow_but
from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.data import dataset, image_shape, images, pixels, training_batches
from tf_tickets.lab.data.card import SPLITS
from tf_tickets.lab.metrics import load_classifier


def save(folder, name, size=(12, 10), mode="RGB", seed=0, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode)
    shape = size if channels is None else (*size, channels)
    values = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    PIL.Image.fromarray(values, mode=None).save(path, **options)
    return path


def fill(folder, count, names="{:03d}.png", **options):
    for number in range(count):
        size = (12, 10) if number % 2 else (9, 16)
        save(folder, names.format(number), size, seed=number, **options)
    return folder


def load_all(folder, size=8, limit=None, splits=("train", "validation", "test")):
    return [dataset.load("images", s, size, limit, folder) for s in splits]


def load_classes(folder, size=8, limit=None):
    """Load all splits of a folder with classes, which has one for the classifier too."""
    return load_all(folder, size, limit, SPLITS)


def count(parts):
    return sum(part.num_images for part in parts)


def one_line(error, *words):
    message = str(error.value)
    assert "\n" not in message
    for word in words:
        assert str(word) in message
    return message


def test_200_files_of_two_sizes(tmp_path):
    fill(tmp_path, 200)
    train, *others = load_all(tmp_path)
    assert train.num_images + count(others) == 200
    assert all(15 <= part.num_images <= 45 for part in others)  # about 15 % each
    assert train.image_shape == image_shape("images", 8, tmp_path) == (8, 8, 3)
    assert train.num_classes == 0 and set(train.stored[1].numpy()) == {-1}
    assert train.stored[0].dtype == tf.uint8
    (batch,) = training_batches(train, 16, 0, 0, 1)
    assert batch.shape == (16, 8, 8, 3) and -1 <= np.min(batch) < np.max(batch) <= 1


def test_images_are_the_central_square_of_the_file_resized(tmp_path):
    fill(tmp_path, 10)
    pixels_of = {}
    for path in tmp_path.iterdir():
        image = np.asarray(PIL.Image.open(path))
        top, left = ((side - min(image.shape[:2])) // 2 for side in image.shape[:2])
        image = image[top:, left:][: min(image.shape[:2]), : min(image.shape[:2])]
        resized = tf.image.resize(image, (8, 8), antialias=True)
        pixels_of[np.rint(resized).astype(np.uint8).tobytes()] = path.name
    found = [image.tobytes() for part in load_all(tmp_path) for image in part.stored[0].numpy()]
    assert {pixels_of[image] for image in found} == {path.name for path in tmp_path.iterdir()}


def test_a_file_of_the_size_asked_for_is_left_as_it_is(tmp_path):
    values = {save(tmp_path, f"{n}.png", (16, 16), seed=n).read_bytes(): n for n in range(4)}
    assert len(values) == 4
    originals = {np.asarray(PIL.Image.open(p)).tobytes() for p in tmp_path.iterdir()}
    found = [i.tobytes() for part in load_all(tmp_path, 16) for i in part.stored[0].numpy()]
    assert set(found) == originals


def test_subfolders_are_classes(tmp_path):
    for name in ("cats", "dogs", "birds"):
        fill(tmp_path / name, 20, names="deep/{:03d}.jpg" if name == "dogs" else "{:03d}.png")
    parts = load_classes(tmp_path)
    train = parts[0]
    assert {part.num_classes for part in parts} == {3}
    labels = np.concatenate([part.stored[1] for part in parts])
    assert np.array_equal(np.bincount(labels), [20, 20, 20])
    # The first images are of all classes, in memory as in a stream.
    assert len(set(train.stored[1].numpy()[:12])) == 3


def test_labels_belong_to_their_images(tmp_path):
    for number, name in enumerate(("black", "white")):
        for index in range(10):
            (tmp_path / name).mkdir(exist_ok=True)
            PIL.Image.new("RGB", (8, 8), (255 * number,) * 3).save(tmp_path / name / f"{index}.png")
    for part in load_classes(tmp_path):
        images, labels = part.stored
        assert np.array_equal(images[:, 0, 0, 0] == 255, labels == 1)


@pytest.mark.parametrize("names", ["only/{:03d}.png", "a/b/c/{:03d}.png"])
def test_one_subfolder_or_images_beside_subfolders_are_no_classes(tmp_path, names):
    fill(tmp_path, 10, names=names)
    assert load_all(tmp_path)[0].num_classes == 0
    fill(tmp_path / "other", 3)
    assert load_all(tmp_path)[0].num_classes == 2
    save(tmp_path, "beside.png")
    assert load_all(tmp_path)[0].num_classes == 0


@pytest.mark.parametrize("names", ["{:03d}.png", "{}/x.png"])
def test_folders_named_as_the_splits_are_the_splits(tmp_path, names):
    counts = {"train": 6, "classifier": 3, "validation": 4, "test": 2}
    for name, number in counts.items():
        fill(tmp_path / name, number, names)
    parts = load_classes(tmp_path)
    assert [part.num_images for part in parts] == list(counts.values())
    assert {part.num_classes for part in parts} == {6 if "/" in names else 0}
    save(tmp_path, "holdout/1.png")
    with pytest.warns(UserWarning, match=r"1 images .* in no folder of a split, .*holdout/1"):
        assert load_all(tmp_path)[0].num_images == 6


@pytest.mark.parametrize("with_validation", [False, True])
def test_splits_without_a_folder_are_taken_from_train(tmp_path, with_validation):
    for name in ("a", "b"):
        fill(tmp_path / "train" / name, 100, name + "-{:03d}.png")
        fill(tmp_path / "test" / name, 5)
        if with_validation:
            fill(tmp_path / "validation" / name, 4)
    train, classifier, validation, test = load_classes(tmp_path)
    assert test.num_images == 10 and (validation.num_images == 8) == with_validation
    assert 20 <= classifier.num_images <= 60  # a fifth of the 200
    taken = classifier.num_images + (0 if with_validation else validation.num_images)
    assert train.num_images + taken == 200


@pytest.mark.parametrize("name", ["train", "validation"])
def test_a_folder_named_as_one_split_alone_is_a_folder(tmp_path, name):
    fill(tmp_path / name, 10)
    parts = load_all(tmp_path)
    assert count(parts) == 10 and min(part.num_images for part in parts) >= 1


@pytest.mark.parametrize("names", ["{:03d}.png", "{}/x.png"])
def test_a_file_stays_in_its_split_whatever_others_come(tmp_path, names):
    fill(tmp_path, 40, names)
    before = images._study(tmp_path)[1].names
    fill(tmp_path, 80, names)
    after = images._study(tmp_path)[1].names
    assert (
        set(before) == set(after) == (set(SPLITS) - ({"classifier"} if "/" not in names else set()))
    )
    for split, found in before.items():
        assert set(found) < set(after[split]), split
    assert sum(map(len, after.values())) == len(set().union(*after.values())) == 80


@pytest.mark.parametrize("number", slow_but([3, 4, 6], 4))
def test_few_images_are_in_all_splits(tmp_path, number):
    for attempt in range(6):
        parts = load_all(fill(tmp_path / str(attempt), number, f"{attempt}-{{}}.png"))
        assert min(part.num_images for part in parts) >= 1 and count(parts) == number


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_files_have_one_channel(tmp_path, mode):
    fill(tmp_path, 6, mode=mode)
    with told_of_transparency(mode == "LA"):
        train, *_ = load_all(tmp_path)
    assert train.image_shape == (8, 8, 1)
    save(tmp_path, "colour.jpg")
    with told_of_transparency(mode == "LA"):
        assert {part.image_shape for part in load_all(tmp_path)} == {(8, 8, 3)}


def told_of_transparency(is_told):
    return pytest.warns(UserWarning, match="transparent") if is_told else contextlib.nullcontext()


def test_transparency_is_told_of_once(tmp_path):
    fill(tmp_path, 4)
    for number in (1, 2):
        save(tmp_path, f"clear{number}.png", mode="RGBA", seed=number)
    PIL.Image.new("P", (9, 9)).save(tmp_path / "clear3.png", transparency=0)
    with pytest.warns(UserWarning, match="3 images in .*, such as clear1.png: there") as told:
        load_all(tmp_path)
    assert len(told) == 1 and "\n" not in str(told[0].message)


@pytest.mark.parametrize("mode", ["1", "I;16", "P", "CMYK", "RGBA"])
def test_other_kinds_of_pixels(tmp_path, mode):
    """Halves of black and white survive, whatever a file stores them as."""
    half = np.zeros((16, 16), np.uint8)
    half[:, 8:] = 255
    image = PIL.Image.fromarray(half)
    if mode == "I;16":
        image = PIL.Image.fromarray(half.astype(np.uint16) * 257)
    elif mode == "RGBA":
        image = image.convert("RGB")
        image.putalpha(255)
    else:
        image = image.convert("RGB").convert(mode) if mode in ("P", "CMYK") else image.convert(mode)
    assert image.mode == mode
    for number in range(3):
        image.save(tmp_path / (f"{number}.jpg" if mode == "CMYK" else f"{number}.png"), quality=100)
    with told_of_transparency(mode == "RGBA"):
        train, *_ = load_all(tmp_path, 16)
    assert train.image_shape[-1] == (1 if mode in ("1", "I;16") else 3)
    close = np.abs(train.stored[0].numpy().astype(int) - half[None, :, :, None]) <= 6
    assert close.all()


def test_the_limit_keeps_the_first_images(tmp_path):
    fill(tmp_path, 30)
    whole, few = load_all(tmp_path)[0], load_all(tmp_path, limit=5)[0]
    assert np.array_equal(few.stored[0], whole.stored[0][:5])
    assert few.digest.endswith("-train-8-5")
    assert whole.digest.endswith(f"-train-8-{whole.num_images}")
    assert load_all(tmp_path, limit=10**6)[0].digest == whole.digest


def digest(*arguments):
    return dataset.load(*arguments).digest


def test_the_digest_is_of_the_content_and_not_of_the_place(tmp_path):
    first = fill(tmp_path / "first", 6)
    shutil.copytree(first, tmp_path / "second")
    arguments = ("images", "train", 8, None)
    before = digest(*arguments, first)
    assert before == digest(*arguments, str(first))
    assert before == digest(*arguments, tmp_path / "second")
    name, identity, *rest = before.split("-")
    assert (name, len(identity), rest[:2]) == ("images", 12, ["train", "8"])
    save(first, "000.png", (9, 16), seed=99)
    changed = digest(*arguments, first)
    assert changed != before
    (first / "001.png").rename(first / "renamed.png")
    assert digest(*arguments, first) not in (before, changed)


def test_of_very_many_bytes_names_and_sizes_are_the_identity(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "_HASHED_BYTES", 100)
    images._study_files.cache_clear()
    fill(tmp_path, 6, mode="L")
    before = digest("images", "train", 8, None, tmp_path)
    path = tmp_path / "000.png"
    with open(path, "ab") as file:
        file.write(b"more")
    assert digest("images", "train", 8, None, tmp_path) != before
    path.write_bytes(b"no image")
    with pytest.raises(FileError, match=r"000\.png"):
        digest("images", "train", 8, None, tmp_path)


def test_a_stream_answers_as_memory_does(tmp_path, monkeypatch):
    for name in ("a", "b"):
        fill(tmp_path / name, 30)
    held = load_classes(tmp_path)
    monkeypatch.setattr(pixels, "MEMORY_BYTES", 1000)
    for stream, kept in zip(load_classes(tmp_path), held, strict=True):
        assert kept.in_memory and not stream.in_memory and stream.digest == kept.digest
        pairs = zip(stream.examples, kept.examples, strict=True)
        for (image, label), (kept_image, kept_label) in pairs:
            assert np.array_equal(image, kept_image) and label == kept_label
    epoch = [b.numpy() for b in training_batches(stream, 2, 0, 0, stream.num_images // 2)]
    assert np.shape(epoch)[1:] == (2, 8, 8, 3)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("damage", ["empty", "text", "cut", "header alone", "gif inside"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_broken_file_is_named(tmp_path, monkeypatch, damage, suffix, in_memory):
    fill(tmp_path, 200)
    path = save(tmp_path, f"broken.{suffix}", (40, 40))
    content = path.read_bytes()
    if damage == "gif inside":
        PIL.Image.new("L", (8, 8)).save(path, format="GIF")
        content = path.read_bytes()
    damaged = {"empty": b"", "text": b"hello", "cut": content[: len(content) // 2]}
    path.write_bytes(damaged.get(damage, content[:40] if damage == "header alone" else content))
    if not in_memory:
        monkeypatch.setattr(pixels, "MEMORY_BYTES", 1000)
    with pytest.raises(FileError) as caught:
        load_all(tmp_path)
    one_line(caught, path, "Cannot read the image", "Replace the file, or delete it.")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, ["holds 0 PNG or JPEG files", "`data_dir`"]),
        (lambda folder: fill(folder, 2), ["holds 2 PNG or JPEG files", "to choose by"]),
        (lambda folder: fill(folder, 3, "{}/x.png"), ["holds 3", "with classes, for a classifier"]),
        (lambda folder: folder.rmdir(), ["No such file or directory", "`data_dir`"]),
        (lambda folder: (folder.rmdir(), folder.write_text("x")), ["Not a directory"]),
    ],
    ids=["none", "two", "three of classes", "absent", "file"],
)
def test_folders_that_hold_no_data_set(tmp_path, make, words):
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder)
    for ask in (dataset.load, digest):
        with pytest.raises(FileError) as caught:
            ask("images", "train", 8, None, folder)
        one_line(caught, folder, *words)


def test_a_folder_that_may_not_be_read(tmp_path, monkeypatch):
    fill(tmp_path, 4)
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    (tmp_path / "secret").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(FileError) as caught:
        load_all(tmp_path)
    one_line(caught, tmp_path / "secret", "Permission denied")


def test_no_folder_is_one_line():
    with pytest.raises(SettingError) as caught:
        digest("images", "train")
    one_line(caught, "`data_dir`", "data_dir=None")


def test_links_hidden_files_and_other_kinds_are_left_out(tmp_path):
    fill(tmp_path / "data", 10)
    before = digest("images", "train", 8, None, tmp_path / "data")
    outside = save(tmp_path, "outside/1.png")
    (tmp_path / "data" / "link.png").symlink_to(outside)
    (tmp_path / "data" / "folder").symlink_to(outside.parent)
    save(tmp_path / "data", ".hidden.png")
    save(tmp_path / "data", ".thumbnails/1.png")
    (tmp_path / "data" / "notes.txt").write_text("x")
    assert digest("images", "train", 8, None, tmp_path / "data") == before
    for name in ("a.gif", "b.bmp"):
        save(tmp_path / "data", name, mode="L")
    with pytest.warns(
        UserWarning, match=r"2 images in .* left out: .* neither PNG nor JPEG.*a.gif"
    ):
        assert digest("images", "train", 8, None, tmp_path / "data") == before


def test_upper_case_names_and_names_in_other_letters(tmp_path):
    fill(tmp_path / "ä", 4, "{}.PNG")
    fill(tmp_path / "日本", 4, "{}.JPEG")
    parts = load_classes(tmp_path)
    assert count(parts) == 8 and parts[0].num_classes == 2


def test_data_without_labels_train_no_classifier(tmp_path):
    fill(tmp_path / "images", 10)
    train, *_ = load_all(tmp_path / "images")
    with pytest.raises(SettingError) as caught:
        load_classifier(train, tmp_path / "cache")
    one_line(caught, "at least 2 classes", "images with no labels", "`inception`")
