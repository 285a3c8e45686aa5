import io
import types

import pytest
import rich.console

from tf_tickets.lab.show import tables
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import choose_winning_ticket, compare_arms


def record(seed, number, arm, value, stops=(30,)):
    """Make a record whose training was evaluated up to step 30, and could stop at `stops[0]`."""
    return {
        "seed": seed,
        "round": number,
        "arm": arm,
        "weight_sparsity": 1 - 0.8**number,
        "kept": round(1000 * 0.8**number),
        "metrics": {"loss": value},
        "curve": [{"step": step, "metrics": {"loss": value}} for step in stops],
        "early_stopping_step": {"loss": stops[0]},
    }


@pytest.fixture
def records():
    """Dense 10; round 1 wins, round 2 only matches, round 3 is worse than dense."""
    values = {1: (9.0, 15.0), 2: (10.5, 10.5), 3: (20.0, 30.0)}
    made = []
    for seed in range(3):
        made.append(record(seed, 0, "dense", 10 + seed / 10))
        for number, (winning, random) in values.items():
            made.append(record(seed, number, "winning", winning + seed / 10))
            made.append(record(seed, number, "random", random + seed / 10))
    return made


@pytest.fixture
def watched():
    """Two seeds of one round in three arms, evaluated at 10, 20 and 30 steps."""
    stops = {"dense": 10, "winning": 20, "transferred": 10, "random": 30}
    values = {"dense": 10.0, "winning": 11.0, "transferred": 9.0, "random": 20.0}
    return [
        record(seed, int(arm != "dense"), arm, values[arm] + seed, tuple(range(stop, 31, 10)))
        for seed in range(2)
        for arm, stop in stops.items()
    ]


def shown(records, comparisons, metric, winner):
    run = types.SimpleNamespace(
        records=Records(records), comparisons=comparisons, metric=metric, winner=winner
    )
    return tables.tables(run)


def text_of(made, width=110):
    written = io.StringIO()
    rich.console.Console(file=written, width=width).print(*made, sep="\n")
    return written.getvalue()


def lines_of(table):
    return [line.split() for line in text_of([table]).splitlines() if line.strip()]


def test_the_table_has_a_row_for_each_round_with_its_verdict(records):
    comparisons = compare_arms(records, "loss", 0.1)
    (table,) = shown(records, comparisons, "loss", choose_winning_ticket(comparisons))
    dense, first, second, third = lines_of(table)[-4:]
    assert dense == ["0", "0.00", "%", "1,000", "10.1", "±", "0.1", "dense"]
    assert first[:7] == ["1", "20.00", "%", "800", "9.1", "±", "0.1"]
    assert first[-2:] == ["winning", "ticket"]
    assert second[-1] == "matches"
    assert third[-1] not in ("matches", "wins")


def test_the_table_of_two_arms_fits_a_narrow_terminal(records):
    wide = [{**r, "kept": 5_713_731, "metrics": {"loss": 0.012345 + r["seed"]}} for r in records]
    comparisons = compare_arms(wide, "loss", 0.1)
    assert "…" not in text_of(shown(wide, comparisons, "loss", None), width=84)


def test_without_a_random_arm_its_column_is_left_out(records):
    only = [r for r in records if r["arm"] != "random"]
    comparisons = compare_arms(only, "loss", 0.1)
    (table,) = shown(only, comparisons, "loss", None)
    assert table.columns[3:-2] == ("winning",)
    assert lines_of(table)[-3][-3:] == ["±", "0.1", "matches"]


def test_trainings_that_were_watched_get_a_table_of_where_to_stop(watched):
    comparisons = compare_arms(watched, "loss", 0.1, arm="transferred")
    main, stops = shown(watched, comparisons, "loss", choose_winning_ticket(comparisons))
    assert stops.columns[2:] == ("winning", "transferred", "random")
    dense, first = lines_of(stops)[-2:]
    assert dense == ["0", "0.00", "%", "10", "±", "0", "dense"]
    assert first == ["1", "20.00", "%", *"20 ± 0 10 ± 0 30 ± 0".split()]
    assert lines_of(main)[-1][-2:] == ["winning", "ticket"]


def test_three_arms_fit_the_width_that_scripts_print(watched):
    wide = [
        {
            **r,
            "kept": 6_512_196,
            "metrics": {"loss": 1234.56 + 7.7 * r["seed"]},
            "early_stopping_step": {"loss": 97_655 + 11 * r["seed"]},
        }
        for r in watched
    ]
    comparisons = compare_arms(wide, "loss", 0.1, arm="transferred")
    printed = text_of(shown(wide, comparisons, "loss", comparisons[0]))
    # In each table one in the title, one of dense and three of the round.
    assert "…" not in printed and printed.count("±") == 2 * (1 + 1 + 3)
    assert max(map(len, printed.splitlines())) <= 110


def test_a_user_has_the_tables_of_records_of_their_own_in_whatever_order(records):
    comparisons = compare_arms(records, "loss", 0.1)
    made = tables.rounds_table(records, comparisons, "loss", None)
    assert made == tables.rounds_table(records[::-1], comparisons, "loss", None)
    assert made.columns == ("round", "sparsity", "kept", "winning", "random", "p", "")
    assert made.rows[1][3:5] == ("9.1 ± 0.1", "15.1 ± 0.1")
    assert {len(row) for row in made.rows} == {len(made.columns)}
    stops = tables.early_stopping_table(records, comparisons, "loss")
    assert stops.rows[1] == ("1", "20.00 %", "30 ± 0", "30 ± 0")


def test_markdown_has_the_cells_of_the_table_and_its_caption_below():
    table = tables.Table("title", ("", "loss"), (("dense", "1.5"), ("imp", "2")), "1.5 of what?")
    assert table.markdown() == (
        "|  | loss |\n| --- | --- |\n| dense | 1.5 |\n| imp | 2 |\n\n1.5 of what?\n"
    )
    assert tables.Table("title", ("loss",), (("1",),)).markdown() == "| loss |\n| --- |\n| 1 |\n"
