import gc
import json
import types
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets.errors import DivergedError, SettingError
from tf_tickets.lab.metrics import (
    METRICS,
    Evaluator,
    FeatureExtractor,
    Moments,
    classifier,
    classifier_accuracy,
    classifier_score,
    frechet_distance,
    kernel_distance,
    load_classifier,
    measured_metrics,
    refuse_collapse,
)


class Autoencoder(keras.Model):
    """One dense layer there and back; `traces` counts how often Python runs `reconstruct`."""

    def __init__(self, latent_dim=8, scale=1.0):
        super().__init__()
        self.encoder = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(latent_dim)]
        )
        self.decoder = keras.Sequential(
            [
                keras.Input((latent_dim,)),
                keras.layers.Dense(192, activation="tanh"),
                keras.layers.Rescaling(scale),
                keras.layers.Reshape((8, 8, 3)),
            ]
        )
        self.loss_tracker = keras.metrics.Mean(name="loss")
        self.built = True
        self.traces = 0
        self.compile(jit_compile=False)

    def encode(self, images):
        return self.encoder(images)

    def reconstruct(self, images):
        self.traces += 1
        return self.decoder(self.encoder(images))

    def test_step(self, images):
        decoded = keras.ops.cast(self.decoder(self.encode(images)), "float32")
        difference = keras.ops.square(decoded - images)
        self.loss_tracker.update_state(keras.ops.sum(difference, axis=(1, 2, 3)))
        return {"loss": self.loss_tracker.result()}


class VAE(Autoencoder):
    def __init__(self, **options):
        super().__init__(**options)
        self.random = keras.random.SeedGenerator(7)

    def encode(self, images):
        mean = keras.ops.cast(self.encoder(images), "float32")
        return mean + keras.random.normal(keras.ops.shape(mean), seed=self.random)

    def sample(self, num_images, seed):
        return self.decoder(keras.random.normal((num_images, 8), seed=seed))


class GAN(keras.Model):
    """Samples and judges, in one dense layer each; `contrast` scales how samples differ."""

    def __init__(self, contrast=1.0):
        super().__init__()
        self.generator = keras.Sequential(
            [
                keras.Input((8,)),
                keras.layers.Rescaling(contrast),
                keras.layers.Dense(192, activation="tanh", bias_initializer="he_normal"),
                keras.layers.Reshape((8, 8, 3)),
            ]
        )
        self.discriminator = keras.Sequential(
            [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
        )
        self.random = keras.random.SeedGenerator(7)
        names = ("discriminator_loss", "generator_loss")
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in names]
        self.built = True
        self.compile(jit_compile=False)

    def sample(self, num_images, seed):
        return self.generator(keras.random.normal((num_images, 8), seed=seed))

    def test_step(self, images):
        codes = keras.random.normal((keras.ops.shape(images)[0], 8), seed=self.random)
        answers = self.discriminator(self.generator(codes))
        losses = (answers - self.discriminator(images), -answers)
        for tracker, loss in zip(self.loss_trackers, losses, strict=True):
            tracker.update_state(loss)
        return {tracker.name: tracker.result() for tracker in self.loss_trackers}


@pytest.fixture(scope="module")
def extractor(tiny, tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in {"min_images_seen": 6400, "stages": 2, "blocks": 1}.items():
            monkeypatch.setitem(classifier.RECIPE, name, value)
        return load_classifier(tiny[0], tmp_path_factory.mktemp("cache"))


@pytest.fixture
def inception():
    def network(images):
        pool = tf.reduce_mean(images, axis=1)[:, :, 0]
        return pool, pool[:, :3]

    return FeatureExtractor(
        network, kind="inception", digest="0" * 16, num_features=8, batch_size=32, image_size=299
    )


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def whole(dataset):
    images, labels = dataset.examples.batch(dataset.num_images).get_single_element()
    return images.numpy(), labels.numpy()


def moments_of(features):
    moments = Moments(features.shape[1])
    moments.update(features)
    return moments


def test_a_model_that_samples(tiny, extractor):
    train, test = tiny
    model = VAE()
    metrics, protocol = Evaluator(train, test, extractor)(model)
    images, labels = whole(test)
    reconstructed = model.reconstruct(images).numpy()
    expected_seed = int(np.random.default_rng(0).integers(2**31))
    features, logits = extractor(model.sample(60, expected_seed))
    real = extractor(whole(train)[0])[0]
    expected = {
        "reconstruction_loss": np.mean((reconstructed - images) ** 2),
        "classifier_accuracy": classifier_accuracy(extractor(reconstructed)[1], labels),
        "fcd": frechet_distance(moments_of(real), moments_of(features)),
        "kcd": kernel_distance(real, features),
        "classifier_score": classifier_score(logits),
    }
    assert metrics.pop("loss") > 0
    assert metrics == pytest.approx(expected, rel=1e-4)
    assert protocol == {
        "features": "classifier",
        "features_digest": extractor.digest,
        "real": "tiny-train",
        "num_real_images": 60,
        "generated": "samples",
        "num_generated_images": 60,
        "score_splits": 10,
        "test": "tiny-test",
        "num_test_images": 30,
        "image_shape": [8, 8, 3],
        "resize": None,
        "seed": 0,
    }
    assert json.loads(json.dumps([metrics, protocol])) == [metrics, protocol]


def test_a_model_that_only_reconstructs(tiny, extractor):
    """The Frechet distance compares as many real images as there are test images."""
    train, test = tiny
    model = Autoencoder()
    metrics, protocol = Evaluator(train, test, extractor)(model)
    images, _ = whole(test)
    features, logits = extractor(model.reconstruct(images))
    real = extractor(whole(train)[0][:30])[0]
    distance = frechet_distance(moments_of(real), moments_of(features))
    assert metrics["fcd"] == pytest.approx(distance, rel=1e-4)
    assert metrics["kcd"] == pytest.approx(kernel_distance(real, features), rel=1e-4)
    assert metrics["classifier_score"] == pytest.approx(classifier_score(logits), rel=1e-4)
    assert metrics["loss"] == pytest.approx(192 * metrics["reconstruction_loss"], rel=1e-5)
    assert protocol["generated"] == "reconstructions"
    assert protocol["num_real_images"] == protocol["num_generated_images"] == 30


def test_a_gan(tiny, extractor):
    train, test = tiny
    model = GAN()
    metrics, protocol = Evaluator(train, test, extractor)(model)
    expected_seed = int(np.random.default_rng(0).integers(2**31))
    features, logits = extractor(model.sample(60, expected_seed))
    real = extractor(whole(train)[0])[0]
    # What the discriminator says of samples is in both losses, once with either sign.
    said_of_real = float(np.mean(model.discriminator(whole(test)[0])))
    both = metrics["discriminator_loss"] + metrics["generator_loss"]
    assert both == pytest.approx(-said_of_real, rel=1e-4)
    assert metrics["fcd"] == pytest.approx(
        frechet_distance(moments_of(real), moments_of(features)), rel=1e-4
    )
    assert metrics["kcd"] == pytest.approx(kernel_distance(real, features), rel=1e-4)
    assert metrics["classifier_score"] == pytest.approx(classifier_score(logits), rel=1e-4)
    samples = np.asarray(model.sample(60, expected_seed), "float64")
    deviation = np.mean(np.std(samples, axis=0))
    assert metrics["sample_deviation"] == pytest.approx(deviation, rel=1e-6)
    assert len(metrics) == 6
    assert (protocol["generated"], protocol["num_test_images"]) == ("samples", 30)
    assert json.loads(json.dumps([metrics, protocol])) == [metrics, protocol]


def test_perfect_reconstructions_get_the_best_numbers(tiny, extractor):
    train, test = tiny
    model = Autoencoder()
    model.reconstruct = lambda images: images
    evaluate = Evaluator(train, test, extractor)
    metrics, _ = evaluate(model)
    poor, _ = evaluate(Autoencoder())
    assert metrics["reconstruction_loss"] == 0
    assert metrics["classifier_accuracy"] > 0.9
    assert metrics["classifier_score"] > 1.5 * poor["classifier_score"]
    assert metrics["fcd"] < poor["fcd"] / 10
    # Below zero, as both sides hold all classes equally often, more alike than chance would make.
    assert metrics["kcd"] < 0 < poor["kcd"]


def test_inception_gives_fid_and_no_accuracy(tiny, inception):
    metrics, protocol = Evaluator(*tiny, inception)(VAE())
    assert list(metrics) == ["loss", "reconstruction_loss", "fid", "kid", "inception_score"]
    assert (protocol["features"], protocol["resize"]) == ("inception", 299)
    assert set(Evaluator(*tiny, inception)(Autoencoder())[0]) == set(metrics)
    of_gan = ["discriminator_loss", "generator_loss", "sample_deviation"]
    assert list(Evaluator(*tiny, inception)(GAN())[0]) == [*of_gan, "fid", "kid", "inception_score"]


@pytest.mark.parametrize("make", [VAE, Autoencoder, GAN])
def test_what_is_measured_is_what_was_foretold(tiny, extractor, inception, make):
    methods = {"samples": "sample", "reconstructions": "reconstruct"}
    offers = {name for name, method in methods.items() if hasattr(make, method)}
    for network in (extractor, inception, None):
        metrics, _ = Evaluator(*tiny, network)(make())
        assert list(metrics) == measured_metrics(offers, network and network.kind, True)


def test_the_batch_size_changes_no_number(tiny, extractor):
    model = Autoencoder()
    expected, protocol = Evaluator(*tiny, extractor)(model)
    metrics, same_protocol = Evaluator(*tiny, extractor, batch_size=7)(model)
    assert metrics == pytest.approx(expected, rel=1e-3)
    assert same_protocol == protocol


def test_num_images_limits_both_sides(tiny, extractor):
    model = Autoencoder()
    metrics, protocol = Evaluator(*tiny, extractor, num_images=25, batch_size=10)(model)
    assert protocol["num_real_images"] == protocol["num_generated_images"] == 25
    features, logits = extractor(model.reconstruct(whole(tiny[1])[0]))
    real = extractor(whole(tiny[0])[0][:25])[0]
    distance = frechet_distance(moments_of(real), moments_of(features[:25]))
    assert metrics["fcd"] == pytest.approx(distance, rel=1e-4)
    assert metrics["kcd"] == pytest.approx(kernel_distance(real, features[:25]), rel=1e-4)
    assert metrics["classifier_score"] == pytest.approx(classifier_score(logits[:25]), rel=1e-4)
    _, protocol = Evaluator(*tiny, extractor, num_images=25, batch_size=10)(VAE())
    assert protocol["num_generated_images"] == 25


@pytest.mark.parametrize("make", [VAE, GAN])
def test_numbers_depend_on_the_weights_alone(tiny, extractor, make):
    """Nor does an evaluation change what the model draws next."""
    model = make()
    evaluate = Evaluator(*tiny, extractor)
    state = model.random.state
    before = state.numpy()
    first, _ = evaluate(model)
    np.testing.assert_array_equal(state.numpy(), before)
    state.assign([3, 99])
    again, _ = evaluate(model)
    assert first == again
    other, _ = Evaluator(*tiny, extractor, seed=1)(model)
    drawn = {"loss", "discriminator_loss", "generator_loss", "fcd", "kcd"} & set(first)
    assert all(other[name] != first[name] for name in drawn)
    assert other.get("reconstruction_loss") == first.get("reconstruction_loss")


def test_the_model_is_traced_once_and_follows_its_weights(tiny, extractor):
    model = Autoencoder()
    evaluate = Evaluator(*tiny, extractor, batch_size=30)
    first, _ = evaluate(model)
    model.decoder.layers[0].kernel.assign(2 * model.decoder.layers[0].kernel)
    second, _ = evaluate(model)
    assert model.traces == 1
    assert second["reconstruction_loss"] != first["reconstruction_loss"]


def test_an_evaluated_model_can_be_freed(tiny, extractor):
    model = VAE()
    evaluate = Evaluator(*tiny, extractor)
    evaluate(model)
    reference = weakref.ref(model)
    del model
    keras.utils.clear_session()
    gc.collect()
    assert reference() is None
    assert len(evaluate._reconstructors) == 0


def test_real_images_are_looked_at_once(tiny, extractor):
    train, test = tiny
    passes = []

    def count():
        passes.append(1)
        return 0

    counted = tf.data.Dataset.range(1).map(lambda _: tf.numpy_function(count, [], tf.int64))
    examples = counted.flat_map(lambda _: train.examples)
    train = types.SimpleNamespace(**{**vars(train), "examples": examples})
    evaluate = Evaluator(train, test, extractor)
    model = Autoencoder()
    evaluate(model)
    evaluate(model)
    assert len(passes) == 1


@pytest.mark.parametrize("make", [VAE, GAN])
def test_a_model_in_half_precision(tiny, extractor, make):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = make()
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.sample(2, 0).dtype == tf.bfloat16
    metrics, _ = Evaluator(*tiny, extractor)(model)
    assert all(np.isfinite(value) for value in metrics.values())


def break_encoder(model):
    model.encoder.layers[-1].kernel.assign(np.nan * model.encoder.layers[-1].kernel)


def break_reconstruction(model):
    model.reconstruct = lambda images: images / 0.0


def break_samples(model):
    model.sample = lambda num_images, seed: np.full((num_images, 8, 8, 3), np.nan)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (break_encoder, "its loss is nan"),
        (break_reconstruction, "its reconstruction_loss is"),
        (break_samples, "Frechet distance is not finite"),
    ],
)
def test_a_model_that_has_diverged_is_refused_by_the_metric(tiny, extractor, damage, name):
    model = VAE()
    damage(model)
    state = model.random.state.numpy()
    with pytest.raises(DivergedError, match=name):
        Evaluator(*tiny, extractor)(model)
    np.testing.assert_array_equal(model.random.state.numpy(), state)


def break_generator(model):
    model.generator.layers[1].kernel.assign(np.nan * model.generator.layers[1].kernel)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (break_generator, "its discriminator_loss is nan"),
        (break_samples, "Frechet distance is not finite"),
    ],
)
def test_a_gan_that_has_diverged_is_refused_by_the_metric(tiny, extractor, damage, name):
    model = GAN()
    damage(model)
    with pytest.raises(DivergedError, match=name):
        Evaluator(*tiny, extractor)(model)


def test_a_gan_that_has_collapsed_to_one_image_is_seen(tiny, extractor):
    evaluate = Evaluator(*tiny, extractor, batch_size=25)
    collapsed, varied = (evaluate(GAN(contrast=contrast))[0] for contrast in (1e-4, 1.0))
    with pytest.raises(DivergedError, match=r"nearly one image.*more `retries`"):
        refuse_collapse(collapsed)
    refuse_collapse(varied)


def test_a_vae_that_gives_one_image_is_recorded(tiny, extractor):
    """As a very sparse one may, which the papers show."""
    metrics, _ = Evaluator(*tiny, extractor)(VAE(scale=0.0))
    refuse_collapse(metrics)
    assert metrics["classifier_score"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("option", [{"num_images": 1}, {"batch_size": 0}, {"seed": -1}])
def test_settings_that_cannot_work(tiny, extractor, option):
    with pytest.raises(SettingError, match=next(iter(option))):
        Evaluator(*tiny, extractor, **option)


def test_the_direction_of_every_metric(tiny, extractor, inception):
    metrics = Evaluator(*tiny, extractor)(VAE())[0] | Evaluator(*tiny, inception)(VAE())[0]
    directed = {m.name for m in METRICS.values() if m.higher_is_better is not None}
    assert set(metrics) == directed
    choose_no_model = {"discriminator_loss", "generator_loss", "sample_deviation"}
    assert set(Evaluator(*tiny, extractor)(GAN())[0]) - directed == choose_no_model
    assert set(METRICS) == directed | choose_no_model
    higher = {metric.name for metric in METRICS.values() if metric.higher_is_better}
    assert higher == {"classifier_score", "inception_score", "classifier_accuracy"}
