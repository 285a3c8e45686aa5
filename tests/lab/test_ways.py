import pytest

from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.methods import EarlyBird, IterativeMagnitude, Snip
from tf_tickets.lab.models import GanTraining
from tf_tickets.lab.ways import WAYS, config_of

BASE = RunConfig(
    "dcgan",
    IterativeMagnitude(rounds=3, rewind_step=4, retries=1),
    training=GanTraining(epochs=2),
    seeds=(0, 5),
)


def config(name, **options):
    return config_of(WAYS[name], BASE, 3, (0.5,), **options)


def test_iterative_pruning_takes_the_rounds_and_initial_pruning_their_last_sparsity_at_once():
    imp, snip = config("imp"), config("snip")
    assert imp.method == IterativeMagnitude(rounds=3, rewind_step=4, retries=1)
    assert snip.method == Snip(rounds=1, rate=1 - 0.8**3, retries=1)
    assert config("imp", alone=True).method.rounds == 1


def test_ways_of_early_bird_differ_in_their_pool_and_precision():
    plain, whole, mixed = (config(f"early-bird{kind}") for kind in ("", "-global", "-mixed"))
    assert plain.method == mixed.method == EarlyBird(channel_sparsity=(0.5,))
    assert whole.method.pool == "model"
    precisions = [each.training.precision for each in (plain, whole, mixed)]
    assert precisions == ["float32", "float32", "auto"]


@pytest.mark.parametrize("name", WAYS)
def test_all_ways_share_the_rest(name):
    made = config(name)
    assert (made.model, made.seeds, made.training.epochs) == ("dcgan", (0, 5), 2)
    assert made.arms == ("winning",)


def test_no_two_ways_look_alike():
    assert len({(way.color, way.marker) for way in WAYS.values()}) == len(WAYS)
