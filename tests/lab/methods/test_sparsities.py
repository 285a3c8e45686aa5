"""Sparsities of weights that are asked for, by whatever method."""

import dataclasses

import pytest

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.lab import Data, RunConfig, Training
from tf_tickets.lab.methods import EarlyBird, Snip
from tf_tickets.lab.prepared import prepare
from tf_tickets.pruning.prunable import num_values

SMALL = RunConfig(
    "vae",
    EarlyBird(weight_sparsity=(0.3, 0.6)),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16, width=8),
    seeds=(0,),
)


def test_early_bird_finds_the_channels_that_go_with_the_weights(tmp_path):
    search = prepare(SMALL).search
    low, high = search.channel_sparsity
    assert 0 < low < high < 1
    assert SMALL.method.num_rounds == 2
    model = prepare(SMALL).experiment.build(0)
    slimmed = tt.slim(model, tt.channel_masks(model, high, pool="layer"))
    sizes = [num_values(tt.prunable(each)) for each in (model, slimmed)]
    assert 1 - sizes[1] / sizes[0] == pytest.approx(0.6, abs=0.05)


def test_only_the_sparsity_that_counts_is_part_of_the_identity():
    by_weights, by_channels = SMALL.method.identity(), EarlyBird().identity()
    assert by_weights["weight_sparsity"] == (0.3, 0.6) and "channel_sparsity" not in by_weights
    assert "weight_sparsity" not in by_channels and "channel_sparsity" in by_channels
    assert "rate" not in Snip(weight_sparsity=(0.3,)).identity()
    assert "weight_sparsity" not in Snip().identity() and Snip().identity()["rate"] == 0.2


def test_pruning_at_initialization_goes_there_at_once():
    method = Snip(weight_sparsity=(0.3, 0.6))
    search = prepare(dataclasses.replace(SMALL, method=method, arms=("winning",))).search
    assert search.rounds == method.num_rounds == 2
    assert [float(search.draw.schedule(number)[1]) for number in (1, 2)] == [0.3, 0.6]


@pytest.mark.parametrize("kind", [EarlyBird, Snip])
@pytest.mark.parametrize("sparsities", [(0.6, 0.3), (0.3, 0.3), ()])
def test_sparsities_rise(kind, sparsities):
    with pytest.raises(SettingError, match="`weight_sparsity` must be rising numbers"):
        kind(weight_sparsity=sparsities)


def test_sparsities_that_lead_to_the_same_widths_are_refused_before_anything_is_trained():
    method = EarlyBird(weight_sparsity=(0.998, 0.999))
    with pytest.raises(SettingError, match="`weight_sparsity` must be such that vae loses another"):
        prepare(dataclasses.replace(SMALL, method=method))
