"""How large the runs of the paper are."""

from tf_tickets.lab.config import Data, Judging
from tf_tickets.lab.papers.kalibhat2021.studies import GANS, VAES
from tf_tickets.lab.papers.scale import Scale

# Two rounds come to 89.2 %, or to the sparsity of a ticket that the paper names.
_TO_89 = 0.671
_SHORT = {"epochs": 1, "evaluations": 2}

SMOKE = Scale(
    "smoke",
    "the smallest networks, trained for moments on scikit-learn's digits: it shows that all is "
    "drawn, and nothing of tickets",
    {
        "mnist": Data("digits", 8, limit=128),
        "cifar10": Data("digits", 16, limit=128),
        "celeb_a": Data("digits", 16, limit=160),
    },
    seeds=(0, 1),
    rounds=2,
    compared=(1, 2),
    sizes={
        "linear-ae": _SHORT,
        **{model: {**_SHORT, "width": 4} for model in ("conv-ae", *VAES, *GANS, "dcgan-shared")},
        # One that draws a ticket at the end of an epoch goes on to train it.
        "dcgan-table2": {**_SHORT, "epochs": 2, "width": 4},
    },
    rates={
        **dict.fromkeys(("linear-ae", "conv-ae", *VAES, *GANS), _TO_89),
        ("conv-ae", "celeb_a"): 0.8775,  # to 98.5 %
        ("resnet-vae", "cifar10"): 0.737,  # to 93.1 %
    },
)

# Chosen by what benchmarks/dense_trainings.py measured at this scale, and by single trainings at
# other rates and lengths.
_FALLING = {"learning_rate_decay": "linear"}
_GAN = {**_FALLING, "epochs": 100, "evaluations": 5}
_ON_MNIST = {**_FALLING, "width": 8, "batch_size": 32, "epochs": 25, "precision": "float32"}
_GAN_ON_MNIST = {**_ON_MNIST, "epochs": 50, "evaluations": 5}
# A narrow discriminator without normalization teaches too little in so few steps.
_PENALIZED = {"learning_rate": 2e-3, "gradient_penalty": 1.0}

CPU = Scale(
    "cpu",
    "narrow networks, on scikit-learn's digits and on MNIST, for two cores",
    {
        "mnist": Data("mnist", limit=5000),
        "cifar10": Data("digits"),
        "celeb_a": Data("mnist", 16, limit=2000),
    },
    seeds=(0, 1, 2, 3, 4),
    rounds=10,
    compared=(3, 7, 11),
    sizes={
        "linear-ae": {**_FALLING, "epochs": 24},
        **{model: _FALLING for model in ("conv-ae", *VAES)},
        **{model: _GAN for model in ("resnet-dcgan", "sngan", "dcgan-table2")},
        "dcgan": {**_GAN, **_PENALIZED},
        "dcgan-shared": {**_GAN, "epochs": 75, "learning_rate": 2e-3},
        "wgan": {**_GAN, "epochs": 150},  # of two critic updates a step
        **{(model, "celeb_a"): _ON_MNIST for model in ("conv-ae", *VAES)},
        **{(model, "celeb_a"): _GAN_ON_MNIST for model in GANS},
    },
    # Two of the paper's rounds at once: the same sparsities, at half the price.
    rates=dict.fromkeys(("linear-ae", "conv-ae", *VAES, *GANS, "dcgan-shared"), 0.36),
)

PAPER = Scale(
    "paper",
    "the paper's networks, on CIFAR-10, Celeb-A and MNIST, for a machine with a GPU",
    {
        "mnist": Data("mnist", 28),
        "cifar10": Data("cifar10", 32),
        "celeb_a": Data("celeb_a", 32),
    },
    seeds=(0, 1, 2, 3, 4),
    rounds=20,
    compared=(1, 3, 5, 7, 9, 11, 13),
    # The recipe on MNIST is for a CPU; this is the draft's.
    sizes={"linear-ae": {"epochs": 100, "batch_size": 128, "learning_rate": 1e-3}},
    judging=Judging(
        inception="https://tfhub.dev/tensorflow/tfgan/eval/inception/1", num_samples=10_000
    ),
)
