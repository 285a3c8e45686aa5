"""Images and their relief: disjoint halves to train on, true translations to look at."""

import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.lab.data import DATASETS, load
from tf_tickets.lab.data.translations import relief


def of(split, domain, **options):
    images, labels = load("digits-relief", split, 16, **options).of_domain(domain).stored
    return np.asarray(images), np.asarray(labels)


def plain_relief(image):
    """Return the relief of an image, pixel by pixel; beyond its edges it goes on as it is there."""
    height, width = image.shape
    found = np.empty_like(image)
    for y in range(height):
        for x in range(width):
            below = image[min(y + 1, height - 1), min(x + 1, width - 1)]
            found[y, x] = (below - image[max(y - 1, 0), max(x - 1, 0)]) / 2
    return found


def test_a_relief_is_that_of_a_plain_loop():
    images = np.random.default_rng(0).uniform(-1, 1, (3, 7, 6, 2)).astype("float32")
    found = np.asarray(relief(tf.constant(images)))
    for number in range(3):
        for channel in range(2):
            expected = plain_relief(images[number, ..., channel])
            np.testing.assert_allclose(found[number, ..., channel], expected, atol=1e-6)
    assert np.abs(found).max() <= 1


@pytest.mark.parametrize("split", ["classifier", "validation", "test"])
def test_where_it_is_looked_at_a_row_shows_the_same_in_both_domains(split):
    (a, labels), (b, others) = of(split, 0), of(split, 1)
    np.testing.assert_allclose(b, relief(a), atol=1e-6)
    plain, own = load("digits", split, 16).stored
    np.testing.assert_array_equal(a, plain)
    np.testing.assert_array_equal(labels, own)
    np.testing.assert_array_equal(others, labels + 10)  # classes of B are others


def test_what_is_trained_on_is_of_disjoint_halves():
    images = load("digits", "train", 16).stored[0]
    (a, _), (b, _) = of("train", 0), of("train", 1)
    assert len(a) == len(b) == len(images) // 2 == 323
    np.testing.assert_array_equal(a, images[:323])
    np.testing.assert_allclose(b, relief(images[323:646]), atol=1e-6)


def test_fewer_images_are_the_first_of_the_same_halves():
    few, whole = of("train", 1, limit=20)[0], of("train", 1)[0]
    np.testing.assert_array_equal(few, whole[:20])
    assert len(of("test", 0, limit=7)[0]) == 7


def test_no_change_of_colours_makes_relief_of_images():
    """Each value of A is taken to where it does best on average, which is as far as that goes."""
    a, b = (np.round(of("test", number)[0], 2) for number in (0, 1))
    best = {value: b[a == value].mean() for value in np.unique(a)}
    error = np.mean((np.vectorize(best.get)(a) - b) ** 2)
    assert error > 0.95 * b.var()


def test_images_of_both_domains_are_one_after_another():
    whole = load("digits-relief", "classifier", 16)
    joined = whole.of_both_domains()
    assert (joined.num_images, joined.num_classes, joined.image_shape) == (900, 20, (16, 16, 1))
    images, labels = joined.stored
    np.testing.assert_array_equal(images[450:], of("classifier", 1)[0])
    assert set(np.asarray(labels[:450])) == set(range(10))
    assert set(np.asarray(labels[450:])) == set(range(10, 20))


def test_a_stream_is_divided_as_what_is_in_memory():
    import dataclasses

    whole = load("digits-relief", "test", 16, limit=30)
    stream = dataclasses.replace(whole, stored=tf.data.Dataset.from_tensor_slices(whole.stored))
    for one, other in (
        (whole.of_domain(1), stream.of_domain(1)),
        (whole.of_both_domains(), stream.of_both_domains()),
    ):
        found, expected = (list(each.batches(60).as_numpy_iterator()) for each in (other, one))
        np.testing.assert_array_equal(found[0][0], expected[0][0])
        np.testing.assert_array_equal(found[0][1], expected[0][1])


def test_the_cards_say_what_the_domains_are():
    card = DATASETS["mnist-relief"]
    assert (card.channels, card.has_truth, card.num_images["train"]) == (2, True, 20_000)
    assert card.domains == ("MNIST", "relief")
