import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_tickets import (
    RunFolder,
    Ticket,
    global_masks,
    magnitude_scores,
    prunable,
    variable_names,
)
from tf_tickets.lab.keep import keep_ticket

IMAGES = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")


def build(seed):
    keras.utils.set_random_seed(seed)
    dense = keras.layers.Dense
    layers = [keras.Input((8,)), dense(64, name="first"), dense(2, name="last")]
    return keras.Sequential(layers, name="net")


@pytest.fixture
def folder(tmp_path):
    """A run of one stage, whose ticket was trained to other weights than it began with."""
    with RunFolder(tmp_path, {}) as run:
        model = build(1)
        masks = global_masks(magnitude_scores(prunable(model)), 0.5)
        with run.stage("seed-0/round-01/winning") as stage:
            Ticket.of_model(model, masks, {}).save(stage / "ticket.safetensors")
            weights = {name: v.numpy() + 1 for name, v in variable_names(model).items()}
            Ticket(masks, weights, {}).save(stage / "trained.safetensors")
        yield run


def test_the_ticket_and_a_saved_model_of_its_trained_weights_are_kept(folder):
    saved = keep_ticket(folder, build, "seed-0/round-01/winning")
    assert saved == folder.path / "export" / "saved_model"
    model = build(2)
    Ticket.load(folder.path / "winning_ticket" / "trained.safetensors").apply(model)
    (answer,) = (
        tf.saved_model.load(saved).signatures["serving_default"](tf.constant(IMAGES)).values()
    )
    np.testing.assert_allclose(answer, model(IMAGES), rtol=1e-5, atol=1e-5)
    kept, made = (
        (folder.path / place / "ticket.safetensors").read_bytes()
        for place in ("winning_ticket", "seed-0/round-01/winning")
    )
    assert kept == made


def test_what_is_kept_is_made_again_only_if_its_stage_changed(folder):
    def refusing_build(seed):
        raise AssertionError("built")

    stage = "seed-0/round-01/winning"
    saved = keep_ticket(folder, build, stage)
    assert keep_ticket(folder, refusing_build, stage) == saved
    trained = Ticket.load(folder.path / stage / "trained.safetensors")
    with folder.stage(stage) as path:
        for name in ("ticket.safetensors", "trained.safetensors"):
            trained.save(path / name)
    with pytest.raises(AssertionError, match="built"):
        keep_ticket(folder, refusing_build, stage)
    kept = Ticket.load(folder.path / "winning_ticket" / "ticket.safetensors")
    assert kept.weights.keys() == trained.weights.keys()
    for path, value in trained.weights.items():
        np.testing.assert_array_equal(kept.weights[path], value)
