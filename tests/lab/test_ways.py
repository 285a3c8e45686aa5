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


ROUNDS = (2, 3)
SPARSITIES = (0.36, 0.488)


def config(name, **options):
    return config_of(WAYS[name], BASE, ROUNDS, **options)


def test_iterative_pruning_goes_to_the_last_round_and_others_to_the_same_sparsities_at_once():
    imp, snip = config("imp"), config("snip")
    expected = IterativeMagnitude(rounds=3, rewind_step=4, retries=1, all_rounds=True)
    assert imp.method == expected, "the rounds between are wanted, whatever the verdict"
    assert snip.method == Snip(weight_sparsity=SPARSITIES, retries=1)
    assert snip.method.num_rounds == 2
    assert config("imp", alone=True).method.rounds == 1
    reached = [float(imp.method.schedule()(number)[1]) for number in ROUNDS]
    asked = [float(snip.method.schedule()(number)[1]) for number in (1, 2)]
    assert asked == pytest.approx(reached, abs=1e-12)


def test_ways_of_early_bird_differ_in_their_pool_and_precision_and_have_their_control():
    plain, whole, mixed = (config(f"early-bird{kind}") for kind in ("", "-global", "-mixed"))
    assert plain.method == mixed.method == EarlyBird(weight_sparsity=SPARSITIES)
    assert whole.method.pool == "model" and whole.method.num_rounds == 2
    precisions = [each.training.precision for each in (plain, whole, mixed)]
    assert precisions == ["float32", "float32", "mixed"]
    assert {each.arms for each in (plain, whole, mixed)} == {("winning", "random")}


@pytest.mark.parametrize("name", WAYS)
def test_all_ways_share_the_rest(name):
    made = config(name)
    assert (made.model, made.seeds, made.training.epochs) == ("dcgan", (0, 5), 2)
    assert made.arms[0] == "winning"
    assert ("random" in made.arms) == name.startswith("early-bird")


def test_no_two_ways_look_alike():
    assert len({(way.color, way.marker) for way in WAYS.values()}) == len(WAYS)
