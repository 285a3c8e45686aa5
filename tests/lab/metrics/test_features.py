import dataclasses
import errno
import pathlib
import random
import subprocess
import sys
import urllib.error

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import interop
from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.metrics import classifier, classifier_accuracy, features
from tf_tickets.lab.metrics.features import load_classifier, load_inception


@pytest.fixture
def short_training(monkeypatch):
    """Ten steps of a small network, where it matters only that there was some training."""
    for name, value in {"min_images_seen": 10 * 64, "stages": 1, "blocks": 1}.items():
        monkeypatch.setitem(classifier.RECIPE, name, value)


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("The classifier was trained, although it was kept.")

    return lambda: monkeypatch.setattr(classifier, "train_network", refuse)


def kept_file(folder):
    (path,) = folder.glob("*.safetensors")
    return path


def images_of(dataset):
    images, labels = dataset.examples.batch(dataset.num_images).get_single_element()
    return images.numpy(), labels.numpy()


@pytest.mark.slow
def test_digits_are_learned_and_kept(digits, tmp_path, no_training):
    train, validation, _ = digits
    seen = []
    extractor = load_classifier(train, tmp_path, lambda done, total: seen.append((done, total)))
    assert seen[0][0] == 1 and seen[-1][0] == seen[-1][1] == len(seen)
    images, labels = images_of(validation)
    answers, logits = extractor(images)
    assert classifier_accuracy(logits, labels) > 0.85
    assert answers.shape == (350, extractor.num_features) and logits.shape == (350, 10)
    assert answers.dtype == logits.dtype == np.float32
    assert (extractor.kind, extractor.image_size, len(extractor.digest)) == ("classifier", None, 16)

    no_training()
    again = load_classifier(train, tmp_path)
    assert again is extractor, "which this process has traced"
    np.testing.assert_array_equal(again(images)[0], answers)


def test_features_do_not_depend_on_the_batch_or_the_input_type(tiny, tmp_path, short_training):
    extractor = load_classifier(tiny[0], tmp_path)
    images, _ = images_of(tiny[0])
    many = np.tile(images, (10, 1, 1, 1))  # 600 images: more than pass through at once
    together = extractor(many)[0]
    np.testing.assert_allclose(together[:60], together[540:], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(extractor(images[:7])[0], together[:7], rtol=1e-4, atol=1e-5)
    half = tf.cast(images, tf.bfloat16)
    assert extractor(half)[0].dtype == np.float32


def test_training_neither_depends_on_global_state_nor_changes_it(tiny, tmp_path, short_training):
    def draws():
        return random.random(), np.random.rand(), *tf.random.uniform((2,)).numpy(), *named()

    def named():
        return keras.random.uniform((1,)).numpy()[0], keras.layers.Dense(1).name

    def start():
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(5)
        keras.config.set_dtype_policy("mixed_bfloat16")

    plain = load_classifier(tiny[0], tmp_path / "plain")
    policy = keras.config.dtype_policy()
    try:
        start()
        expected = draws()
        start()
        seeded = load_classifier(tiny[0], tmp_path / "seeded")
        assert draws() == expected
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        assert seeded(images_of(tiny[0])[0])[1].dtype == np.float32
    finally:
        keras.config.set_dtype_policy(policy)
    assert seeded.digest == plain.digest


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty"])
def test_a_damaged_classifier_is_trained_anew(tiny, tmp_path, short_training, damage):
    digest = load_classifier(tiny[0], tmp_path).digest
    path = kept_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flip": content, "truncate": content[:1000], "empty": b""}[damage])
    with pytest.warns(UserWarning, match=f"{path.name} is damaged; it is trained anew") as caught:
        assert load_classifier(tiny[0], tmp_path).digest == digest
    assert "\n" not in str(caught[0].message)
    assert features._digest(kept_file(tmp_path).read_bytes()) == digest


def test_other_data_or_another_recipe_is_another_classifier(
    tiny, tmp_path, short_training, monkeypatch
):
    train = tiny[0]
    names = {features._recipe_digest(train)}
    names.add(features._recipe_digest(dataclasses.replace(train, digest="other")))
    monkeypatch.setitem(classifier.RECIPE, "version", 999)
    names.add(features._recipe_digest(train))
    assert len(names) == 3


TWO_AT_ONCE = """
import sys, types, numpy as np, tensorflow as tf
from tf_tickets.lab.metrics import classifier, load_classifier
classifier.RECIPE.update(min_images_seen=640, stages=1, blocks=1)
images = np.linspace(-1, 1, 20 * 64, dtype=np.float32).reshape(20, 8, 8, 1)
train = types.SimpleNamespace(
    name="stand-in", num_images=20, image_shape=(8, 8, 1), num_classes=2, digest="two",
    examples=tf.data.Dataset.from_tensor_slices((images, np.arange(20) // 10)))
steps = []
extractor = load_classifier(train, sys.argv[1], lambda done, total: steps.append(done))
print(extractor.digest, len(steps))
"""


@pytest.mark.slow
def test_two_processes_train_only_one_classifier(tmp_path):
    command = [sys.executable, "-c", TWO_AT_ONCE, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    answers = [process.communicate(timeout=120)[0].split() for process in processes]
    assert answers[0][0] == answers[1][0]
    assert sorted(steps for _, steps in answers) == ["0", "10"]
    assert kept_file(tmp_path)


@pytest.mark.parametrize(
    ("variable", "folder"),
    [("TF_TICKETS_CACHE", "."), ("XDG_CACHE_HOME", "tf_tickets"), ("HOME", ".cache/tf_tickets")],
)
def test_the_cache_folder(tiny, tmp_path, short_training, monkeypatch, variable, folder):
    monkeypatch.delenv("TF_TICKETS_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    load_classifier(tiny[0])
    assert kept_file(tmp_path / folder)


def test_without_a_home_the_way_out_is_named(tiny, monkeypatch):
    for variable in ("TF_TICKETS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)

    def unknown_user(number):
        raise KeyError(number)

    monkeypatch.setattr("pwd.getpwuid", unknown_user)
    with pytest.raises(FileError, match=r"no home folder to keep the classifier in\. Set .*CACHE"):
        load_classifier(tiny[0])


def test_a_cache_folder_that_cannot_be_used_is_named(tiny, tmp_path, short_training, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FileError, match=r"Cannot keep the classifier in .*file.*TF_TICKETS_CACHE"):
        load_classifier(tiny[0], tmp_path / "file")

    def no_room(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(features, "write_whole", no_room)
    with pytest.raises(FileError, match="No space left on device") as caught:
        load_classifier(tiny[0], tmp_path)
    assert "\n" not in str(caught.value)


def test_one_class_cannot_be_learned(tiny, tmp_path):
    train = dataclasses.replace(tiny[0], num_classes=1)
    with pytest.raises(SettingError, match=r"at least 2 classes. Received: stand-in with 1"):
        load_classifier(train, tmp_path)


class Inception(tf.Module):
    """Has the signature of TF-GAN's Inception, and very few weights."""

    def __init__(self, seed=0, outputs=("pool_3", "logits"), size=299):
        super().__init__()
        generator = np.random.default_rng(seed)
        self.kernel = tf.Variable(generator.normal(size=(3, 6)).astype(np.float32))
        self.head = tf.Variable(generator.normal(size=(6, 4)).astype(np.float32))
        self.outputs = outputs
        signature = [tf.TensorSpec([None, size, size, 3], tf.float32)]
        self.call = tf.function(self.answer, input_signature=signature)

    def answer(self, images):
        pool = tf.reduce_mean(images, axis=(1, 2)) @ self.kernel
        answers = {"pool_3": pool[:, None, None, :], "logits": pool @ self.head}
        return {name: answers[name] for name in self.outputs}


def save_module(folder, callable_as="__call__", **options):
    module = Inception(**options)
    saved = tf.Module()
    saved.kernel, saved.head = module.kernel, module.head
    setattr(saved, callable_as, module.call)
    tf.saved_model.save(saved, str(folder))
    return module


def test_inception_gives_what_the_saved_model_gives(tmp_path):
    module = save_module(tmp_path / "inception")
    extractor = load_inception(tmp_path / "inception")
    images = np.random.default_rng(1).uniform(-1, 1, (40, 16, 16, 3)).astype(np.float32)
    pool, logits = extractor(images)  # 40 images: more than pass through at once
    expected = module.answer(tf.image.resize(images, (299, 299)))
    np.testing.assert_allclose(pool, expected["pool_3"][:, 0, 0, :], atol=1e-5)
    np.testing.assert_allclose(logits, expected["logits"], atol=1e-5)
    assert (extractor.kind, extractor.image_size, extractor.num_features) == ("inception", 299, 6)


def test_inception_sees_grey_images_in_three_channels(tmp_path):
    save_module(tmp_path / "inception")
    folder = str(tmp_path / "inception")
    grey = np.random.default_rng(1).uniform(-1, 1, (3, 8, 8, 1)).astype(np.float32)
    pool, _ = load_inception(folder)(grey)
    expected, _ = load_inception(folder)(np.repeat(grey, 3, axis=-1))
    np.testing.assert_allclose(pool, expected, atol=1e-6)


def test_the_digest_tells_one_inception_from_another(tmp_path):
    save_module(tmp_path / "first")
    save_module(tmp_path / "second", seed=1)
    digests = [load_inception(tmp_path / name).digest for name in ("first", "second", "first")]
    assert digests[0] == digests[2] != digests[1]


def break_truncated(folder):
    save_module(folder)
    path = folder / "saved_model.pb"
    path.write_bytes(path.read_bytes()[:500])


def break_flipped(folder):
    save_module(folder)
    path = folder / "variables" / "variables.data-00000-of-00001"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "Cannot load .* does not exist"),
        (lambda folder: folder.mkdir(), "Cannot load .* contains neither"),
        (lambda folder: folder.write_text("no module"), "Cannot load .* contains neither"),
        (break_truncated, "Cannot load .* Cannot parse"),
        (break_flipped, "Cannot load .* Checksum does not match"),
        (lambda folder: save_module(folder, outputs=("logits",)), "is not the Inception network"),
        (lambda folder: save_module(folder, size=32), "is not the Inception network"),
        (lambda folder: save_module(folder, callable_as="serve"), "is not the Inception network"),
    ],
    ids=["missing", "empty", "file", "truncated", "flipped", "outputs", "size", "uncallable"],
)
def test_what_is_no_inception_is_one_clear_line(tmp_path, make, message):
    folder = pathlib.Path(tmp_path / "inception")
    make(folder)
    with pytest.raises(FileError, match=message) as caught:
        load_inception(folder)
    assert "\n" not in str(caught.value)
    assert "leave it out and get fcd" in str(caught.value)


def test_offline_the_way_out_is_told(monkeypatch):
    def offline(address):
        raise urllib.error.URLError("Name or service not known")

    tf_gan = interop.inception_metrics()
    monkeypatch.setattr(tf_gan.tfhub, "resolve", offline)
    with pytest.raises(FileError, match=r"tfhub.dev.*not known.*local SavedModel folder"):
        load_inception(tf_gan.INCEPTION_TFHUB)
