import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.config import Data
from tf_tickets.lab.papers import Scale, Study
from tf_tickets.lab.prepared import recipe_of

SCALE = Scale(
    "tiny",
    "for tests",
    {"cifar10": Data("digits", 8, limit=50)},
    seeds=(3, 4),
    rounds=6,
    compared=(1, 2),
    sizes={
        "vae": {"epochs": 7, "latent_dim": 5, "width": 4},
        ("vae", "cifar10"): {"epochs": 9},
        "dcgan-table2": {"width": 8},
    },
    rates={"vae": 0.4, "dcgan-shared": 0.5, ("dcgan-shared", "cifar10"): 0.6},
)


def test_what_stands_for_model_and_data_goes_into_the_config():
    config = SCALE.config(Study("vae", "cifar10").but(rewind_step=0))
    recipe = recipe_of(config)
    assert (recipe.dataset, recipe.image_size, config.data.limit) == ("digits", 8, 50)
    assert (recipe.epochs, recipe.network["latent_dim"], recipe.network["width"]) == (9, 5, 4)
    assert (config.method.rounds, config.method.rewind_step, config.seeds) == (6, 0, (3, 4))
    assert config.arms == ("winning", "random")


def test_curves_are_whole_so_that_no_round_is_left_out():
    assert SCALE.config(Study("vae", "cifar10")).method.all_rounds


def test_a_round_removes_what_the_scale_says_and_else_what_the_paper_does():
    rates = [SCALE.config(Study(m, "cifar10")).method.rate for m in ("vae", "dcgan-shared", "wgan")]
    assert rates == [0.4, 0.6, 0.2]
    compared = SCALE.config(Study("vae", "cifar10", way="imp"))
    assert compared.method.rate == 0.2  # at the sparsities at which ways are compared


def test_ways_of_pruning_are_asked_for_the_same_sparsities():
    configs = {
        way: SCALE.config(Study("dcgan-table2", "cifar10", way=way))
        for way in ("imp", "snip", "early-bird", "early-bird-mixed")
    }
    assert configs["imp"].method.rounds == 2
    assert configs["snip"].method.weight_sparsity == (0.2, 0.36)
    assert configs["early-bird"].method.weight_sparsity == (0.2, 0.36)
    assert configs["early-bird"].training.precision == "float32"
    assert configs["early-bird-mixed"].training.precision == "mixed"
    assert all(config.training.width == 8 for config in configs.values())
    assert all(config.arms == ("winning", "random") for config in configs.values())
    alone = Study("dcgan-table2", "cifar10", way="early-bird", arms=("winning",))
    assert SCALE.config(alone).arms == ("winning",)


def test_a_study_that_takes_tickets_needs_the_folder_of_their_run():
    study = Study("dcgan-shared", "cifar10", "transfer", source=Study("vae", "cifar10"))
    with pytest.raises(SettingError, match="`source` is required"):
        SCALE.config(study)
    config = SCALE.config(study, "runs/vae")
    assert (config.method.source, config.method.rounds) == ("runs/vae", None)
    assert config.arms == ("winning", "transferred", "random")


def test_an_option_that_the_model_has_not_is_refused():
    scale = Scale("s", "", SCALE.data, (0,), 1, (1,), {"vae": {"wings": 2}})
    config = scale.config(Study("vae", "cifar10"))
    with pytest.raises(SettingError, match="no option 'wings'"):
        config.card.resolved_options(recipe_of(config).network)
