"""What methods have in common that mask weights."""

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import RunConfig, models
from tf_tickets.lab.methods import IterativeMagnitude, Snip
from tf_tickets.lab.models import GAN
from tf_tickets.pruning.prunable import prunable


def checked(method, name):
    """Return a model of a name after a method has checked it."""
    size = (8, 8, 1) if name == "linear-ae" else (16, 16, 1)
    model = models.build(name, size, **({} if name == "linear-ae" else {"width": 2}))
    method.check_model(model, RunConfig(name, method))
    return model


@pytest.mark.parametrize("kind", [IterativeMagnitude, Snip])
def test_dense_layers_can_be_left_out(kind):
    model = checked(kind(skip_dense=True, rounds=5), "sngan-resnet")
    left = prunable(model, kind(skip_dense=True).scope(GAN))
    whole = prunable(model, kind().scope(GAN))
    (skipped,) = set(whole.names) - set(left.names)
    assert skipped.endswith("generator_dense/kernel")
    part = prunable(model, kind(skip_dense=True, component="generator").scope(GAN))
    inside = prunable(model, "generator")
    assert set(part.names) == set(left.names) & set(inside.names)


@pytest.mark.parametrize(
    ("method", "model", "message"),
    [
        ({}, "linear-ae", "nothing for linear-ae, which has none but dense layers to prune"),
        ({}, "vae", "nothing for vae, which has no dense layer to prune"),
        (
            {"component": "discriminator"},
            "sngan-resnet",
            "nothing for the discriminator of sngan-resnet, which has no dense layer to prune",
        ),
    ],
)
def test_leaving_out_what_is_not_there_or_everything_is_refused(method, model, message):
    with pytest.raises(SettingError, match=f"`skip_dense` means {message}"):
        checked(IterativeMagnitude(skip_dense=True, **method), model)
