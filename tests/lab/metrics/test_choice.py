import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.metrics import check_metric, measured_metrics

VAE = frozenset({"samples", "reconstructions"})
AUTOENCODER = frozenset({"reconstructions"})
GAN = frozenset({"samples"})


@pytest.mark.parametrize("offers", [VAE, AUTOENCODER])
def test_models_that_reconstruct(offers):
    losses = ["loss", "reconstruction_loss"]
    assert measured_metrics(offers, ["classifier"], True) == [
        *losses,
        *("classifier_accuracy", "fcd", "kcd", "classifier_score"),
    ]
    inception = [*losses, "fid", "kid", "inception_score"]
    assert measured_metrics(offers, ["inception"], True) == inception
    assert measured_metrics(offers, ["inception"], False) == inception
    assert measured_metrics(offers, [], True) == losses
    assert measured_metrics(offers, ["classifier"], False) == losses


def test_gans():
    own = ["discriminator_loss", "generator_loss", "sample_deviation"]
    classifier = [*own, "fcd", "kcd", "classifier_score"]
    assert measured_metrics(GAN, ["classifier"], True) == classifier
    assert measured_metrics(GAN, ["inception"], True) == [*own, "fid", "kid", "inception_score"]
    assert measured_metrics(GAN, ["classifier"], False) == own


def test_a_model_that_samples_and_has_one_loss():
    """As a diffusion model does; its own losses, if they are known, count for more than a rule."""
    names = measured_metrics(GAN, [], False, losses=["loss"])
    assert names == ["loss", "sample_deviation"]


@pytest.mark.parametrize(
    ("name", "situation"),
    [
        ("loss", (VAE, ["classifier"], True)),
        ("classifier_accuracy", (AUTOENCODER, ["classifier"], True)),
        ("fcd", (GAN, ["classifier"], True)),
        ("kid", (GAN, ["inception"], False)),
        ("reconstruction_loss", (VAE, ["classifier"], False)),
    ],
)
def test_one_that_can_decide(name, situation):
    check_metric(name, *situation)


@pytest.mark.parametrize(
    ("name", "situation", "message"),
    [
        (
            "beauty",
            (VAE, ["inception"], True),
            "`metric` must be one of loss, reconstruction_loss, fid, kid, inception_score. "
            "Received: metric=beauty",
        ),
        (
            "fcd",
            (VAE, ["classifier"], False),
            "`metric` must be one of loss, reconstruction_loss (`inception` adds fid, kid, "
            "inception_score). Received: metric=fcd, which needs images with labels of at least 2 "
            "classes",
        ),
        (
            "reconstruction_loss",
            (GAN, ["classifier"], True),
            "`metric` must be one of fcd, kcd, classifier_score (`inception` adds fid, kid, "
            "inception_score). Received: metric=reconstruction_loss, which is not measured of such "
            "a model",
        ),
        (
            "fcd",
            (GAN, [], False),
            "`metric` must be one that is measured of the model, but none of those can decide "
            "(`inception` adds fid, kid, inception_score). Received: metric=fcd, which needs "
            "images with labels of at least 2 classes",
        ),
    ],
)
def test_one_that_cannot(name, situation, message):
    with pytest.raises(SettingError) as caught:
        check_metric(name, *situation)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "offers", "features", "reason"),
    [
        ("generator_loss", GAN, ["classifier"], "chooses no model"),
        ("sample_deviation", VAE, ["classifier"], "chooses no model"),
        ("loss", GAN, ["classifier"], "not measured of such a model"),
        ("classifier_accuracy", GAN, ["classifier"], "not measured of such a model"),
        ("classifier_accuracy", VAE, ["inception"], "needs the features of a classifier"),
        ("kcd", GAN, ["inception"], "needs the features of a classifier"),
        ("fid", VAE, ["classifier"], "needs `inception`"),
        ("fcd", VAE, [], "needs the features of a classifier"),
    ],
)
def test_the_reason(name, offers, features, reason):
    with pytest.raises(SettingError, match=f"metric={name}, which .*{reason}"):
        check_metric(name, offers, features, True)
