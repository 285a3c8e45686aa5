"""Each function asks Keras for something private; an upgrade that moves it fails here by name."""

import keras
import numpy as np
import tensorflow as tf

from tf_tickets import keras_internals


def small_model(**options):
    """Return a compiled model of two layers, and a batch for it."""
    model = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4, name="first"), keras.layers.Dense(2, name="last")]
    )
    model.compile(**{"optimizer": "sgd", "loss": "mse", **options})
    return model, (np.ones((4, 3), "float32"), np.ones((4, 2), "float32"))


def test_a_step_that_is_traced_again_sees_what_was_set_since():
    model, batch = small_model()
    model.fit(*batch, verbose=0)
    kernel = model.get_layer("first").kernel
    kernel.constraint = lambda weights: keras.ops.zeros_like(weights)
    model.fit(*batch, verbose=0)
    assert np.any(kernel.numpy())
    keras_internals.retrace(model)
    model.fit(*batch, verbose=0)
    assert not np.any(kernel.numpy())


def test_a_model_without_a_step_is_not_given_one():
    model, _ = small_model()
    keras_internals.retrace(model)
    assert model.train_function is None
    keras_internals.retrace(keras.Sequential([keras.Input((1,))]))  # nor compiled


def test_the_step_of_fit_can_be_taken_alone_again_and_again():
    model, batch = small_model(metrics=["mae"])
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat(2))
    for _ in range(2):
        logs = keras_internals.train_step_of(model)(batches)
    assert set(logs) == {"loss", "mae"}
    assert int(model.optimizer.iterations) == 2


def test_what_compile_was_given_are_the_very_objects():
    def loss(y, outputs):
        return keras.ops.mean(y - outputs)

    metric, optimizer = keras.metrics.MeanSquaredError(), keras.optimizers.SGD()
    model, _ = small_model(optimizer=optimizer, loss=loss, metrics=[metric])
    arguments = keras_internals.compile_arguments(model)
    assert arguments["loss"] is loss and arguments["optimizer"] is optimizer
    assert arguments["metrics"][0] is metric
