import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab.metrics import FeatureExtractor
from tf_tickets.lab.metrics.images import float_images

BYTES = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
FLOATS = (BYTES / 127.5 - 1).astype(np.float32)


def means(images):
    features = tf.reduce_mean(images, axis=(1, 2))
    return features, features


@pytest.fixture
def extractor():
    return FeatureExtractor(means, kind="classifier", digest="0", num_features=3, batch_size=2)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_are_taken_as_they_are(dtype):
    found = float_images(FLOATS.astype(dtype))
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, FLOATS, atol=1e-3)


def test_8_bits_give_the_features_of_their_floats(extractor):
    np.testing.assert_allclose(extractor(BYTES)[0], extractor(FLOATS)[0], atol=1e-6)


def test_0_to_255_as_floats_is_told_of(extractor):
    with pytest.warns(UserWarning, match=r"go from 0 to 25\d.*Divide 0 to 255 by 127.5") as told:
        extractor(BYTES.astype(np.float32))
    assert len(told) == 1 and "\n" not in str(told[0].message)


@pytest.mark.parametrize("images", [FLOATS, (FLOATS + 1) / 2, 3 * FLOATS, np.nan * FLOATS])
def test_what_a_network_may_make_is_not_spoken_of(images, extractor):
    assert extractor(images)[0].shape == (5, 3)  # warnings are errors


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (BYTES.astype(np.int32), "uint8 from 0 to 255 or floats .* Received: int32"),
        (BYTES > 9, "Received: bool"),
        (FLOATS.astype(complex), "Received: complex128"),
        (np.full((1, 2, 2, 3), "a"), "Received: string"),
        (FLOATS[0], r"the shape \(n, height, width, channels\)\. Received: \(4, 4, 3\)"),
        (FLOATS[:, :, :0], "nothing to look at"),
        (FLOATS[:0], r"nothing to look at in shape \(0, 4, 4, 3\)"),
    ],
)
def test_what_is_no_image_is_refused(images, message, extractor):
    with pytest.raises(SettingError, match=message) as refused:
        extractor(images)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_channels_that_a_network_does_not_take_are_refused(channels):
    images = np.zeros((2, 4, 4, channels))
    with pytest.raises(SettingError, match=rf"\(n, 4, 4, 3\)\. Received: \(2, 4, 4, {channels}\)"):
        float_images(images, (4, 4, 3))
    options = dict(kind="inception", digest="0", num_features=3, batch_size=2, channels=(1, 3))
    extractor = FeatureExtractor(means, **options)
    if channels == 1:
        assert extractor(images)[0].shape == (2, 1)
        return
    with pytest.raises(
        SettingError, match=f"takes images of 1 or 3 channels. Received: {channels}"
    ):
        extractor(images)
