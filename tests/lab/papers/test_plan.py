"""What a reproduction takes, counted by hand."""

import itertools

import pytest

from tf_tickets.lab.config import Data
from tf_tickets.lab.papers import PAPERS, Scale, Study
from tf_tickets.lab.papers.plan import plan
from tf_tickets.lab.show.planned import plan_table

SCALE = Scale(
    "tiny",
    "for tests",
    {"mnist": Data("digits", 8, limit=100)},
    seeds=(0, 1, 2),
    rounds=4,
    compared=(1,),
    sizes={"linear-ae": {"epochs": 2, "batch_size": 25}},
)


def test_trainings_steps_flops_and_bytes_are_those_of_the_runs():
    (planned,) = plan([Study("linear-ae", "mnist")], SCALE)
    assert planned.num_trainings == 3 * (1 + 4 * 2)
    assert planned.num_steps == 2 * 100 // 25
    widths = (64, 116, 64, 12, 3, 12, 64, 116, 64)
    layers = list(itertools.pairwise(widths))
    weights = sum(a * b + b for a, b in layers)
    # Forward, and the gradients of weights and inputs; of the first layer's inputs none is taken.
    each = sum(3 * (2 * a * b) for a, b in layers) - 2 * 64 * 116
    expected = planned.num_trainings * planned.num_steps * 25 * each
    assert planned.flops == pytest.approx(expected, rel=0.02)  # biases on top
    assert planned.num_bytes == planned.num_trainings * weights * 4 * 2


def test_studies_that_are_one_run_are_counted_once():
    study = Study("linear-ae", "mnist")
    both = plan([study, study.but(component="all")], SCALE)
    assert len(both) == 1
    assert len(plan([study, study.but(component="encoder")], SCALE)) == 2


def test_the_sum_stands_below_with_hours_at_the_speed_that_was_given():
    planned = plan([Study("linear-ae", "mnist")], SCALE)
    *rows, total = plan_table(planned, planned[0].flops / 7200).rows
    assert [row[0] for row in rows] == ["linear-ae on mnist, imp"]
    assert total[:2] == ("in all", "27") and total[4] == "2.0"


def conv(kernel, inputs, outputs, side):
    """Return the products; `side` is of the outputs, and of the inputs if it is transposed."""
    return kernel**2 * inputs * outputs * side**2


def conv_ae():
    encoder = [(3, 3, 32, 32), (4, 32, 64, 16), (2, 64, 128, 10), (3, 128, 256, 10)]
    decoder = [(2, 256, 128, 5), (2, 128, 64, 10), (5, 64, 32, 18), (2, 32, 3, 20)]
    middle = [(3, 256, 512, 3), (3, 512, 256, 2)]
    return 2 * 3 * sum(itertools.starmap(conv, encoder + middle + decoder))


def vae():
    stages = [(4, 3, 64, 16), (4, 64, 128, 8), (4, 128, 256, 4), (4, 256, 512, 2)]
    middle = [(2, 512, 64, 1), (2, 32, 512, 1)]
    return 2 * 3 * sum(itertools.starmap(conv, stages + middle + stages))


def networks_of_gan():
    """Return the products of the generator and of the critic, which DCGAN and SNGAN share."""
    generator = [(4, 128, 512, 1), (4, 512, 256, 4), (4, 256, 128, 8), (4, 128, 64, 16)]
    critic = [(3, 3, 64, 32), (4, 64, 64, 16), (3, 64, 128, 16), (4, 128, 128, 8)]
    critic += [(3, 128, 256, 8), (4, 256, 256, 4), (3, 256, 512, 4)]
    networks = [*generator, (3, 64, 3, 32)], critic
    return (sum(itertools.starmap(conv, layers)) for layers in networks)


def gan(critic_steps):
    of_generator, of_critic = networks_of_gan()
    # The critic's update: fakes once, the critic forward and back on both. The generator's: both
    # forward and back, but for the gradients of the critic's weights; its fakes are there already.
    of_critics_update = of_generator + 2 * 3 * of_critic
    of_generators_update = 2 * of_generator + 2 * of_critic
    return 2 * (of_critics_update + of_generators_update / critic_steps)


def dcgan():
    return gan(critic_steps=1)


def sngan():
    return gan(critic_steps=5)


@pytest.mark.parametrize(
    ("count", "epochs", "images_per_step"),
    [(conv_ae, 100, 128), (vae, 100, 128), (dcgan, 200, 64), (sngan, 200, 5 * 64)],
)
def test_the_papers_networks_take_the_flops_of_their_tables(count, epochs, images_per_step):
    scale = PAPERS["kalibhat2021"].scale("paper")
    (planned,) = plan([Study(count.__name__.replace("_", "-"), "cifar10")], scale)
    assert planned.num_steps == epochs * (30_000 // images_per_step)
    images = planned.num_steps * images_per_step
    assert planned.num_trainings == 5 * (1 + 2 * 20)
    assert planned.flops == pytest.approx(planned.num_trainings * images * count(), rel=0.1)
