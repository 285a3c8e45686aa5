import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.callbacks.small_training import Interrupt
from tests.quick import slow_but


def normalised_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.BatchNormalization(name="bn")(keras.layers.Conv2D(8, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Conv2D(1, 2)(x))
    model.get_layer("bn").gamma.assign(np.linspace(0.5, 1.5, 8))  # no ties for rounding to settle
    return model


def fit_normalised(model, *callbacks, epochs=20):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 4, 4, 1)), rng.normal(size=(16, 1, 1, 1))
    return model.fit(x, y, epochs=epochs, batch_size=8, callbacks=list(callbacks), verbose=0)


def test_early_bird_stops_when_the_masks_have_settled():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=3)
    history = fit_normalised(model, callback)
    assert callback.epoch == len(history.epoch) == 4  # as soon as there are three to look back at
    assert callback.masks == tt.channel_masks(model, 0.5)
    assert callback.history == [[], [0.0], [0.0] * 2, [0.0] * 3]
    slimmed = tt.slim(model, callback.masks)
    assert slimmed.count_params() < model.count_params()


def test_early_bird_by_norm_needs_no_normalisation():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(8, 3, activation="relu", name="first")(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 2)(x))
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=2, by="norm")
    fit_normalised(model, callback)
    assert callback.epoch == 3
    assert callback.masks == tt.channel_masks(model, 0.5, by="norm")
    assert tt.slim(model, callback.masks).get_layer("first").filters == 4


def test_early_bird_by_steps():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=2, draw_every=1)
    fit_normalised(model, callback)
    assert callback.epoch == 2  # of two steps each: three masks, the last one within the second
    assert len(callback.history) == 3


def test_early_bird_by_steps_where_several_are_taken_at_once():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse", steps_per_execution=2)
    callback = tt.callbacks.EarlyBird(0.5, look_back=2, draw_every=4)
    fit_normalised(model, callback)
    assert callback.epoch == 6  # of two steps each: masks after 4, 8 and 12 steps


def test_early_bird_looks_anew_in_each_training():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=1)
    for _ in range(2):
        history = fit_normalised(model, callback)
        assert callback.epoch == len(history.epoch) == 2
        assert callback.history == [[], [0.0]]


def test_early_bird_lets_training_end_where_nothing_settles():
    model = normalised_model()
    model.compile("sgd", "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=5)
    history = fit_normalised(model, callback, epochs=3)
    assert len(history.epoch) == 3 and callback.masks is None and callback.epoch is None


def test_early_bird_pushes_the_scales_down_and_then_no_more():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    gamma = model.get_layer("bn").gamma
    before = gamma.numpy()
    fit_normalised(model, tt.callbacks.EarlyBird(0.5, scale_penalty=10.0), epochs=2)
    assert np.all(gamma.numpy() < before - 0.3)  # four steps, each of 0.1 by the penalty
    assert gamma.regularizer is None


def test_early_bird_of_a_gan_watches_both_networks():
    images = np.random.default_rng(0).uniform(-1, 1, (8, 8, 8, 3)).astype("float32")
    model = tt.models.build("dcgan-shared", (8, 8, 3), width=2)
    model.compile(run_eagerly=True)
    callback = tt.callbacks.EarlyBird(0.5, look_back=1, mask_distance=1.0)
    model.fit(images, batch_size=8, epochs=9, callbacks=[callback], verbose=0)
    assert callback.epoch == 2
    assert {path.split("/")[0] for path in callback.masks} == {"generator", "discriminator"}


def test_early_bird_refuses_a_model_without_normalisation():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 4)])
    model.compile("sgd", "mse")
    with pytest.raises(tt.SettingError, match="no batch or group normalisation"):
        fit_normalised(model, tt.callbacks.EarlyBird(0.5))


@pytest.mark.parametrize("every", [0, -3, 1.5])
def test_early_bird_counts_whole_steps(every):
    with pytest.raises(tt.SettingError, match="`draw_every` must be"):
        tt.callbacks.EarlyBird(0.5, draw_every=every)


def test_early_bird_keeps_its_ticket_where_training_goes_on_all_the_same():
    model = normalised_model()
    model.compile(keras.optimizers.SGD(1e-6), "mse")
    callback = tt.callbacks.EarlyBird(0.5, look_back=1)
    found = []

    class GoOn(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = False
            found.append((callback.masks, callback.epoch))
            if callback.masks:  # those of now would be the other half
                gamma = self.model.get_layer("bn").gamma
                gamma.assign(gamma.numpy()[::-1])

    history = fit_normalised(model, callback, GoOn(), epochs=5)
    assert found[0] == (None, None) and found[1][1] == 2
    assert found[2:] == found[1:2] * 3 and len(history.epoch) == 5
    assert callback.history == [[], [0.0]]


def test_early_bird_closes_what_an_exception_left_open():
    model = normalised_model()
    model.compile("sgd", "mse")
    callback = tt.callbacks.EarlyBird(0.5, scale_penalty=0.1)
    with pytest.raises(KeyboardInterrupt):
        fit_normalised(model, callback, Interrupt())
    gamma = model.get_layer("bn").gamma
    penalties = []

    class Note(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            penalties.append((float(sum(model.losses)), 0.1 * float(np.abs(gamma.numpy()).sum())))

    fit_normalised(model, callback, Note(), epochs=1)
    for penalty, once in penalties:
        assert penalty == pytest.approx(once)
    assert gamma.regularizer is None


class Own(keras.Model):
    """A model with a training step of its own, whose loss has the model's losses in it or not."""

    def __init__(self, with_losses):
        super().__init__(name="own")
        self.network = normalised_model()
        self.components = {"network": self.network}
        self.with_losses = with_losses

    def call(self, inputs, training=None):
        return self.network(inputs, training=training)

    def train_step(self, data):
        inputs, targets = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(inputs, training=True) - targets) ** 2)
            if self.with_losses:
                loss += sum(self.losses)
        variables = self.trainable_variables
        gradients = tape.gradient(loss, variables)
        self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss}


def own_model(with_losses):
    model = Own(with_losses)
    model(np.zeros((1, 4, 4, 1)))
    model.compile(keras.optimizers.SGD(0.01), jit_compile=False)
    return model


def test_early_bird_warns_once_where_a_training_step_leaves_the_penalty_out():
    model = own_model(with_losses=False)
    with pytest.warns(UserWarning, match=r"add sum\(model\.losses\)") as warned:
        fit_normalised(model, tt.callbacks.EarlyBird(0.5), epochs=3)
    assert sum("model.losses" in str(each.message) for each in warned) == 1
    fit_normalised(model, tt.callbacks.EarlyBird(0.5, scale_penalty=0), epochs=3)


@pytest.mark.parametrize(
    "options",
    slow_but([{}, {"jit_compile": True}, {"steps_per_execution": 2}, {"run_eagerly": True}], {}),
    ids=str,
)
def test_early_bird_does_not_warn_where_the_penalty_is_added(options):
    """A warning would be an error here, as setup.cfg asks of pytest."""
    own, plain = own_model(with_losses=True), normalised_model()
    own.compile(keras.optimizers.SGD(0.01), **options)
    plain.compile(keras.optimizers.SGD(0.01), "mse", **options)
    for model in (own, plain, plain):  # the last time with a step that was traced before
        fit_normalised(model, tt.callbacks.EarlyBird(0.5, draw_every=1), epochs=2)


@pytest.mark.slow
def test_early_bird_does_not_warn_under_a_strategy():
    """A warning would be an error here, as setup.cfg asks of pytest."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model = normalised_model()
        model.compile(keras.optimizers.SGD(0.01), "mse", jit_compile=False)
    fit_normalised(model, tt.callbacks.EarlyBird(0.5), epochs=2)


def half_frozen(with_head):
    """Return a network on a frozen one, with a normalisation that is trained or without."""
    image = keras.Input((4, 4, 1))
    x = keras.layers.BatchNormalization(name="frozen")(keras.layers.Conv2D(8, 3)(image))
    base = keras.Model(image, x, name="base")
    base.trainable = False
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv2D(6, 1)(base(inputs, training=False))
    if with_head:
        x = keras.layers.BatchNormalization(name="head")(x)
    model = keras.Model(inputs, keras.layers.Conv2D(1, 2)(x), name="net")
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def test_early_bird_leaves_frozen_scales_out_and_says_so():
    callback = tt.callbacks.EarlyBird(0.5, look_back=1)
    model = half_frozen(with_head=True)
    with pytest.warns(UserWarning, match="^base/frozen/gamma: frozen, so not ranked"):
        fit_normalised(model, callback, epochs=2)
    assert [list(masks) for masks in [callback.masks] if masks] in ([], [["head/gamma"]])
    assert callback.history, "masks were drawn all the same"


@pytest.mark.parametrize("search", ["callback", "loop"])
def test_where_all_scales_are_frozen_nothing_can_settle(search):
    model = half_frozen(with_head=False)
    with pytest.raises(tt.SettingError, match=r"All scales of net .* are frozen \(base/frozen"):
        if search == "callback":
            fit_normalised(model, tt.callbacks.EarlyBird(0.5))
        else:
            tt.search.LoopedEarlyBird(model, None, print, channel_sparsity=0.5).run(1)
    assert model.optimizer.iterations.numpy() == 0
