"""What the paper claims, each claim with the effect that decides it."""

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
from tf_tickets.lab.papers.kalibhat2021.studies import (
    DCGAN,
    DCGAN_ON_FACES,
    ONE_SHOT,
    STOPPED,
    TO_GAN,
    TO_STEP_0,
    TO_VAE,
    name_of,
    with_component,
)
from tf_tickets.lab.papers.paper import Study
from tf_tickets.lab.ways import WAYS

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
    name = name_of(study)
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
        f"{name_of(study)}: winning tickets can stop after fewer steps than the unpruned network.",
        "Figure 2",
        f"steps of dense against winning: {_of((0.4, 0.85))}; one that never came near counts as "
        "its last step",
        effects,
        (study,),
    )


def _both_beat_one(study, quantity, components, where):
    alone = [with_component(study, component) for component in components]
    return Claim(
        f"both-beat-one-{study.model}",
        f"{name_of(study)}: pruning both components is better than pruning one, "
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
        f"{name_of(study)}: tickets of {100 * sparsity:.0f} % sparsity match the unpruned network.",
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


_VAE = Study("vae", "cifar10")
_ENCODER, _DECODER = (with_component(_VAE, name) for name in ("encoder", "decoder"))

CLAIMS = (
    *(_beats_random(study, "fid") for study in (DCGAN_ON_FACES, DCGAN, _VAE)),
    _beats_random(Study("conv-ae", "cifar10"), "reconstruction_loss"),
    *map(_stops_earlier, STOPPED),
    Claim(
        "iterative-beats-one-shot",
        "At high sparsity iterative pruning is better than one-shot pruning.",
        "Figure 3, left",
        f"one shot against iterative, fid: {_of(_HIGH)}",
        _worse(ONE_SHOT, "winning", DCGAN, "winning", "fid", _HIGH),
        (DCGAN, ONE_SHOT),
    ),
    Claim(
        "late-rewinding",
        "Survivors that return to iteration 10 are better than those that return to step 0.",
        "Figure 3, right; sec. 4.1",
        f"step 0 against step 10, fid: {_of(_HIGH)}",
        _worse(TO_STEP_0, "winning", DCGAN, "winning", "fid", _HIGH),
        (DCGAN, TO_STEP_0),
    ),
    _both_beat_one(
        Study("conv-ae", "cifar10"), "reconstruction_loss", ("encoder", "decoder"), "Figure 4"
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
        _both_beat_one(Study(model, "cifar10"), "fid", ("generator", "discriminator"), "Figure 6")
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
    _transfers(TO_GAN, "VAE to DCGAN"),
    _transfers(TO_VAE, "DCGAN to VAE"),
    Claim(
        "stability",
        "DCGAN on CIFAR-10: winning tickets vary less from run to run than random ones.",
        "sec. 4.1",
        f"distance from the median of random less that of winning, fid: {_of((0.2, 0.9))}",
        lambda runs: steadier_by(
            (runs[DCGAN], "winning"), (runs[DCGAN], "random"), "fid", (0.2, 0.9)
        ),
        (DCGAN,),
    ),
    Claim(
        "discriminator-loss",
        "DCGAN on CIFAR-10: the discriminator's loss is higher with random tickets.",
        "Figure A.5",
        f"random against winning, discriminator_loss: {_of(_HIGH)}",
        _worse(DCGAN, "random", DCGAN, "winning", "discriminator_loss", _HIGH),
        (DCGAN,),
    ),
    _headline(Study("conv-ae", "celeb_a"), "reconstruction_loss", 0.985),
    _headline(Study("resnet-vae", "cifar10"), "fid", 0.931),
    _headline(Study("sngan", "cifar10"), "fid", 0.892),
)
