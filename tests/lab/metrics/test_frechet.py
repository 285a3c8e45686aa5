import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from tf_tickets import interop
from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics import Moments, frechet_distance


def moments_of(features, batch_size=10_000):
    moments = Moments(features.shape[1])
    for start in range(0, len(features), batch_size):
        moments.update(features[start : start + batch_size])
    return moments


def reference(first, second):
    """The distance in float64 with scipy's general matrix root."""
    covariances = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    spread = np.trace(covariances[0] + covariances[1] - 2 * root)
    return np.sum((first.mean(0) - second.mean(0)) ** 2) + spread


def with_moments(generator, mean, deviations):
    """Features whose sample mean and (diagonal) covariance are exactly these."""
    raw = generator.normal(size=(200, len(mean)))
    raw -= raw.mean(axis=0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False)).T)
    return white * deviations + mean


def test_moments_agree_with_numpy_whatever_the_batches():
    features = np.random.default_rng(0).normal(5, 2, size=(103, 7))
    whole = moments_of(features)
    np.testing.assert_allclose(whole.mean, features.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(whole.covariance, np.cov(features, rowvar=False), rtol=1e-12)
    for batch_size in (1, 10, 103):
        moments = moments_of(features, batch_size)
        assert moments.count == 103
        np.testing.assert_allclose(moments.mean, whole.mean, rtol=1e-13)
        np.testing.assert_allclose(moments.covariance, whole.covariance, rtol=1e-12)


def test_no_images_change_nothing():
    features = np.random.default_rng(1).normal(size=(50, 4))
    moments = moments_of(features)
    moments.update(np.zeros((0, 4)))
    assert moments.count == 50
    np.testing.assert_allclose(moments.covariance, np.cov(features, rowvar=False), rtol=1e-12)


def test_small_variance_beside_a_large_mean_is_kept():
    """A sum of squares would leave nothing of a variance of 1e-8 at a mean of 1e6 (1e12 + 1e-8)."""
    features = 1e6 + np.random.default_rng(2).normal(0, 1e-4, size=(1000, 2))
    moments = moments_of(features, batch_size=100)
    centred = features - 1e6
    np.testing.assert_allclose(moments.covariance, np.cov(centred, rowvar=False), rtol=1e-3)


def test_closed_form_for_gaussians():
    """Diagonal covariances: |shift|^2 + sum (s1 - s2)^2 = 1 + 4 + (1 - 3)^2 + (2 - 5)^2 = 18."""
    generator = np.random.default_rng(3)
    first = with_moments(generator, np.array([0.0, 0.0]), np.array([1.0, 2.0]))
    second = with_moments(generator, np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    distance = frechet_distance(moments_of(first), moments_of(second))
    np.testing.assert_allclose(distance, 18, rtol=1e-10)


def test_zero_against_itself_and_never_below():
    generator = np.random.default_rng(4)
    for scale in (1e-3, 1, 1e3):
        features = generator.normal(0, scale, size=(300, 20))
        distance = frechet_distance(moments_of(features), moments_of(features, 7))
        assert 0 <= distance < 1e-9 * scale**2


# Where some eigenvalues are zero, each carries a rounding error of about 1e-16, whose root is 1e-8;
# the sums here are of order 100, and TF-GAN leaves roots below 1e-10 out.
@pytest.mark.parametrize(("count", "tolerance"), [(400, 1e-10), (12, 1e-6)])
def test_agrees_with_scipy_and_with_tf_gan(count, tolerance):
    generator = np.random.default_rng(5)
    first = generator.normal(size=(count, 24))
    second = generator.normal(size=(count, 24)) @ generator.normal(size=(24, 24)) + 0.5
    distance = frechet_distance(moments_of(first, 50), moments_of(second, 50))
    np.testing.assert_allclose(distance, reference(first, second), rtol=tolerance)
    tf_gan = interop.classifier_metrics().frechet_classifier_distance_from_activations(
        tf.constant(first), tf.constant(second)
    )
    np.testing.assert_allclose(distance, float(tf_gan), rtol=1e-9)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_not_finite_are_named(value):
    good = np.random.default_rng(6).normal(size=(20, 3))
    bad = good.copy()
    bad[3, 1] = value
    with pytest.raises(DivergedError, match="generated images hold NaN or infinity"):
        frechet_distance(moments_of(good), moments_of(bad, 5))


def test_one_image_has_no_covariance():
    with pytest.raises(SettingError, match=r"at least 2 images. Received: 1"):
        frechet_distance(moments_of(np.ones((1, 3))), moments_of(np.ones((5, 3))))


@pytest.mark.parametrize("features", [np.zeros(3), np.zeros((4, 1)), np.zeros((4, 3, 1))])
def test_features_of_another_shape_are_no_rows(features):
    """One number would be taken for each of three features, by broadcasting."""
    with pytest.raises(SettingError, match=r"take features of shape \(n, 3\). Received: shape"):
        Moments(3).update(features)


def test_moments_of_other_features_cannot_be_compared():
    moments = [moments_of(np.eye(size)) for size in (2, 3)]
    with pytest.raises(SettingError, match=r"the same features\. Received: 2 and 3"):
        frechet_distance(*moments)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("scale", [1e100, 1e200])
def test_features_that_overflow_are_no_distance_of_zero(scale):
    near = moments_of(np.eye(3))
    far = Moments(3)
    far.update(scale * np.eye(3))
    if scale < 1e150:
        assert frechet_distance(near, far) == pytest.approx(scale**2, rel=0.5)
        return
    with pytest.raises(DivergedError, match="not finite"):
        frechet_distance(near, far)
