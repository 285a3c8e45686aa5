import io
import types

import pytest
import rich.console

from tf_tickets.lab.show import tables
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import judge


def record(seed, number, arm, value, steps=(30,)):
    """Make a record whose training was evaluated at these steps, and was as good at all of them."""
    return {
        "seed": seed,
        "round": number,
        "arm": arm,
        "weight_sparsity": 1 - 0.8**number,
        "kept": round(1000 * 0.8**number),
        "metrics": {"loss": value},
        "curve": [{"step": step, "metrics": {"loss": value}} for step in steps],
    }


@pytest.fixture
def records():
    """Dense 10; round 1 wins, round 2 only matches, round 3 is worse than dense."""
    values = {1: (9.0, 15.0), 2: (10.5, 10.5), 3: (20.0, 30.0)}
    made = []
    for seed in range(5):
        made.append(record(seed, 0, "dense", 10 + seed / 10))
        for number, (winning, random) in values.items():
            made.append(record(seed, number, "winning", winning + seed / 11))
            made.append(record(seed, number, "random", random + seed / 10))
    return made


@pytest.fixture
def watched():
    """Two seeds of one round in three arms, evaluated up to step 30; random is never near dense."""
    begins = {"dense": 10, "winning": 20, "transferred": 10, "random": 30}
    values = {"dense": 10.0, "winning": 10.4, "transferred": 9.0, "random": 20.0}
    return [
        record(seed, int(arm != "dense"), arm, values[arm] + seed, tuple(range(begin, 31, 10)))
        for seed in range(2)
        for arm, begin in begins.items()
    ]


def shown(records, metric="loss", arm="winning", tolerance=0.1):
    has_tests = all("test_metrics" in record for record in records)
    tested = judge(records, metric, tolerance, arm=arm, of="test_metrics") if has_tests else None
    run = types.SimpleNamespace(
        records=Records(records),
        metric=metric,
        verdict=judge(records, metric, tolerance, arm=arm),
        tested=tested,
    )
    return tables.tables(run)


def text_of(made, width=100):
    written = io.StringIO()
    rich.console.Console(file=written, width=width).print(*made, sep="\n")
    return written.getvalue()


def test_the_table_has_a_row_for_each_round_with_its_gap_and_its_verdict(records):
    (table,) = shown(records)
    verdict = judge(records, "loss")
    dense, first, second, third = table.rows
    assert table.columns == ("round", "sparsity", "kept", "winning", "random", "% worse", "p", "")
    assert dense == ("0", "0.00 %", "1,000", "10.2 ± 0.16", "", "", "", "dense")
    assert first[:5] == ("1", "20.00 %", "800", "9.182 ± 0.14", "15.2 ± 0.16")
    fractions = [
        100 * verdict.fraction(x)
        for x in (verdict.comparisons[0].gap, verdict.comparisons[0].gap_bound)
    ]
    assert first[5] == "{:+.1f} ≤ {:+.1f}".format(*fractions)
    assert first[6] == f"{verdict.comparisons[0].p:.0e}" and first[7] == "winning ticket"
    assert (second[6], second[7]) == (f"{verdict.comparisons[1].p:.2g}", "matches")
    assert third[5].startswith("+97.") and third[6:] == ("", "")
    assert "at most 10 %, our choice, not the paper's" in table.caption
    assert "upper 96 % bound" in table.caption


def test_a_candidate_is_called_so_and_one_seed_has_no_bound(records):
    (table,) = shown([r for r in records if r["seed"] == 0])
    assert table.rows[1][5:] == ("-10.0", "", "candidate")


def test_the_table_of_two_arms_fits_a_terminal(records):
    wide = [
        {**r, "kept": 5_713_731, "metrics": {"loss": 0.012345 + r["seed"] / 500}} for r in records
    ]
    for r in wide:
        r["test_metrics"] = r["metrics"]
    assert "…" not in text_of(shown(wide))


def test_without_a_random_arm_its_column_is_left_out(records):
    (table,) = shown([r for r in records if r["arm"] != "random"])
    assert table.columns[3:-3] == ("winning",)
    assert table.rows[1][-2:] == ("", "matches")


def test_test_images_have_a_table_with_what_they_say_of_rounds_that_others_chose(records):
    for r in records:
        r["test_metrics"] = {"loss": r["metrics"]["loss"] * (2 if r["round"] == 1 else 1)}
    _, table = shown(records)
    assert table.columns == ("round", "winning", "random", "% worse", "p", "")
    assert table.rows[0] == ("0", "10.2 ± 0.16", "", "", "", "dense")
    assert table.rows[1][1:3] == ("18.36 ± 0.29", "30.4 ± 0.32")
    assert table.rows[1][3].startswith("+80.") and table.rows[1][5] == "winning ticket"
    assert "test images" in table.title and all(row[4] for row in table.rows[1:])


def test_trainings_that_collapsed_are_counted(records):
    for r in records:
        if (r["arm"], r["seed"], r["round"]) == ("winning", 1, 2):
            r.update(metrics={}, curve=[], collapsed="a weight is NaN")
    (table,) = shown(records)
    assert table.rows[2][3] == "10.7 ± 0.16 4/5"
    assert table.rows[2][7] == ""
    assert table.caption.endswith("4/5: only 4 of 5 seeds have a value.")


def test_trainings_that_were_watched_get_a_table_of_where_to_stop(watched):
    main, stops = shown(watched, arm="transferred", tolerance=1.0)
    assert stops.columns[2:] == ("winning", "transferred", "random")
    assert stops.rows[0] == ("0", "0.00 %", "10 ± 0 dense", "", "")
    assert stops.rows[1] == ("1", "20.00 %", "20 ± 0", "10 ± 0", "0/2")
    assert "within 5 % of dense's last loss" in stops.title
    assert main.columns[5:8] == ("% worse", "than own", "p")
    assert main.rows[1][6].startswith("≤ ") and "the model's own" in main.caption


def test_three_arms_fit_the_width_that_scripts_print(watched):
    wide = [
        {
            **r,
            "kept": 6_512_196,
            "metrics": {"loss": 1234.56 + 7.7 * r["seed"]},
            "curve": [
                {"step": step, "metrics": {"loss": 1234.56}}
                for step in (97_655 + 11 * r["seed"],) * 2
            ],
        }
        for r in watched
    ]
    printed = text_of(shown(wide, arm="transferred"), width=110)
    # In each table one in the title, one of dense and three of the round.
    assert "…" not in printed and printed.count("±") == 2 * (1 + 1 + 3)
    assert max(map(len, printed.splitlines())) <= 110


def test_a_user_has_the_tables_of_records_of_their_own_in_whatever_order(records):
    verdict = judge(records, "loss")
    made = tables.rounds_table(records, verdict, "loss")
    assert made == tables.rounds_table(records[::-1], judge(records[::-1], "loss"), "loss")
    assert made.rows[1][3:5] == ("9.182 ± 0.14", "15.2 ± 0.16")
    assert {len(row) for row in made.rows} == {len(made.columns)}
    stops = tables.early_stopping_table(records, verdict, "loss")
    assert stops.rows[1] == ("1", "20.00 %", "30 ± 0", "0/5")


def test_markdown_has_the_cells_of_the_table_and_its_caption_below():
    table = tables.Table("title", ("", "loss"), (("dense", "1.5"), ("imp", "2")), "1.5 of what?")
    assert table.markdown() == (
        "|  | loss |\n| --- | --- |\n| dense | 1.5 |\n| imp | 2 |\n\n1.5 of what?\n"
    )
    assert tables.Table("title", ("loss",), (("1",),)).markdown() == "| loss |\n| --- |\n| 1 |\n"
