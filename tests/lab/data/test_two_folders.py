"""Two folders of images, with the same names or with others."""

import numpy as np
import PIL.Image
import pytest

from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.data import DATASETS, load


def write(folder, names, seed=0, channels=3):
    """Write an image of one colour for each name, and return name -> its first value."""
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(seed).permutation(256)[: len(names)].tolist()  # all different
    values = dict(zip(names, drawn, strict=True))
    for name in names:
        shape = (8, 8, 3) if channels == 3 else (8, 8)
        PIL.Image.fromarray(np.full(shape, values[name], np.uint8)).save(folder / name)
    return values


@pytest.fixture
def paired(tmp_path):
    """Forty images of each domain, under the same names."""
    names = [f"{number}.png" for number in range(40)]
    return tmp_path, write(tmp_path / "day", names), write(tmp_path / "night", names, seed=1)


def of(split, domain, folder, **options):
    whole = load("two-folders", split, 8, data_dir=str(folder), **options)
    return [int(image[0, 0, 0]) for image in whole.of_domain(domain).stored[0]]


def test_images_of_the_same_names_are_true_translations(paired):
    folder, day, night = paired
    card = DATASETS["two-folders"].at(str(folder))
    assert (card.channels, card.domains, card.has_truth) == (6, ("day", "night"), True)
    translations = {day[name]: night[name] for name in day}
    for split in ("validation", "test"):
        pairs = list(zip(of(split, 0, folder), of(split, 1, folder), strict=True))
        assert pairs and all(translations[a] == b for a, b in pairs)


def test_no_image_that_is_trained_on_is_there_in_both_domains(paired):
    folder, day, night = paired
    names = [
        {name for name, value in values.items() if value in set(of("train", number, folder))}
        for number, values in enumerate((day, night))
    ]
    assert all(names) and not names[0] & names[1]
    for split in ("classifier", "validation", "test"):
        shown = {name for name, value in day.items() if value in of(split, 0, folder)}
        assert shown and not shown & names[0]


def test_of_other_names_nothing_is_known_and_the_fewer_begin_again(tmp_path):
    write(tmp_path / "a", [f"x{number}.png" for number in range(60)])
    write(tmp_path / "b", [f"y{number}.png" for number in range(30)], channels=1)
    card = DATASETS["two-folders"].at(str(tmp_path))
    assert (card.channels, card.has_truth) == (6, False)
    whole = load("two-folders", "test", 8, data_dir=str(tmp_path))
    assert whole.num_images == card.num_images["test"] < 10
    a, b = (of("train", number, tmp_path) for number in (0, 1))
    assert len(a) == len(b) == load("two-folders", "train", 8, data_dir=str(tmp_path)).num_images
    assert len(set(b)) < len(set(a))


def test_fewer_images_are_the_first(paired):
    folder, *_ = paired
    assert of("train", 1, folder, limit=3) == of("train", 1, folder)[:3]


def test_what_is_no_folder_of_two_is_told(tmp_path):
    with pytest.raises(SettingError, match="must be a folder that holds two folders"):
        load("two-folders", "train", 8)
    with pytest.raises(FileError, match=r"must hold two folders of images.* It holds 0"):
        load("two-folders", "train", 8, data_dir=str(tmp_path))
    with pytest.raises(FileError, match=r"Cannot read the folder .*absent"):
        load("two-folders", "train", 8, data_dir=str(tmp_path / "absent"))


def test_what_does_not_fit_in_memory_is_refused(paired, monkeypatch):
    monkeypatch.setattr("tf_tickets.lab.data.pixels.MEMORY_BYTES", 100)
    with pytest.raises(SettingError, match=r"more than fit in memory.*image_size=8"):
        load("two-folders", "train", 8, data_dir=str(paired[0]))
