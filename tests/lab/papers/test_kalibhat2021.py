"""The cards of the paper: whole, of one name each, and such that every scale can make them."""

import collections

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab import METHODS, MODELS
from tf_tickets.lab.papers import PAPERS, Study
from tf_tickets.lab.papers.exhibits import Costs, Curves
from tf_tickets.lab.papers.paper import studies_of
from tf_tickets.lab.prepared import prepare, recipe_of

PAPER = PAPERS["kalibhat2021"]


def test_every_figure_and_table_is_there_once():
    names = [exhibit.name for exhibit in PAPER.exhibits]
    figures = [f"figure-{n}" for n in (*range(1, 9), *(f"a{n}" for n in range(1, 8)))]
    of_a8 = [f"figure-a8-{data}" for data in ("mnist", "cifar10", "celeb-a")]
    assert sorted(names) == sorted([*figures, *of_a8, "table-1", "table-2"])


def test_claims_have_names_of_their_own_and_need_no_study_that_no_exhibit_has():
    names = collections.Counter(claim.name for claim in PAPER.claims)
    assert len(names) >= 10 and max(names.values()) == 1
    drawn = {study for exhibit in PAPER.exhibits for study in exhibit.studies}
    costs = {exhibit.name for exhibit in PAPER.exhibits if isinstance(exhibit, Costs)}
    for claim in PAPER.claims:
        assert set(claim.studies) <= drawn, claim.name
        assert (claim.costs in costs) == (not claim.studies), claim.name


def test_the_exhibits_that_decide_a_claim_have_its_runs_and_no_more_than_it_takes():
    for claim in PAPER.claims:
        deciding = PAPER.deciding(claim)
        assert set(claim.studies) <= {s for each in deciding for s in each.studies}, claim.name
        assert len(deciding) <= 2, claim.name
    (late,) = [claim for claim in PAPER.claims if claim.name == "late-rewinding"]
    assert [each.name for each in PAPER.deciding(late)] == ["figure-3"]


@pytest.mark.parametrize("scale", PAPER.scales, ids=lambda scale: scale.name)
def test_a_scale_can_make_every_study(scale):
    for study in studies_of(PAPER.exhibits):
        if study.source is None:  # which has a folder only when it was made
            config = scale.config(study)
            assert (config.model, config.seeds) == (study.model, scale.seeds)
            assert config.dataset == scale.data[study.dataset].dataset


def test_what_is_trained_and_how_it_is_pruned_fits_into_the_shortest_trainings():
    kinds = {}
    for study in studies_of(PAPER.exhibits):
        if study.source is None:
            kinds.setdefault((study.model, study.dataset, study.way), study)
    assert len(kinds) > 20
    for study in kinds.values():
        assert prepare(PAPER.scale("smoke").config(study)).config.seeds == (0, 1)


def test_the_smallest_scale_has_rounds_of_the_sparsities_that_claims_are_about():
    scale = PAPER.scale("smoke")
    ends = {}
    for study in studies_of(claim for claim in PAPER.claims):
        if study.source is None:
            method = scale.config(study).method
            ends[study.model, study.dataset] = 1 - (1 - method.rate) ** method.rounds
    assert ends["sngan", "cifar10"] == pytest.approx(0.892, abs=1e-3)
    assert ends["resnet-vae", "cifar10"] == pytest.approx(0.931, abs=1e-3)
    assert ends["conv-ae", "celeb_a"] == pytest.approx(0.985, abs=1e-3)


def test_studies_that_differ_are_different_runs():
    own = [study for study in studies_of(PAPER.exhibits) if study.source is None]
    for scale in PAPER.scales:
        configs = collections.Counter(str(scale.config(study).to_dict()) for study in own)
        assert max(configs.values()) == 1


def test_the_papers_scale_has_the_papers_networks_rounds_and_seeds():
    scale = PAPER.scale("paper")
    for study, _ in next(e for e in PAPER.exhibits if e.name == "table-1").found:
        config = scale.config(study)
        assert recipe_of(config).network == {}  # the paper's size
        assert (config.method.rounds, len(config.seeds)) == (20, 5)
        assert config.method.all_rounds
        assert MODELS[study.model].paper_params


def test_a_component_alone_is_drawn_beside_both_on_the_same_axes():
    for name in ("figure-4", "figure-5", "figure-6"):
        exhibit = next(e for e in PAPER.exhibits if e.name == name)
        assert isinstance(exhibit, Curves)
        for panel in exhibit.panels:
            both, random, *alone = panel.curves
            assert (both.arm, random.arm, both.study) == ("winning", "random", random.study)
            components = MODELS[both.study.model].family.components
            assert [dict(c.study.options)["component"] for c in alone] == list(components)


def test_tickets_are_transferred_from_a_study_that_is_made_first():
    studies = studies_of([e for e in PAPER.exhibits if e.name == "figure-8"])
    assert [study.source is None for study in studies] == [True, True, False, False]
    assert {study.source for study in studies[2:]} == set(studies[:2])


def test_unknown_names_are_refused_with_those_that_there_are():
    with pytest.raises(SettingError, match=r"has no 'figure-99'. Choose among: figure-1, "):
        PAPER.chosen(["figure-99"])
    with pytest.raises(SettingError, match=r"no scale 'huge'. Choose among: smoke, "):
        PAPER.scale("huge")
    assert PAPER.chosen([]) == list(PAPER.exhibits)
    assert [e.name for e in PAPER.chosen(["table-2", "figure-1"])] == ["table-2", "figure-1"]


def test_a_study_says_what_it_is():
    study = Study("vae", "mnist").but(rewind_step=0, component="encoder")
    assert str(study) == "vae on mnist, imp, component encoder, rewind_step 0"
    assert study.but(rewind_step=0) == study and study.but(rewind_step=5) != study
    assert str(Study("vae", "mnist", way="snip")) == "vae on mnist, snip"
    assert all(study.method in METHODS for study in studies_of(PAPER.exhibits))
