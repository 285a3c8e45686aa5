"""The tables of docs/keras_examples.md: what works on which example of keras.io."""

import functools
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.channels.masked_twin import answers, check_slim, in_float64, inputs_of, shake
from tests.keras_examples import autoencoders, diffusion, gans, pixelcnn, stylegan, translation

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "keras_examples.md"
EXAMPLES = {
    name: example
    for module in (autoencoders, gans, diffusion, pixelcnn, translation, stylegan)
    for name, example in module.EXAMPLES.items()
}
QUICK = ("VAE",)  # the others take 10 to 30 s each
SPARSITY = 0.6


def named(names):
    return [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in names]


def table(first: str) -> list[dict[str, str]]:
    """Return the rows of the page's table whose first two columns are called so: column -> cell."""
    lines = PAGE.read_text().splitlines()
    begin = next(number for number, line in enumerate(lines) if line.startswith(first))
    columns = cells(lines[begin])
    rows = lines[begin + 2 :]
    end = next(number for number, line in enumerate([*rows, ""]) if not line.startswith("|"))
    return [dict(zip(columns, cells(row), strict=True)) for row in rows[:end]]


def cells(line):
    return [cell.strip() for cell in line.strip("|\n").split("|")]


@functools.cache
def trained(name):
    """Return a model that was pruned while it was trained, its masks, and its weights before."""
    example = EXAMPLES[name]
    model = example.build()
    schedule = tt.PolynomialDecay(0.0, SPARSITY, begin_step=2, end_step=6, frequency=2)
    pruning = tt.callbacks.PruneLowMagnitude(schedule)
    history = example.fit(model, epochs=2, callbacks=[pruning])
    assert all(np.isfinite(values).all() for values in history.values())
    return model, pruning.masks


# --- what the columns of the first table are


def prune(name):
    """The sparsity is what the schedule asks for, and what is masked is zero."""
    model, masks = trained(name)
    assert masks.sparsity == pytest.approx(SPARSITY, abs=0.002)
    assert tt.masks_of_zeros(model) == masks


def hold(name):
    """In a further training zeros stay zero, those of averages too, and other weights move."""
    model, masks = trained(name)
    kernels = dict(tt.prunable(model).items())
    before = {path: kernel.numpy() for path, kernel in kernels.items()}
    EXAMPLES[name].fit(model, epochs=1, callbacks=[tt.callbacks.HoldMasks(masks)])
    for path, kernel in kernels.items():
        assert not np.any(kernel.numpy()[~masks[path]]), path
        assert np.any(kernel.numpy() != before[path]), path
    for weight, average in getattr(model, "averages", ()):
        assert not np.any(average.numpy()[weight.numpy() == 0])


def export(name, folder):
    """The packed SavedModel answers as the network that is used, and is smaller."""
    model, _ = trained(name)
    network = EXAMPLES[name].network_to_ship(model)
    x = inputs_of(network)
    sizes = {}
    for form in ("packed", "dense"):
        tt.export_saved_model(network, folder / form, weights=form)
        sizes[form] = sum(f.stat().st_size for f in (folder / form).rglob("*") if f.is_file())
    answer = tf.saved_model.load(str(folder / "packed")).signatures["serving_default"]
    names = sorted(answer.structured_input_signature[1])
    given = zip(names, x if isinstance(x, list) else [x], strict=True)
    received = answer(**{key: tf.constant(value) for key, value in given})
    expected = answers(network, x, training=False)
    for key, value in zip(sorted(received), expected, strict=True):
        np.testing.assert_allclose(received[key], value, rtol=0, atol=1e-5)
    return sizes


def report(name):
    """The report names the sparsity, and counts the FLOPs."""
    model, masks = trained(name)
    told = tt.report(model, measure=False)
    assert told.sparsity == pytest.approx(masks.sparsity)
    assert str(told)
    return told


# --- slim, network by network


def slimmed(network):
    """Return the slim network of a network, which is masked; itself where nothing may go."""
    return check_slim(shake(network), tt.channel_masks(network, 0.4, by="norm"))
