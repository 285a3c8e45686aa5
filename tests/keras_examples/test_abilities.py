"""The tables of docs/keras_examples.md: what works on which example of keras.io."""

import collections
import functools
import pathlib
import re
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

import tf_tickets as tt
from tests.channels.masked_twin import answers, check_slim, in_float64, inputs_of, shake
from tests.keras_examples import autoencoders, diffusion, gans, pixelcnn, stylegan, translation
from tests.keras_examples.example import parts_of
from tests.quick import slow_but
from tf_tickets.channels.ranking import graphs_of
from tf_tickets.keras_internals import calls_of, graph_of, kind_of

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "keras_examples.md"
EXAMPLES = {
    name: example
    for module in (autoencoders, gans, diffusion, pixelcnn, translation, stylegan)
    for name, example in module.EXAMPLES.items()
}
QUICK = ("VAE",)  # the others take 10 to 30 s each
SPARSITY = 0.6


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
    """Return a model that was pruned while it was trained, and its masks."""
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
    moved = [np.any(kernel.numpy() != before[path]) for path, kernel in kernels.items()]
    assert np.mean(moved) > 0.9  # one whose readers are all pruned is given no gradient
    for weight, average in getattr(model, "averages", ()):
        assert not np.any(average.numpy()[weight.numpy() == 0])


def slim(name):
    """Each network, by norm and at .4, answers as its masked twin does; all are smaller."""
    shares = [share for share, _ in slimmed(name).values()]
    if min(shares) == 1:
        raise Unable("no")
    if max(shares) == 1:
        raise Unable("in part")


def export(name):
    """The packed SavedModel of each network answers as the network, and together they are small."""
    model, _ = trained(name)
    sizes = collections.Counter()
    for network in parts_of(model).values():
        x = inputs_of(network)
        for form in ("packed", "dense"):
            with tempfile.TemporaryDirectory() as folder:
                tt.export_saved_model(network, f"{folder}/{form}", weights=form)
                check_answers(f"{folder}/{form}", x, answers(network, x, training=False))
                files = [f for f in pathlib.Path(folder).rglob("*") if f.is_file()]
                sizes[form] += sum(file.stat().st_size for file in files)
    assert sizes["packed"] < 0.8 * sizes["dense"]


def check_answers(path, x, expected):
    answer = tf.saved_model.load(path).signatures["serving_default"]
    names = sorted(answer.structured_input_signature[1])
    given = zip(names, x if isinstance(x, list) else [x], strict=True)
    received = answer(**{key: tf.constant(value) for key, value in given})
    for key, value in zip(sorted(received), expected, strict=True):
        np.testing.assert_allclose(received[key], value, rtol=0, atol=1e-5)


def report(name):
    """The report has the sparsity, a row for each variable and FLOPs, and can be printed."""
    model, masks = trained(name)
    told = tt.report(model, measure=False)
    assert told.sparsity == pytest.approx(masks.sparsity)
    assert [row.path for row in told.weights] == list(tt.variable_names(model))
    assert f"{masks.sparsity:.2%}"[:-1] in str(told)
    places = tuple(f"{path.removeprefix(model.name + '/')}/" for path in told.uncounted)
    if any(path.startswith(places) for path in masks):
        raise Unable("in part")
    assert 0 < told.flops["sparse_ideal"] < told.flops["dense"]


ABILITIES = {"prune": prune, "hold": hold, "slim": slim, "packed export": export, "report": report}


class Unable(Exception):
    """An example is not able to do something, or not all of it."""


@pytest.mark.parametrize("ability", ABILITIES)
@pytest.mark.parametrize("name", slow_but(EXAMPLES, *QUICK))
def test_a_cell_says_what_is_seen(name, ability):
    (row,) = (row for row in table("| example | prune") if row["example"] == name)
    seen = "yes"
    try:
        ABILITIES[ability](name)
    except Unable as error:
        seen = str(error)
    assert row[ability].partition(":")[0] == seen


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [True, False])
def test_a_discriminator_is_pruned_unless_it_is_frozen_as_fit_begins(frozen):
    """GauGAN's step sets it free and freezes it again."""
    example = EXAMPLES["GauGAN"]
    model = example.build()
    assert not model.discriminator.trainable
    model.discriminator.trainable = not frozen
    pruning = tt.callbacks.PruneLowMagnitude(tt.ConstantSparsity(SPARSITY, 2, frequency=1))
    example.fit(model, epochs=1, callbacks=[pruning])
    of_discriminator = [name for name in pruning.masks if name.startswith("discriminator/")]
    assert bool(of_discriminator) is not frozen
    for name, variable in tt.variable_names(model).items():
        assert not np.any(variable.numpy()[~pruning.masks.get(name, np.True_)])


def test_each_example_has_a_row():
    assert [row["example"] for row in table("| example | prune")] == list(EXAMPLES)
    networks = {row["example"] for row in table("| example | network")}
    assert networks == set(EXAMPLES)


# --- slim, network by network


@functools.cache
def slimmed(name) -> dict[str, tuple]:
    """Return how much each network of an example keeps, and the kinds of layers left whole."""
    found = {}
    with in_float64():
        keras.utils.set_random_seed(0)
        for part, network in EXAMPLES[name].networks().items():
            for layer in network.layers:
                if isinstance(layer, keras.layers.Dropout):
                    layer.rate = 0.0  # tensors of different widths cannot drop the same values
            (graph,) = graphs_of(network).values()
            calls = calls_of(graph_of(network))
            kinds = {kind_of(c.operation) for c in calls if c.operation.name in graph.kept_whole}
            found[part] = share_kept(shake(network)), ", ".join(sorted(kinds))
    return found


def share_kept(network, **options) -> float:
    """Return which fraction of its weights a slim network has, whose answers are right."""
    try:
        masks = tt.channel_masks(network, 0.4, by="norm", **options)
    except tt.SettingError as error:
        assert str(error).startswith(f"No channel of {network.name} may go: ")
        return 1.0
    told = check_slim(network, masks).slim_report
    return told.params_after / told.params_before


@pytest.mark.parametrize("name", slow_but(EXAMPLES, *QUICK))
def test_a_network_keeps_what_the_page_says(name):
    rows = [row for row in table("| example | network") if row["example"] == name]
    assert [row["network"].strip("`") for row in rows] == list(slimmed(name))
    for row, (share, kinds) in zip(rows, slimmed(name).values(), strict=True):
        assert float(row["weights kept"]) == pytest.approx(share, abs=0.02)
        assert row["cannot look into"].replace("`", "") == kinds


@pytest.mark.slow
def test_the_text_says_what_more_could_go(monkeypatch):
    page = " ".join(PAGE.read_text().split())
    with in_float64():
        keras.utils.set_random_seed(0)
        by_groups = share_kept(shake(diffusion.unet()), whole_groups=True)
        monkeypatch.setattr(translation, "ReflectionPadding2D", padded_by_a_function)
        keras.utils.set_random_seed(0)
        padded = share_kept(shake(translation.resnet_generator("gen_G")))
    for before, share in (("leaves", by_groups), ("a generator of CycleGAN keeps", padded)):
        told = re.search(rf"{before} (\d\.\d+) of", page)[1]
        assert float(told) == pytest.approx(share, abs=0.02)


def padded_by_a_function(padding=(1, 1)):
    (height, width) = padding
    widths = [[0, 0], [height] * 2, [width] * 2, [0, 0]]
    return lambda x: keras.ops.pad(x, widths, mode="reflect")


@pytest.mark.parametrize("name", slow_but(EXAMPLES, *QUICK))
def test_slim_networks_make_the_model_again(name):
    example, small = EXAMPLES[name], {}
    keras.utils.set_random_seed(0)
    for part, network in example.networks().items():
        try:
            small[part] = tt.slim(network, tt.channel_masks(network, 0.4, by="norm"))
        except tt.SettingError:
            small[part] = network
    history = example.fit(example.assemble(**small), epochs=1)
    assert all(np.isfinite(values).all() for values in history.values())
