"""A reproduction with runs that nobody trained: what is made, shared, drawn and judged."""

import dataclasses
import json

import pytest

from tests.lab.show.small_run import make_run
from tf_tickets.lab.config import Data
from tf_tickets.lab.papers import Paper, Scale, Study
from tf_tickets.lab.papers.claims import Claim
from tf_tickets.lab.papers.effects import worse_by
from tf_tickets.lab.papers.exhibits import Curve, Curves, Grid, Panel, Sizes
from tf_tickets.lab.papers.reproduce import reproduce

VAE = Study("vae", "cifar10")
GAN = Study("dcgan-shared", "cifar10")
MOVED = Study("dcgan-shared", "cifar10", "transfer", source=VAE)


def panel(study, arm="random"):
    return Panel(study.model, "fid", (Curve(study, arm, arm, "#777777"),))


def claim(name, study, arm, than, between=(0.5, 1.0)):
    def effects(runs):
        return worse_by((runs[study], arm), (runs[study], than), "fid", between)

    return Claim(name, "It is so.", "Figure 1", "log ratio", effects, (study,))


PAPER = Paper(
    "someone2020",
    "A paper",
    "Someone, 2020",
    (
        Curves("figure-1", "Figure 1", "It rises.", (panel(VAE), panel(GAN))),
        Curves("figure-2", "Figure 2", "It moves.", (panel(MOVED, "transferred"),)),
        Grid("figure-3", "Figure 3", "Images.", VAE),
        Sizes("table-1", "Table 1", "Sizes.", ((VAE, 0.9),)),
    ),
    (
        claim("random-is-worse", VAE, "random", "winning"),
        claim("winning-is-worse", VAE, "winning", "random"),
        claim("of-the-other", GAN, "random", "winning"),
        claim("of-sparsities-that-no-round-has", VAE, "random", "winning", (0.99, 1.0)),
    ),
    (Scale("tiny", "for tests", {"cifar10": Data("digits", 8)}, (0, 1, 2), 6, (1, 2)),),
)


@pytest.fixture
def make(tmp_path):
    """Makes runs of nothing, the last one first, and remembers of which configs."""
    asked = []

    def made(configs, ended):
        asked.append([(config.model, config.method.name) for config in configs])
        runs = [run(config, len(asked), n) for n, config in enumerate(configs)]
        for config, each in reversed(list(zip(configs, runs, strict=True))):
            ended(config, each)
            asked.append(f"made {config.model}")
        return runs

    def run(config, *place):
        arm = config.method.judged_arm
        path = tmp_path / "-".join(map(str, (config.model, *place)))
        found = make_run(path, rounds=6, seeds=3, arm=arm, collapse=4.0, spread=0.01)
        for record in found.records:
            record |= {"network_sparsity": record["weight_sparsity"], "params": 90, "prunable": 80}
        return found

    made.asked = asked
    return made


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_runs_share_a_queue_and_every_exhibit_is_drawn_as_soon_as_its_own_are_whole(make, tmp_path):
    done = reproduce(
        *(PAPER, PAPER.scales[0], PAPER.exhibits, tmp_path, make),
        lambda exhibit: make.asked.append(f"drawn {exhibit.name}"),
    )
    assert make.asked == [
        [("vae", "imp"), ("dcgan-shared", "imp")],
        "made dcgan-shared",
        *("drawn figure-1", "drawn figure-3", "drawn table-1", "made vae"),
        [("dcgan-shared", "transfer")],
        *("drawn figure-2", "made dcgan-shared"),
    ]
    assert list(done.shown) == ["figure-1", "figure-2", "figure-3", "table-1"]
    assert done.folder == tmp_path / "someone2020-tiny"
    assert names(done.folder) == [
        "claims.json",
        *("figure-1.json", "figure-1.png", "figure-2.json", "figure-2.png", "figure-3.png"),
        *("page.html", "table-1.json", "table-1.md"),
    ]


def test_tickets_are_taken_from_the_run_of_their_study(make, tmp_path, monkeypatch):
    configs = []
    record = make

    def made(asked, ended):
        configs.extend(asked)
        return record(asked, ended)

    done = reproduce(PAPER, PAPER.scales[0], PAPER.exhibits[:2], tmp_path, made)
    assert configs[-1].method.source == str(done.runs[VAE].path)


def test_claims_are_judged_by_the_runs_that_are_there(make, tmp_path):
    done = reproduce(PAPER, PAPER.scales[0], PAPER.chosen(["figure-3"]), tmp_path, make)
    answers = {name: found.answer for name, found in done.findings.items()}
    assert answers == {"random-is-worse": "agrees", "winning-is-worse": "does not"}
    kept = json.loads((done.folder / "claims.json").read_text())
    assert {name: found["answer"] for name, found in kept.items()} == answers
    assert kept["random-is-worse"]["low"] > 0


def test_the_numbers_behind_a_figure_stand_beside_it(make, tmp_path):
    done = reproduce(PAPER, PAPER.scales[0], PAPER.chosen(["figure-1"]), tmp_path, make)
    first, _ = json.loads((done.folder / "figure-1.json").read_text())
    (exhibit,) = PAPER.chosen(["figure-1"])
    below = "scale tiny: scikit-learn's digits in place of CIFAR-10"
    assert exhibit.titled(PAPER.scales[0]) == f"Figure 1\n{below}"
    whole = dataclasses.replace(PAPER.scales[0], data={"cifar10": Data("cifar10")})
    assert exhibit.titled(whole) == "Figure 1\nscale tiny"
    assert (first["title"], first["quantity"]) == ("vae", "fcd")  # which stands in for FID
    dense, random = first["lines"]
    assert dense["is_level"] and len(dense["points"]) == 1
    records = done.runs[VAE].records.where(arm="random", round=6)
    assert random["points"][-1]["mean"] == pytest.approx(records.mean("fcd"))


def test_a_table_of_sizes_has_the_papers_numbers_beside_ours(make, tmp_path):
    done = reproduce(PAPER, PAPER.scales[0], PAPER.chosen(["table-1"]), tmp_path, make)
    (row,) = json.loads((done.folder / "table-1.json").read_text())
    assert (row["paper_params"], row["paper_sparsity"], row["params"]) == (5_600_000, 0.9, 90)
    found = done.runs[VAE].verdict.comparison
    assert row["verdict"] == "winning ticket"
    assert row["params_left"] == round(90 - 80 * found.weight_sparsity)
    table = (done.folder / "table-1.md").read_text()
    assert "| vae | cifar10 | 5,600,000 | 90 | 90.0 % |" in table


def test_the_page_has_each_claim_and_each_exhibit_beside_what_the_paper_says(make, tmp_path):
    done = reproduce(PAPER, PAPER.scales[0], PAPER.exhibits, tmp_path, make)
    page = (done.folder / "page.html").read_text()
    assert "Of 3 claims 2 agree with the runs, 1 do not, and 0 are undecided." in page
    for exhibit in PAPER.exhibits:
        assert exhibit.title in page and f"The paper: {exhibit.shows}" in page
    assert page.count('class="drawing') == 3  # a chart for each panel
    assert "python scripts/reproduce.py someone2020 --all --scale tiny" in page
    assert page.count("<h1") == 1
    assert page.count("Command: python scripts/reproduce.py someone2020 ") == 3


def test_a_page_of_some_exhibits_says_which_command_made_it(make, tmp_path):
    done = reproduce(PAPER, PAPER.scales[0], PAPER.chosen(["table-1"]), tmp_path, make)
    page = (done.folder / "page.html").read_text()
    assert "reproduce.py someone2020 table-1 --scale tiny" in page
    assert "Figure 2" not in page
