import dataclasses
import gc
import json
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
    Metric,
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


def sampled(model, num_images, batch_size=500):
    """Return what an Evaluator of seed 0 lets a model sample."""
    sizes = [batch_size] * (num_images // batch_size)
    sizes += [num_images % batch_size] * (num_images % batch_size > 0)
    seeds = np.random.default_rng(0).integers(2**31, size=len(sizes))
    return np.concatenate(
        [model.sample(n, int(seed)) for n, seed in zip(sizes, seeds, strict=True)]
    )


def test_a_model_that_samples(tiny, extractor):
    _, validation, test = tiny
    model = VAE()
    metrics, protocol = Evaluator(validation, [extractor], other=test)(model)
    images, labels = whole(validation)
    reconstructed = model.reconstruct(images).numpy()
    features, logits = extractor(sampled(model, 30))
    real, logits_of_real = extractor(images)
    expected = {
        "reconstruction_loss": np.mean((reconstructed - images) ** 2),
        "classifier_accuracy": classifier_accuracy(extractor(reconstructed)[1], labels),
        "fcd": frechet_distance(moments_of(real), moments_of(features)),
        "kcd": kernel_distance(real, features),
        "classifier_score": classifier_score(logits),
    }
    assert metrics.pop("loss") > 0
    assert metrics == pytest.approx(expected, rel=1e-4)
    floor = protocol.pop("floor")
    (described,) = protocol.pop("features")
    assert protocol == {
        "real": "tiny-validation",
        "num_real_images": 30,
        "generated": "samples",
        "num_generated_images": 30,
        "score_splits": 10,
        "image_shape": [8, 8, 3],
        "seed": 0,
    }
    right = sum(
        int(np.argmax(row) == label) for row, label in zip(logits_of_real, labels, strict=True)
    )
    assert described.pop("accuracy") == pytest.approx(right / 30)
    assert described == {"kind": "classifier", "digest": extractor.digest, "resize": None}
    there = extractor(whole(test)[0])[0]
    assert floor == {
        "fcd": pytest.approx(frechet_distance(moments_of(real), moments_of(there)), rel=1e-3),
        "kcd": pytest.approx(kernel_distance(real, there), rel=1e-3),
    }
    found = [metrics, protocol, described, floor]
    assert json.loads(json.dumps(found)) == found


def test_a_model_that_only_reconstructs(tiny, extractor):
    """The Frechet distance compares reconstructions with their originals."""
    validation = tiny[1]
    model = Autoencoder()
    metrics, protocol = Evaluator(validation, [extractor])(model)
    images, _ = whole(validation)
    features, logits = extractor(model.reconstruct(images))
    real = extractor(images)[0]
    distance = frechet_distance(moments_of(real), moments_of(features))
    assert metrics["fcd"] == pytest.approx(distance, rel=1e-4)
    assert metrics["kcd"] == pytest.approx(kernel_distance(real, features), rel=1e-4)
    assert metrics["classifier_score"] == pytest.approx(classifier_score(logits), rel=1e-4)
    assert metrics["loss"] == pytest.approx(192 * metrics["reconstruction_loss"], rel=1e-5)
    assert (protocol["generated"], protocol["floor"]) == ("reconstructions", {})
    assert protocol["num_real_images"] == protocol["num_generated_images"] == 30


def test_a_gan(tiny, extractor):
    validation = tiny[1]
    model = GAN()
    metrics, protocol = Evaluator(validation, [extractor])(model)
    samples = sampled(model, 30)
    features, logits = extractor(samples)
    real = extractor(whole(validation)[0])[0]
    # What the discriminator says of samples is in both losses, once with either sign.
    said_of_real = float(np.mean(model.discriminator(whole(validation)[0])))
    both = metrics["discriminator_loss"] + metrics["generator_loss"]
    assert both == pytest.approx(-said_of_real, rel=1e-4)
    assert metrics["fcd"] == pytest.approx(
        frechet_distance(moments_of(real), moments_of(features)), rel=1e-4
    )
    assert metrics["kcd"] == pytest.approx(kernel_distance(real, features), rel=1e-4)
    assert metrics["classifier_score"] == pytest.approx(classifier_score(logits), rel=1e-4)
    deviation = np.mean(np.std(np.asarray(samples, "float64"), axis=0))
    assert metrics["sample_deviation"] == pytest.approx(deviation, rel=1e-6)
    assert len(metrics) == 6
    assert protocol["generated"] == "samples"
    assert json.loads(json.dumps([metrics, protocol])) == [metrics, protocol]


def test_perfect_reconstructions_get_the_best_numbers(tiny, extractor):
    model = Autoencoder()
    model.reconstruct = lambda images: images
    evaluate = Evaluator(tiny[1], [extractor])
    metrics, _ = evaluate(model)
    poor, _ = evaluate(Autoencoder())
    assert metrics["reconstruction_loss"] == 0
    assert metrics["classifier_accuracy"] > 0.9
    assert metrics["classifier_score"] > 1.5 * poor["classifier_score"]
    assert metrics["fcd"] == pytest.approx(0, abs=1e-6 * poor["fcd"])
    assert metrics["kcd"] < 0 < poor["kcd"]


def test_inception_gives_fid_and_no_accuracy(tiny, inception):
    evaluate = Evaluator(tiny[1], [inception])
    metrics, protocol = evaluate(VAE())
    assert list(metrics) == ["loss", "reconstruction_loss", "fid", "kid", "inception_score"]
    assert protocol["features"] == [{"kind": "inception", "digest": "0" * 16, "resize": 299}]
    assert set(evaluate(Autoencoder())[0]) == set(metrics)
    of_gan = ["discriminator_loss", "generator_loss", "sample_deviation"]
    assert list(evaluate(GAN())[0]) == [*of_gan, "fid", "kid", "inception_score"]


@pytest.mark.parametrize("make", [VAE, Autoencoder, GAN])
def test_two_networks_side_by_side_see_what_each_would_alone(tiny, extractor, inception, make):
    model = make()
    _, validation, test = tiny

    def judged(*networks):
        return Evaluator(validation, networks, other=test)(model)

    both, protocol = judged(extractor, inception)
    alone = [judged(network) for network in (extractor, inception)]
    assert both == {**alone[0][0], **alone[1][0]}
    assert list(both) == [name for name in METRICS if name in both], "in the order of records"
    assert protocol["floor"] == {**alone[0][1]["floor"], **alone[1][1]["floor"]}
    assert set(protocol["floor"]) == {"fcd", "kcd", "fid", "kid"}
    assert protocol["features"] == [of["features"][0] for _, of in alone]


@pytest.mark.parametrize("make", [VAE, Autoencoder, GAN])
def test_what_is_measured_is_what_was_foretold(tiny, extractor, inception, make):
    methods = {"samples": "sample", "reconstructions": "reconstruct"}
    offers = {name for name, method in methods.items() if hasattr(make, method)}
    for networks in ([extractor], [inception], [extractor, inception], []):
        metrics, _ = Evaluator(tiny[1], networks)(make())
        kinds = [network.kind for network in networks]
        assert list(metrics) == measured_metrics(offers, kinds, True)


def test_the_batch_size_changes_no_number(tiny, extractor):
    model = Autoencoder()
    expected, protocol = Evaluator(tiny[1], [extractor], other=tiny[2])(model)
    metrics, same = Evaluator(tiny[1], [extractor], other=tiny[2], batch_size=7)(model)
    assert metrics == pytest.approx(expected, rel=1e-3, abs=1e-6)
    floors = [found.pop("floor") for found in (protocol, same)]
    assert floors[0] == pytest.approx(floors[1], rel=1e-3)
    assert same == protocol


# --- How many images are sampled


@pytest.mark.parametrize("num_samples", [7, 25, 30, 130])
def test_samples_are_as_many_as_are_asked_for(tiny, extractor, num_samples):
    """They come batch by batch, and all of them together give the same."""
    model = VAE()
    evaluate = Evaluator(tiny[1], [extractor], num_samples, batch_size=12)
    metrics, protocol = evaluate(model)
    assert (protocol["num_real_images"], protocol["num_generated_images"]) == (30, num_samples)
    features, logits = extractor(sampled(model, num_samples, batch_size=12))
    real = extractor(whole(tiny[1])[0])[0]
    distance = frechet_distance(moments_of(real), moments_of(features))
    assert metrics["fcd"] == pytest.approx(distance, rel=1e-4)
    least = min(30, num_samples)
    assert metrics["kcd"] == pytest.approx(
        kernel_distance(real[:least], features[:least]), rel=1e-4
    )
    assert metrics["classifier_score"] == pytest.approx(classifier_score(logits), rel=1e-4)


def test_of_very_many_samples_only_so_many_features_are_kept(tiny, extractor, monkeypatch):
    """The moments are of all of them, so that the Frechet distance is as without a limit."""
    model = VAE()
    expected, _ = Evaluator(tiny[1], [extractor], 100, batch_size=12)(model)
    monkeypatch.setattr("tf_tickets.lab.metrics.evidence.MOST_FEATURES", 40)
    seen = []
    card = Metric("look", "T", "u", False, lambda e: seen.append(e.generated) or 0.0)
    monkeypatch.setitem(METRICS._cards, "look", card)
    metrics, _ = Evaluator(tiny[1], [extractor], 100, batch_size=12)(model)
    assert metrics["fcd"] == expected["fcd"]
    assert len(seen[0].features) == 40 and seen[0].count == 100


def test_what_only_reconstructs_samples_nothing(tiny, extractor):
    model = Autoencoder()
    expected = Evaluator(tiny[1], [extractor])(model)
    assert Evaluator(tiny[1], [extractor], num_samples=7)(model) == expected


# --- The floor


@pytest.mark.parametrize("network", ["extractor", "inception"])
def test_the_floor_compares_equally_many(tiny, request, network):
    """Of sixty and thirty images, the first thirty of each."""
    network = request.getfixturevalue(network)
    many, few, _ = tiny
    names = {"classifier": ("fcd", "kcd"), "inception": ("fid", "kid")}[network.kind]
    here, there = (network(whole(part)[0][:30])[0] for part in (few, many))
    expected = {
        names[0]: frechet_distance(moments_of(here), moments_of(there)),
        names[1]: kernel_distance(here, there),
    }
    for pair in ((few, many), (many, few)):
        floor = Evaluator(pair[0], [network], other=pair[1]).floor
        assert floor == pytest.approx(expected, rel=1e-3)


def test_without_other_images_or_a_network_there_is_no_floor(tiny, extractor):
    assert Evaluator(tiny[1], [extractor]).floor == {}
    assert Evaluator(tiny[1], other=tiny[2]).floor == {}


# --- Following a training


@pytest.mark.parametrize("make", [VAE, Autoencoder])
def test_what_a_training_is_followed_by_is_a_cheap_part(tiny, extractor, make, monkeypatch):
    def refuse(*arguments):
        raise AssertionError("A network has looked at images.")

    model = make()
    metrics, _ = Evaluator(tiny[1], [extractor], other=tiny[2])(model)
    monkeypatch.setattr(FeatureExtractor, "__call__", refuse)
    watched = Evaluator(tiny[1], [extractor], other=tiny[2]).watch(model)
    assert list(watched) == ["loss", "reconstruction_loss"]
    assert watched == {name: metrics[name] for name in watched}


def test_a_gan_is_followed_by_all_metrics(tiny, extractor):
    model = GAN()
    evaluate = Evaluator(tiny[1], [extractor])
    assert evaluate.watch(model) == evaluate(model)[0]


def test_following_a_model_changes_nothing_of_it(tiny, extractor):
    model = VAE()
    before = model.random.state.numpy()
    evaluate = Evaluator(tiny[1], [extractor])
    assert evaluate.watch(model) == evaluate.watch(model)
    np.testing.assert_array_equal(model.random.state.numpy(), before)


def test_one_that_has_diverged_is_seen_on_the_way(tiny, extractor):
    model = VAE()
    break_encoder(model)
    with pytest.raises(DivergedError, match="its loss is nan"):
        Evaluator(tiny[1], [extractor]).watch(model)


@pytest.mark.parametrize("make", [VAE, GAN])
def test_numbers_depend_on_the_weights_alone(tiny, extractor, make):
    """Nor does an evaluation change what the model draws next."""
    model = make()
    evaluate = Evaluator(tiny[1], [extractor])
    state = model.random.state
    before = state.numpy()
    first, _ = evaluate(model)
    np.testing.assert_array_equal(state.numpy(), before)
    state.assign([3, 99])
    again, _ = evaluate(model)
    assert first == again
    other, _ = Evaluator(tiny[1], [extractor], seed=1)(model)
    drawn = {"loss", "discriminator_loss", "generator_loss", "fcd", "kcd"} & set(first)
    assert all(other[name] != first[name] for name in drawn)
    assert other.get("reconstruction_loss") == first.get("reconstruction_loss")


def test_the_model_is_traced_once_and_follows_its_weights(tiny, extractor):
    model = Autoencoder()
    evaluate = Evaluator(tiny[1], [extractor], batch_size=30)
    first, _ = evaluate(model)
    model.decoder.layers[0].kernel.assign(2 * model.decoder.layers[0].kernel)
    second, _ = evaluate(model)
    assert model.traces == 1
    assert second["reconstruction_loss"] != first["reconstruction_loss"]


def test_an_evaluated_model_can_be_freed(tiny, extractor):
    model = VAE()
    evaluate = Evaluator(tiny[1], [extractor])
    evaluate(model)
    reference = weakref.ref(model)
    del model
    keras.utils.clear_session()
    gc.collect()
    assert reference() is None
    assert len(evaluate._reconstructors) == 0


def test_the_floor_is_computed_once(tiny, extractor):
    validation = tiny[1]
    passes = []

    def count():
        passes.append(1)
        return 0

    counted = tf.data.Dataset.range(1).map(lambda _: tf.numpy_function(count, [], tf.int64))
    stored = counted.flat_map(lambda _: validation.examples)
    validation = dataclasses.replace(validation, stored=stored)
    evaluate = Evaluator(tiny[2], [extractor], other=validation)
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
    metrics, _ = Evaluator(tiny[1], [extractor])(model)
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
        Evaluator(tiny[1], [extractor])(model)
    np.testing.assert_array_equal(model.random.state.numpy(), state)


def break_generator(model):
    model.generator.layers[1].kernel.assign(np.nan * model.generator.layers[1].kernel)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (break_generator, "its discriminator_loss is nan"),
        (break_samples, "its sample_deviation is nan"),
    ],
)
def test_a_gan_that_has_diverged_is_refused_by_the_metric(tiny, extractor, damage, name):
    model = GAN()
    damage(model)
    with pytest.raises(DivergedError, match=name):
        Evaluator(tiny[1], [extractor])(model)


def test_a_gan_that_has_collapsed_to_one_image_is_seen(tiny, extractor):
    evaluate = Evaluator(tiny[1], [extractor], batch_size=25)
    collapsed, varied = (evaluate(GAN(contrast=contrast))[0] for contrast in (1e-4, 1.0))
    with pytest.raises(DivergedError, match=r"nearly one image.*more `retries`"):
        refuse_collapse(collapsed)
    refuse_collapse(varied)


def test_a_vae_that_gives_one_image_is_recorded(tiny, extractor):
    """As a very sparse one may, which the papers show."""
    metrics, _ = Evaluator(tiny[1], [extractor])(VAE(scale=0.0))
    refuse_collapse(metrics)
    assert metrics["classifier_score"] == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("option", [{"num_samples": 1}, {"batch_size": 0}, {"seed": -1}])
def test_settings_that_cannot_work(tiny, extractor, option):
    with pytest.raises(SettingError, match=next(iter(option))):
        Evaluator(tiny[1], [extractor], **option)


def test_the_direction_of_every_metric(tiny, extractor, inception):
    metrics, _ = Evaluator(tiny[1], [extractor, inception])(VAE())
    own = [m for m in METRICS.values() if "translations" not in (m.of, m.only_with)]
    directed = {m.name for m in own if m.higher_is_better is not None}
    assert set(metrics) == directed
    choose_no_model = {"discriminator_loss", "generator_loss", "sample_deviation"}
    assert set(Evaluator(tiny[1], [extractor])(GAN())[0]) - directed == choose_no_model
    assert {m.name for m in own} == directed | choose_no_model
    higher = {metric.name for metric in own if metric.higher_is_better}
    assert higher == {"classifier_score", "inception_score", "classifier_accuracy"}
    translated = {metric.name for metric in METRICS.values() if metric.higher_is_better} - higher
    assert translated == {f"translated_accuracy{end}" for end in ("", "_a2b", "_b2a")}


class OfOtherImages(VAE):
    """What it makes is changed by a function, as a card of one's own may do."""

    def __init__(self, sample=None, reconstruct=None):
        super().__init__()
        self.changes = {"sample": sample, "reconstruct": reconstruct}

    def sample(self, num_images, seed):
        return self._changed("sample", super().sample(num_images, seed))

    def reconstruct(self, images):
        return self._changed("reconstruct", super().reconstruct(images))

    def _changed(self, method, images):
        return self.changes[method](images) if self.changes[method] else images


@pytest.mark.parametrize("method", ["sample", "reconstruct"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda images: images[..., :1], r"must have the shape \(n, 8, 8, 3\). Received: \(30, 8"),
        (lambda images: images[:, :4], r"Received: \(30, 4, 8, 3\)"),
        (lambda images: images[1:], "was asked for 30 images. Received: 29"),
        (lambda images: images[:0], "nothing to look at"),
        (lambda images: tf.cast(images, tf.int32), "Received: int32"),
    ],
)
def test_images_that_are_not_those_asked_for_are_refused(tiny, method, change, message):
    with pytest.raises(SettingError, match=f"{method}.*{message}"):
        Evaluator(tiny[1])(OfOtherImages(**{method: change}))


def test_8_bits_that_a_model_makes_are_judged_as_their_floats(tiny, extractor):
    def to_bytes(images):
        return tf.saturate_cast(tf.round((images + 1) * 127.5), tf.uint8)

    def to_bytes_and_back(images):
        return tf.cast(to_bytes(images), tf.float32) / 127.5 - 1

    found = []
    for change in (to_bytes, to_bytes_and_back):
        keras.utils.set_random_seed(0)
        found.append(Evaluator(tiny[1], [extractor])(OfOtherImages(change, change))[0])
    assert found[0] == pytest.approx(found[1], rel=1e-6)
