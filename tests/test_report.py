import io

import pytest
import rich.console

from tf_tickets import report
from tf_tickets.search.controls import choose_winning_ticket, compare_arms


def record(seed, number, arm, value):
    return {
        "seed": seed,
        "round": number,
        "arm": arm,
        "weight_sparsity": 1 - 0.8**number,
        "kept": round(1000 * 0.8**number),
        "metrics": {"loss": value},
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


def lines_of(table):
    written = io.StringIO()
    rich.console.Console(file=written, width=100).print(table)
    return [line.split() for line in written.getvalue().splitlines() if line.strip()]


def test_the_table_has_a_row_for_each_round_with_its_verdict(records):
    comparisons = compare_arms(records, "loss", 0.1)
    lines = lines_of(report.table(records, comparisons, "loss", choose_winning_ticket(comparisons)))
    dense, first, second, third = lines[-4:]
    assert dense == ["0", "0.00", "%", "1,000", "10.1", "±", "0.1", "dense"]
    assert first[:7] == ["1", "20.00", "%", "800", "9.1", "±", "0.1"]
    assert first[-2:] == ["winning", "ticket"]
    assert second[-1] == "matches"
    assert third[-1] not in ("matches", "wins")


def test_the_table_fits_a_terminal_of_80_columns(records):
    wide = [{**r, "kept": 5_713_731, "metrics": {"loss": 0.012345 + r["seed"]}} for r in records]
    comparisons = compare_arms(wide, "loss", 0.1)
    written = io.StringIO()
    rich.console.Console(file=written, width=84).print(
        report.table(wide, comparisons, "loss", None)
    )
    assert "…" not in written.getvalue()


def test_without_a_random_arm_its_column_stays_empty(records):
    only = [r for r in records if r["arm"] != "random"]
    comparisons = compare_arms(only, "loss", 0.1)
    lines = lines_of(report.table(only, comparisons, "loss", None))
    assert lines[-3][-3:] == ["±", "0.1", "matches"]


def test_where_nothing_wins_the_sparsest_that_matches_is_kept(records):
    comparisons = compare_arms(records, "loss", 0.1)
    assert report.sparsest(comparisons).round == 2
    assert report.sparsest(compare_arms(records, "loss", 0.0)[2:]).round == 3
