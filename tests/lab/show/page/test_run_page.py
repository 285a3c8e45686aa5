import re

import altair
import pytest

from tests.lab.show.page import run_folder
from tf_tickets.errors import FileError
from tf_tickets.lab.methods import IterativeMagnitude
from tf_tickets.lab.show.page import document, page_of, write_page
from tf_tickets.lab.show.page.document import Drawing


@pytest.fixture(autouse=True)
def no_scripts(monkeypatch):
    """Let pages hold a word in place of Vega, which takes seconds to put together."""
    monkeypatch.setattr(document, "vega", lambda: "VEGA")


def titles(page):
    return [section.title for section in page.sections]


def drawings(page):
    parts = (part for section in page.sections for part in section.parts)
    return {part.name: part.spec for part in parts if isinstance(part, Drawing)}


def parameter(spec, name):
    return next(each for each in spec["params"] if each["name"] == name)


def test_a_page_tells_all_of_a_run(tmp_path):
    run = run_folder.make_run(tmp_path, change=run_folder.with_tests)
    path, page = write_page(run), page_of(run)
    assert path == tmp_path / "page.html" and path.stat().st_size < 500_000
    text = path.read_text()
    assert titles(page) == [
        *("What was found", "The metric against sparsity", "Numbers", "Images by sparsity"),
        *("Sparsity by layer", "Training curves", "Protocol", "Departures from the papers"),
        *("Settings", "Costs", "The command that repeats it"),
    ]
    assert "Lottery tickets: VAE on scikit-learn&#39;s digits" in text
    for table in ("Fcd by round", "Fcd on test images", "All metrics", "Costs of trainings"):
        assert f"<span>{table}" in text
    assert text.count("<img") == 1 + 1 + 3 * 2  # real, dense, and two arms of each round
    # Words of options become flags, and words stay words.
    assert "As --skip-dense does &lt;b&gt;not&lt;/b&gt; (code)." in text
    assert "python scripts/find_tickets.py --model vae --rounds 3 --seeds 0 1 2" in text
    assert "Made on 2 cores (a processor), one thread a training, float32" in text
    assert str(tmp_path) not in text


def test_the_charts_of_a_page_are_those_of_the_schema_of_vega_lite(tmp_path):
    run = run_folder.early_bird(tmp_path)
    for spec in drawings(page_of(run)).values():
        altair.Chart.from_dict(spec, validate=True)


def test_the_lead_is_one_sentence_with_an_interval_that_ends_at_the_bound(tmp_path):
    run = run_folder.make_run(tmp_path, seeds=5)
    lead, found = page_of(run).lead, run.verdict.winner
    low, high = 2 * found.gap - found.gap_bound, found.gap_bound
    assert lead.startswith("Winning ticket: round 3, 48.80 % of the weights removed (5 seeds;")
    ends = [f"{abs(100 * run.verdict.fraction(end)):.1f} %" for end in (low, high)]
    assert re.search(rf"\(92 % interval: {ends[0]} \w+ to {ends[1]} \w+\)\.$", lead)
    assert lead.count(". ") == 0


def test_one_seed_has_a_page_without_an_interval(tmp_path):
    run = run_folder.make_run(tmp_path, seeds=1)
    page = page_of(run)
    assert page.lead.startswith("Candidate") and "than that of dense." in page.lead
    assert page.html()


def test_without_a_ticket_the_lead_says_how_near_it_came(tmp_path):
    run = run_folder.make_run(tmp_path, arms=("winning",))
    lead = page_of(run).lead
    assert lead.startswith("Without the random arm no ticket can be said to win")
    assert f"of the ticket of round {run.chosen.round}, " in lead and "the fcd is" in lead


def test_trainings_that_collapsed_have_a_page(tmp_path):
    run = run_folder.make_run(tmp_path, change=run_folder.collapse)
    page = page_of(run)
    assert "without 2, whose dense training collapsed" in page.lead
    points = drawings(page)["metric"]["datasets"]["points"]
    few = {
        (p["curve"], p["round"]) for p in points if p["known"] < p["seeds"] and p["metric"] == "fcd"
    }
    assert few == {("dense", 0), ("random", 2), ("winning", 3)}
    assert page.html()


def test_a_run_whose_dense_trainings_all_collapsed_is_refused(tmp_path):
    def change(record):
        if record["arm"] == "dense":
            record.update(metrics={}, curve=[], collapsed="a weight is NaN")

    run = run_folder.make_run(tmp_path, change=change)
    with pytest.raises(FileError, match=r"nothing to show: .* a weight is NaN"):
        write_page(run)


def test_early_bird_tickets_are_shown_by_their_channels(tmp_path):
    run = run_folder.early_bird(tmp_path)
    page = page_of(run)
    assert "When the masks settled" in titles(page)
    shown = drawings(page)
    assert "channels" in shown["layers"]["description"] and "distances" in shown
    labels = [p["bind"]["name"] for p in shown["metric"]["params"] if p["name"] == "show_1"]
    assert labels == ["early-bird: slim, trained on"]


def test_transferred_tickets_are_told_with_their_source(tmp_path):
    run = run_folder.transferred(tmp_path)
    page = page_of(run)
    assert page.title == "Lottery tickets: DCGAN on scikit-learn's digits, with tickets of VAE"
    assert "transferred ticket" in page.lead
    assert "transfer_ticket.py" in page.html()


def test_a_metric_of_a_gan_without_a_direction_says_none(tmp_path):
    run = run_folder.make_run(tmp_path, model="dcgan")
    spec = drawings(page_of(run))["metric"]
    assert "discriminator_loss" in parameter(spec, "metric")["bind"]["options"]
    assert '"Discriminator loss", "loss"]' in str(spec["title"])


def test_where_higher_is_better_the_page_says_so(tmp_path):
    run = run_folder.make_run(tmp_path, metric="classifier_score")
    page = page_of(run)
    assert "higher is better" in str(drawings(page)["metric"]["title"])
    assert "higher is better" in page.html()


def test_trainings_that_were_not_watched_have_no_curves(tmp_path):
    run = run_folder.make_run(tmp_path, evaluations=1)
    page = page_of(run)
    assert "Training curves" not in titles(page)
    assert (
        "early_stopping_step"
        not in parameter(drawings(page)["metric"], "metric")["bind"]["options"]
    )


def test_a_run_without_its_stages_has_a_page_of_its_records(tmp_path):
    run = run_folder.make_run(tmp_path)
    for file in [*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.png")]:
        file.unlink()
    page = page_of(run)
    left = titles(page)
    assert "Images by sparsity" not in left and "Sparsity by layer" not in left
    assert "Numbers" in left and page.html()


def test_figures_of_cards_of_ones_own_are_shown_and_others_only_without_scripts(
    tmp_path, monkeypatch
):
    from tf_tickets.lab.show.figures import FIGURES, Figure

    monkeypatch.setattr(FIGURES, "_cards", dict(FIGURES._cards))
    FIGURES.add(Figure("my_figure", lambda run: True, lambda run, path: None))
    run = run_folder.make_run(tmp_path)
    strip = (tmp_path / "real.png").read_bytes()
    for name in ("my_figure", "fcd"):
        (tmp_path / "figures" / f"{name}.png").write_bytes(strip)
    text = page_of(run).html()
    outside = re.sub(r"<noscript>.*?</noscript>", "", text, flags=re.DOTALL)
    alts = re.findall(r'alt="([^"]*)"', outside)
    assert "The figure my figure of this run." in alts
    assert not any("against the fraction" in alt for alt in alts)
    assert text.count("Fréchet classifier distance against the fraction") == 2  # chart, and PNG


def test_a_long_run_of_five_seeds_is_small(tmp_path):
    method = IterativeMagnitude(rounds=20, all_rounds=True)
    run = run_folder.make_run(
        tmp_path, rounds=20, seeds=5, evaluations=10, method=method, change=run_folder.with_tests
    )
    vega = 900_000
    assert write_page(run).stat().st_size + vega < 2_000_000
