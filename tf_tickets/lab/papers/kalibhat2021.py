"""Kalibhat, Balaji and Feizi, 2021: Winning Lottery Tickets in Deep Generative Models.

The experiments of arXiv:2010.02350, as cards. The paper gives no learning rates, epochs or latent
sizes; `docs/departures.md` says where those of the recipes are from. Numbers of the paper were read
off its text, tables and figures.
"""

from tf_tickets.lab.config import Data, Judging
from tf_tickets.lab.papers.claims import Claim
from tf_tickets.lab.papers.effects import (
    at_most_worse_by,
    falling,
    least,
    saved,
    steadier_by,
    worse_by,
    worse_way,
)
from tf_tickets.lab.papers.exhibits import Costs, Curve, Curves, Grid, Panel, Sizes
from tf_tickets.lab.papers.paper import Paper, Study
from tf_tickets.lab.papers.scale import Scale
from tf_tickets.lab.ways import WAYS

_TITLES = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "celeb_a": "Celeb-A",
    "linear-ae": "Linear AE",
    "conv-ae": "Conv AE",
    "vae": "VAE",
    "beta-vae": "beta-VAE",
    "resnet-vae": "ResNet-VAE",
    "dcgan": "DCGAN",
    "resnet-dcgan": "ResNet-DCGAN",
    "sngan": "SNGAN",
    "wgan": "WGAN",
}
_AUTOENCODERS = (("linear-ae", "mnist"), ("conv-ae", "cifar10"), ("conv-ae", "celeb_a"))
_VAES = ("vae", "beta-vae", "resnet-vae")
_GANS = ("dcgan", "resnet-dcgan", "sngan", "wgan")
_LARGE = ("cifar10", "celeb_a")

# As the paper colours them: both green, encoder or generator blue, decoder or discriminator red.
_BOTH, _FIRST, _SECOND, _RANDOM = "#009E73", "#0072B2", "#D55E00", "#777777"


def _name(model, dataset):
    return f"{_TITLES[model]} on {_TITLES[dataset]}"


def _winning_and_random(study, quantity):
    return Panel(
        _name(study.model, study.dataset),
        quantity,
        (
            Curve(study, "winning", "winning ticket", _BOTH),
            Curve(study, "random", "random ticket", _RANDOM, "s"),
        ),
    )


def _component(study, component):
    """Return the search that prunes one component alone; its own control is in no figure."""
    return Study(study.model, study.dataset, arms=("winning",)).but(component=component)


def _components(study, quantity, first, second):
    """Return the panel of a model: both components pruned, each alone, and random tickets."""
    both = _winning_and_random(study, quantity)
    alone = (
        Curve(_component(study, first), "winning", f"{first} alone", _FIRST, "^"),
        Curve(_component(study, second), "winning", f"{second} alone", _SECOND, "v"),
    )
    return Panel(both.title, quantity, (*both.curves, *alone))


def _study(model, dataset):
    return Study(model, dataset)


_DCGAN = _study("dcgan", "cifar10")
_FACES = _study("dcgan", "celeb_a")
_TO_GAN = Study("dcgan-shared", "cifar10", "transfer", source=_study("vae", "cifar10"))
_TO_VAE = Study("vae", "cifar10", "transfer", source=_study("dcgan-shared", "cifar10"))


def _transferred(study, title):
    return Panel(
        title,
        "fid",
        (
            Curve(study, "winning", "winning ticket", _BOTH),
            Curve(study, "transferred", "transferred ticket", _FIRST, "^"),
            Curve(study, "random", "random ticket", _RANDOM, "s"),
        ),
    )


def _against(study, label, other, other_label):
    return Panel(
        f"{_name(study.model, study.dataset)}: {label} or {other_label}",
        "fid",
        (
            Curve(study, "winning", label, _BOTH),
            Curve(other, "winning", other_label, _FIRST, "^"),
            Curve(study, "random", "random ticket", _RANDOM, "s"),
        ),
    )


_STOPPED = (_study("conv-ae", "cifar10"), _study("vae", "cifar10"), _DCGAN)

_EXHIBITS = (
    Grid(
        "figure-1",
        "Figure 1: DCGAN on Celeb-A, winning and random tickets",
        "At high sparsity winning tickets have a clearly lower FID than random ones; at 80 % they "
        "still draw faces.",
        _FACES,
        ("winning", "random"),
    ),
    Curves(
        "figure-2",
        "Figure 2: the step at which trainings can stop",
        "Winning tickets come near dense after fewer steps than the unpruned network, and random "
        "tickets after more. The paper does not say by which rule.",
        tuple(_winning_and_random(study, "early_stopping_step") for study in _STOPPED),
    ),
    Curves(
        "figure-3",
        "Figure 3: one shot or iterative, rewound to step 0 or later",
        "Left: at high sparsity iterative pruning has a lower FID than one-shot pruning. Right: so "
        "have survivors that return to iteration 10, beside those that return to the "
        "initialization.",
        (
            _against(_DCGAN, "iterative", _DCGAN.but(one_shot=True), "one shot"),
            _against(_DCGAN, "rewound to step 10", _DCGAN.but(rewind_step=0), "rewound to step 0"),
            _against(_DCGAN, "rewound to step 10", _DCGAN.but(rewind_share=0.05), "rewound to 5 %"),
        ),
    ),
    Curves(
        "figure-4",
        "Figure 4: autoencoders, both components pruned or one",
        "Pruning both components is better than pruning one to the same network sparsity. Random "
        "tickets fail first.",
        tuple(
            _components(_study(*pair), "reconstruction_loss", "encoder", "decoder")
            for pair in _AUTOENCODERS
        ),
    ),
    Curves(
        "figure-5",
        "Figure 5: VAEs, both components pruned or one",
        "Pruning the encoder alone is as good as pruning both, up to 50 % of the network. Pruning "
        "the decoder alone is clearly worse.",
        tuple(
            _components(_study(model, dataset), "fid", "encoder", "decoder")
            for dataset in _LARGE
            for model in _VAES
        ),
    ),
    Curves(
        "figure-6",
        "Figure 6: GANs, both components pruned or one",
        "Pruning both components is better than pruning one.",
        tuple(
            _components(_study(model, "cifar10"), "fid", "generator", "discriminator")
            for model in _GANS
        ),
    ),
    Costs(
        "figure-7",
        "Figure 7: what early-bird tickets cost",
        "FLOPs and time of early-bird tickets fall with compression; those of iterative pruning "
        "are the same at each sparsity. FID rises little.",
        "dcgan-table2",
        "cifar10",
        ("imp", "early-bird", "early-bird-mixed"),
    ),
    Curves(
        "figure-8",
        "Figure 8: tickets that move between a VAE and a GAN",
        "In both directions a transferred ticket is as good as the model's own, up to 80 %.",
        (_transferred(_TO_GAN, "VAE to DCGAN"), _transferred(_TO_VAE, "DCGAN to VAE")),
    ),
    Sizes(
        "table-1",
        "Table 1: models, and the sparsity of their winning tickets",
        "Linear AE 89.2 %; Conv AE 95.6 and 98.5 %; VAE 79 %; beta-VAE 86.5 %; ResNet-VAE 93.1 %; "
        "DCGAN 83.2 %; SNGAN 89.2 %; ResNet-DCGAN 79 %; WGAN 73.7 and 59 %.",
        tuple(
            (_study(model, dataset), sparsity)
            for model, dataset, sparsity in (
                ("linear-ae", "mnist", 0.892),
                ("conv-ae", "cifar10", 0.956),
                ("conv-ae", "celeb_a", 0.985),
                *(("vae", dataset, 0.79) for dataset in _LARGE),
                *(("beta-vae", dataset, 0.865) for dataset in _LARGE),
                *(("resnet-vae", dataset, 0.931) for dataset in _LARGE),
                *(("dcgan", dataset, 0.832) for dataset in _LARGE),
                *(("sngan", dataset, 0.892) for dataset in _LARGE),
                *(("resnet-dcgan", dataset, 0.79) for dataset in _LARGE),
                ("wgan", "cifar10", 0.737),
                ("wgan", "celeb_a", 0.59),
            )
        ),
    ),
    Costs(
        "table-2",
        "Table 2: ways of pruning a DCGAN",
        "FID, FLOPs and seconds: unpruned 37.71, 1.12e16, 4590; iterative 37.77, 1.16e16, 4478; "
        "early-bird 33.49, 0.13e16, 2417, and mixed 34.28, 0.13e16, 2131; SNIP 56.02, 1.12e16, "
        "4690; GraSP 65.53, 1.12e16, 4603. Early-bird keeps 20.3 % of the weights.",
        "dcgan-table2",
        "cifar10",
        ("imp", "early-bird", "early-bird-mixed", "snip", "grasp"),
        shown=(7,),
    ),
    Curves(
        "figure-a1",
        "Figure A.1: GANs on Celeb-A",
        "Winning tickets up to 80 % (DCGAN, SNGAN), 75 % (ResNet-DCGAN) and 50 % (WGAN); Table 1 "
        "has 83.2, 89.2, 79 and 59 %.",
        tuple(_winning_and_random(_study(model, "celeb_a"), "fid") for model in _GANS),
    ),
    Curves(
        "figure-a2",
        "Figure A.2: images of autoencoders that a classifier recognises",
        "Accuracy falls as the error of the reconstructions rises.",
        tuple(_winning_and_random(_study(*pair), "classifier_accuracy") for pair in _AUTOENCODERS),
    ),
    Curves(
        "figure-a3",
        "Figure A.3: images of VAEs that a classifier recognises",
        "Accuracy falls as the FID rises.",
        tuple(
            _winning_and_random(_study(model, dataset), "classifier_accuracy")
            for dataset in _LARGE
            for model in _VAES
        ),
    ),
    Curves(
        "figure-a4",
        "Figure A.4: Inception score of a DCGAN",
        "The score of winning tickets stays up longer than that of random ones.",
        tuple(_winning_and_random(study, "inception_score") for study in (_DCGAN, _FACES)),
    ),
    Curves(
        "figure-a5",
        "Figure A.5: loss of the discriminator",
        "It is visibly higher for random tickets.",
        tuple(
            _winning_and_random(_study(model, dataset), "discriminator_loss")
            for dataset in _LARGE
            for model in _GANS
        ),
    ),
    Grid(
        "figure-a6",
        "Figure A.6: samples of a DCGAN by sparsity",
        "The sparsest winning ticket has 79 %.",
        _DCGAN,
    ),
    Grid(
        "figure-a7",
        "Figure A.7: samples of a VAE by sparsity",
        "The sparsest winning ticket has 73 %.",
        _study("vae", "cifar10"),
    ),
    *(
        Grid(
            f"figure-a8-{dataset.replace('_', '-')}",
            f"Figure A.8: reconstructions of an autoencoder on {_TITLES[dataset]} by sparsity",
            f"The sparsest winning ticket has {shown} %.",
            _study(model, dataset),
        )
        for (model, dataset), shown in zip(_AUTOENCODERS, (73, 94, 98), strict=True)
    ),
)


# --- claims

_HIGH = (0.7, 0.9)
_HALF = (0.25, 0.5)
_TOLERANCE = 0.1  # ours: the paper has none
_RATIO = "mean logarithm of the ratio over the rounds of {} % network sparsity, of each seed"


def _of(between):
    return _RATIO.format(" to ".join(f"{100 * bound:g}" for bound in between))


def _worse(study, arm, other, other_arm, quantity, between):
    """Return the function of the runs that says by how much one study's arm is worse."""
    return lambda runs: worse_by((runs[study], arm), (runs[other], other_arm), quantity, between)


def _beats_random(study, quantity):
    name = _name(study.model, study.dataset)
    return Claim(
        f"winning-beats-random-{study.model}-{study.dataset}",
        f"{name}: at high sparsity winning tickets are better than random ones.",
        "sec. 3.1; Figures 1, 4, 5, 6",
        f"random against winning, {quantity}: {_of(_HIGH)}",
        _worse(study, "random", study, "winning", quantity, _HIGH),
        (study,),
    )


def _stops_earlier(study):
    def effects(runs):
        run = runs[study]
        later = worse_by((run, "winning"), (run, "dense"), "early_stopping_step", (0.4, 0.85))
        return {seed: -value for seed, value in later.items()}

    return Claim(
        f"stops-earlier-{study.model}",
        f"{_name(study.model, study.dataset)}: winning tickets can stop after fewer steps than the "
        "unpruned network.",
        "Figure 2",
        f"steps of dense against winning: {_of((0.4, 0.85))}; one that never came near counts as "
        "its last step",
        effects,
        (study,),
    )


def _both_beat_one(study, quantity, components, where):
    alone = [_component(study, component) for component in components]
    return Claim(
        f"both-beat-one-{study.model}",
        f"{_name(study.model, study.dataset)}: pruning both components is better than pruning one, "
        "at the same network sparsity.",
        where,
        f"the better one alone against both, {quantity}: {_of(_HALF)}",
        lambda runs: least(
            *(
                worse_by((runs[one], "winning"), (runs[study], "winning"), quantity, _HALF)
                for one in alone
            )
        ),
        (study, *alone),
    )


def _headline(study, quantity, sparsity):
    near = (sparsity - 0.005, sparsity + 0.005)
    return Claim(
        f"headline-{study.model}",
        f"{_name(study.model, study.dataset)}: tickets of {100 * sparsity:.0f} % sparsity match "
        "the unpruned network.",
        "abstract",
        f"how far the ticket of {100 * sparsity:.0f} % stays within 10 % of dense, {quantity}, in "
        "logarithms, of each seed; the tolerance is ours",
        lambda runs: at_most_worse_by(
            _TOLERANCE, worse_by((runs[study], "winning"), (runs[study], "dense"), quantity, near)
        ),
        (study,),
    )


def _transfers(study, title):
    return Claim(
        f"transfers-{study.source.model}",
        f"{title}: transferred tickets are as good as the model's own, up to 80 %.",
        "Figure 8",
        f"how far the transferred ticket stays within 10 % of the own one, fid: {_of((0.2, 0.8))}",
        lambda runs: at_most_worse_by(
            _TOLERANCE,
            worse_by((runs[study], "transferred"), (runs[study], "winning"), "fid", (0.2, 0.8)),
        ),
        (study,),
    )


_VAE = _study("vae", "cifar10")
_ENCODER, _DECODER = (_component(_VAE, name) for name in ("encoder", "decoder"))

_CLAIMS = (
    *(_beats_random(study, "fid") for study in (_FACES, _DCGAN, _VAE)),
    _beats_random(_study("conv-ae", "cifar10"), "reconstruction_loss"),
    *map(_stops_earlier, _STOPPED),
    Claim(
        "iterative-beats-one-shot",
        "At high sparsity iterative pruning is better than one-shot pruning.",
        "Figure 3, left",
        f"one shot against iterative, fid: {_of(_HIGH)}",
        _worse(_DCGAN.but(one_shot=True), "winning", _DCGAN, "winning", "fid", _HIGH),
        (_DCGAN, _DCGAN.but(one_shot=True)),
    ),
    Claim(
        "late-rewinding",
        "Survivors that return to iteration 10 are better than those that return to step 0.",
        "Figure 3, right; sec. 4.1",
        f"step 0 against step 10, fid: {_of(_HIGH)}",
        _worse(_DCGAN.but(rewind_step=0), "winning", _DCGAN, "winning", "fid", _HIGH),
        (_DCGAN, _DCGAN.but(rewind_step=0)),
    ),
    _both_beat_one(
        _study("conv-ae", "cifar10"), "reconstruction_loss", ("encoder", "decoder"), "Figure 4"
    ),
    Claim(
        "sparse-encoder",
        "VAE on CIFAR-10: pruning the encoder alone is as good as pruning both, up to half of the "
        "network.",
        "Figure 5",
        f"how far the encoder alone stays within 10 % of both, fid: {_of(_HALF)}; the tolerance is "
        "ours",
        lambda runs: at_most_worse_by(
            _TOLERANCE, worse_by((runs[_ENCODER], "winning"), (runs[_VAE], "winning"), "fid", _HALF)
        ),
        (_VAE, _ENCODER),
    ),
    Claim(
        "dense-decoder",
        "VAE on CIFAR-10: pruning the decoder alone is worse than pruning the encoder alone.",
        "Figure 5",
        f"decoder alone against encoder alone, fid: {_of(_HALF)}",
        _worse(_DECODER, "winning", _ENCODER, "winning", "fid", _HALF),
        (_ENCODER, _DECODER),
    ),
    *(
        _both_beat_one(_study(model, "cifar10"), "fid", ("generator", "discriminator"), "Figure 6")
        for model in ("dcgan", "sngan")
    ),
    Claim(
        "early-bird-flops-fall",
        "FLOPs of early-bird tickets fall with each step of compression.",
        "Figure 7",
        "the smallest fall from one sparsity to the next, in logarithms, of each seed",
        lambda rows: falling(rows, "early-bird", "flops"),
        costs="figure-7",
    ),
    Claim(
        "early-bird-matches",
        "An early-bird ticket of 80 % is no worse than the unpruned network.",
        "Table 2",
        "how far it stays within 10 % of unpruned, in logarithms, of each seed; the tolerance is "
        "ours",
        lambda rows: at_most_worse_by(_TOLERANCE, worse_way(rows, "early-bird", "unpruned")),
        costs="table-2",
    ),
    *(
        Claim(
            f"early-bird-saves-{word}",
            f"An early-bird ticket of 80 % saves {share} % of the {word} of a training.",
            "abstract; Table 2",
            f"fraction of the {word} that is saved, of each seed",
            lambda rows, way=way, field=field: saved(rows, way, field),
            costs="table-2",
            margin=share / 100,
        )
        for word, share, way, field in (
            ("FLOPs", 88, "early-bird", "flops"),
            ("seconds", 54, "early-bird-mixed", "step_seconds"),
        )
    ),
    *(
        Claim(
            f"{way}-is-worse",
            f"{WAYS[way].name} at 80 % is worse than iterative pruning.",
            "Table 2",
            f"{way} against iterative pruning, logarithm of the ratio, of each seed",
            lambda rows, way=way: worse_way(rows, way, "imp"),
            costs="table-2",
        )
        for way in ("snip", "grasp")
    ),
    _transfers(_TO_GAN, "VAE to DCGAN"),
    _transfers(_TO_VAE, "DCGAN to VAE"),
    Claim(
        "stability",
        "DCGAN on CIFAR-10: winning tickets vary less from run to run than random ones.",
        "sec. 4.1",
        f"distance from the median of random less that of winning, fid: {_of((0.2, 0.9))}",
        lambda runs: steadier_by(
            (runs[_DCGAN], "winning"), (runs[_DCGAN], "random"), "fid", (0.2, 0.9)
        ),
        (_DCGAN,),
    ),
    Claim(
        "discriminator-loss",
        "DCGAN on CIFAR-10: the discriminator's loss is higher with random tickets.",
        "Figure A.5",
        f"random against winning, discriminator_loss: {_of(_HIGH)}",
        _worse(_DCGAN, "random", _DCGAN, "winning", "discriminator_loss", _HIGH),
        (_DCGAN,),
    ),
    _headline(_study("conv-ae", "celeb_a"), "reconstruction_loss", 0.985),
    _headline(_study("resnet-vae", "cifar10"), "fid", 0.931),
    _headline(_study("sngan", "cifar10"), "fid", 0.892),
)


# --- scales

_SMOKE = Scale(
    "smoke",
    "the smallest networks, trained for moments on scikit-learn's digits: it shows that all is "
    "drawn, and nothing of tickets",
    {
        "mnist": Data("digits", 8, limit=128),
        "cifar10": Data("digits", 16, limit=128),
        "celeb_a": Data("digits", 16, limit=96),
    },
    seeds=(0, 1),
    rounds=2,
    compared=(1, 2),
    sizes={
        "linear-ae": {"epochs": 1, "evaluations": 2},
        "conv-ae": {"epochs": 1, "evaluations": 2, "width": 4},
        **{model: {"epochs": 1, "evaluations": 2, "width": 4} for model in _VAES},
        **{
            model: {"epochs": 1, "evaluations": 2, "width": 4}
            for model in (*_GANS, "dcgan-table2", "dcgan-shared")
        },
    },
)

_PAPER = Scale(
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
    judging=Judging(
        inception="https://tfhub.dev/tensorflow/tfgan/eval/inception/1", num_samples=10_000
    ),
)

KALIBHAT2021 = Paper(
    "kalibhat2021",
    "Winning Lottery Tickets in Deep Generative Models",
    "Kalibhat, Balaji and Feizi, AAAI 2021, arXiv:2010.02350",
    _EXHIBITS,
    _CLAIMS,
    (_SMOKE, _PAPER),
)
