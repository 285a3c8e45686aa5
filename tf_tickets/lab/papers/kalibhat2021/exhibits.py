"""The figures and tables of the paper, with what each shows there."""

from tf_tickets.lab.papers.exhibits import Costs, Curve, Curves, Grid, Panel, Sizes
from tf_tickets.lab.papers.kalibhat2021.studies import (
    AUTOENCODERS,
    DCGAN,
    DCGAN_ON_FACES,
    GANS,
    LARGE,
    ONE_SHOT,
    STOPPED,
    TITLES,
    TO_A_SHARE,
    TO_GAN,
    TO_STEP_0,
    TO_VAE,
    VAES,
    name_of,
    with_component,
)
from tf_tickets.lab.papers.paper import Study

# As the paper colours them: both green, encoder or generator blue, decoder or discriminator red.
_BOTH, _FIRST, _SECOND, _RANDOM = "#009E73", "#0072B2", "#D55E00", "#777777"
_SHARE = "#CC79A7"


def _winning_and_random(study, quantity):
    return Panel(
        name_of(study),
        quantity,
        (
            Curve(study, "winning", "winning ticket", _BOTH),
            Curve(study, "random", "random ticket", _RANDOM, "s"),
        ),
    )


def _components(study, quantity, first, second):
    """Return the panel of a model: both components pruned, each alone, and random tickets."""
    both = _winning_and_random(study, quantity)
    alone = (
        Curve(with_component(study, first), "winning", f"{first} alone", _FIRST, "^"),
        Curve(with_component(study, second), "winning", f"{second} alone", _SECOND, "v"),
    )
    return Panel(both.title, quantity, (*both.curves, *alone))


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


def _against(study, label, other, other_label, color=_FIRST, marker="^"):
    return Panel(
        f"{label} or {other_label}",
        "fid",
        (
            Curve(study, "winning", label, _BOTH),
            Curve(other, "winning", other_label, color, marker),
            Curve(study, "random", "random ticket", _RANDOM, "s"),
        ),
    )


EXHIBITS = (
    Grid(
        "figure-1",
        "Figure 1: DCGAN on Celeb-A, winning and random tickets",
        "At high sparsity winning tickets have a clearly lower FID than random ones; at 80 % they "
        "still draw faces.",
        DCGAN_ON_FACES,
        ("winning", "random"),
    ),
    Curves(
        "figure-2",
        "Figure 2: the step at which trainings can stop",
        "Winning tickets come near dense after fewer steps than the unpruned network, and random "
        "tickets after more. The paper does not say by which rule.",
        tuple(_winning_and_random(study, "early_stopping_step") for study in STOPPED),
    ),
    Curves(
        "figure-3",
        "Figure 3: a DCGAN on CIFAR-10, pruned at once or in rounds, rewound to step 0 or later",
        "Left: at high sparsity iterative pruning has a lower FID than one-shot pruning. Right: so "
        "have survivors that return to iteration 10, beside those that return to the "
        "initialization.",
        (
            _against(DCGAN, "iterative", ONE_SHOT, "one shot"),
            _against(DCGAN, "rewound to step 10", TO_STEP_0, "to step 0", _SECOND, "v"),
            _against(DCGAN, "rewound to step 10", TO_A_SHARE, "to 5 % of the steps", _SHARE, "D"),
        ),
    ),
    Curves(
        "figure-4",
        "Figure 4: autoencoders, both components pruned or one",
        "Pruning both components is better than pruning one to the same network sparsity. Random "
        "tickets fail first.",
        tuple(
            _components(Study(*pair), "reconstruction_loss", "encoder", "decoder")
            for pair in AUTOENCODERS
        ),
    ),
    Curves(
        "figure-5",
        "Figure 5: VAEs, both components pruned or one",
        "Pruning the encoder alone is as good as pruning both, up to 50 % of the network. Pruning "
        "the decoder alone is clearly worse.",
        tuple(
            _components(Study(model, dataset), "fid", "encoder", "decoder")
            for dataset in LARGE
            for model in VAES
        ),
    ),
    Curves(
        "figure-6",
        "Figure 6: GANs, both components pruned or one",
        "Pruning both components is better than pruning one.",
        tuple(
            _components(Study(model, "cifar10"), "fid", "generator", "discriminator")
            for model in GANS
        ),
    ),
    Costs(
        "figure-7",
        "Figure 7: what early-bird tickets cost",
        "FLOPs and time of early-bird tickets fall with compression; those of iterative pruning "
        "are the same at each sparsity. FID rises little.",
        "dcgan-table2",
        "cifar10",
        ("imp", "early-bird", "early-bird-epochs", "early-bird-mixed"),
    ),
    Curves(
        "figure-8",
        "Figure 8: tickets that move between a VAE and a GAN",
        "In both directions a transferred ticket is as good as the model's own, up to 80 %.",
        (_transferred(TO_GAN, "VAE to DCGAN"), _transferred(TO_VAE, "DCGAN to VAE")),
    ),
    Sizes(
        "table-1",
        "Table 1: models, and the sparsity of their winning tickets",
        "Linear AE 89.2 %; Conv AE 95.6 and 98.5 %; VAE 79 %; beta-VAE 86.5 %; ResNet-VAE 93.1 %; "
        "DCGAN 83.2 %; SNGAN 89.2 %; ResNet-DCGAN 79 %; WGAN 73.7 and 59 %.",
        tuple(
            (Study(model, dataset), sparsity)
            for model, dataset, sparsity in (
                ("linear-ae", "mnist", 0.892),
                ("conv-ae", "cifar10", 0.956),
                ("conv-ae", "celeb_a", 0.985),
                *(("vae", dataset, 0.79) for dataset in LARGE),
                *(("beta-vae", dataset, 0.865) for dataset in LARGE),
                *(("resnet-vae", dataset, 0.931) for dataset in LARGE),
                *(("dcgan", dataset, 0.832) for dataset in LARGE),
                *(("sngan", dataset, 0.892) for dataset in LARGE),
                *(("resnet-dcgan", dataset, 0.79) for dataset in LARGE),
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
        ("imp", "early-bird", "early-bird-epochs", "early-bird-mixed", "snip", "grasp"),
        shown=(7,),
    ),
    Curves(
        "figure-a1",
        "Figure A.1: GANs on Celeb-A",
        "Winning tickets up to 80 % (DCGAN, SNGAN), 75 % (ResNet-DCGAN) and 50 % (WGAN); Table 1 "
        "has 83.2, 89.2, 79 and 59 %.",
        tuple(_winning_and_random(Study(model, "celeb_a"), "fid") for model in GANS),
    ),
    Curves(
        "figure-a2",
        "Figure A.2: images of autoencoders that a classifier recognises",
        "Accuracy falls as the error of the reconstructions rises.",
        tuple(_winning_and_random(Study(*pair), "classifier_accuracy") for pair in AUTOENCODERS),
    ),
    Curves(
        "figure-a3",
        "Figure A.3: images of VAEs that a classifier recognises",
        "Accuracy falls as the FID rises.",
        tuple(
            _winning_and_random(Study(model, dataset), "classifier_accuracy")
            for dataset in LARGE
            for model in VAES
        ),
    ),
    Curves(
        "figure-a4",
        "Figure A.4: Inception score of a DCGAN",
        "The score of winning tickets stays up longer than that of random ones.",
        tuple(_winning_and_random(study, "inception_score") for study in (DCGAN, DCGAN_ON_FACES)),
    ),
    Curves(
        "figure-a5",
        "Figure A.5: loss of the discriminator",
        "It is visibly higher for random tickets.",
        tuple(
            _winning_and_random(Study(model, dataset), "discriminator_loss")
            for dataset in LARGE
            for model in GANS
        ),
    ),
    Grid(
        "figure-a6",
        "Figure A.6: samples of a DCGAN by sparsity",
        "The sparsest winning ticket has 79 %.",
        DCGAN,
    ),
    Grid(
        "figure-a7",
        "Figure A.7: samples of a VAE by sparsity",
        "The sparsest winning ticket has 73 %.",
        Study("vae", "cifar10"),
    ),
    *(
        Grid(
            f"figure-a8-{dataset.replace('_', '-')}",
            f"Figure A.8: reconstructions of an autoencoder on {TITLES[dataset]} by sparsity",
            f"The sparsest winning ticket has {shown} %.",
            Study(model, dataset),
        )
        for (model, dataset), shown in zip(AUTOENCODERS, (73, 94, 98), strict=True)
    ),
)
