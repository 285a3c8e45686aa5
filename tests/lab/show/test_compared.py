"""Ways side by side: the cells of both tables, and the files."""

import io
import json

import pytest
import rich.console

from tests.lab.show.small_comparison import row
from tf_tickets.lab.comparison import with_tests
from tf_tickets.lab.show.compared import comparison_tables, write_comparison


def rows():
    return with_tests(
        [
            row("unpruned", arm="dense", values=(10.0, 20.0, 12.0)),
            row("imp", 0.5, values=(20.0, 40.0, 25.0), search_flops=1234.0, draw_seconds=1.5),
            row("early-bird", 0.51, values=(9.0, 21.0), asked_sparsity=0.5, num_collapsed=1),
            row("early-bird", 0.51, "random", (11.0, 18.0, 12.0), asked_sparsity=0.5),
        ]
    )


def cells(table, number):
    return dict(zip(table.columns, table.rows[number], strict=True))


def test_what_tickets_are_worth_stands_with_the_test_of_each_row():
    worth, _ = comparison_tables(rows(), "fcd")
    assert worth.title == "fcd on test images, mean ± standard deviation of 3 seeds"
    assert cells(worth, 0) == {
        **{"": "unpruned", "asked": "0.0 %", "sparsity": "0.0 %", "fcd": "14 ± 5.3"},
        **{"ratio": "", "95 % interval": "", "p": "", "Holm": ""},
    }
    imp = rows()[1]
    assert cells(worth, 1)["ratio"] == "2.03"
    assert cells(worth, 1)["95 % interval"] == f"{imp.change.low:.3g} to {imp.change.high:.3g}"
    assert float(cells(worth, 1)["p"]) == pytest.approx(imp.change.p, rel=0.1)
    assert float(cells(worth, 1)["Holm"]) == pytest.approx(3 * imp.change.p, rel=0.1)
    assert cells(worth, 2)["fcd"] == "15 ± 8.5, 1 collapsed"
    assert (cells(worth, 2)["asked"], cells(worth, 2)["sparsity"]) == ("50.0 %", "51.0 %")
    assert "paired t test of the logarithms" in worth.caption and "3 tests" in worth.caption
    assert cells(worth, 3)[""] == "its random control" and "fresh weights" in worth.caption


def test_what_tickets_cost_stands_apart():
    _, costs = comparison_tables(rows(), "fcd")
    assert cells(costs, 1) == {
        **{"": "imp", "sparsity": "50.0 %", "weights": "1,000", "FLOPs": "50 (-50 %)"},
        **{"search": "1.23e+03", "s": "30.0 (-50 %)", "draw": "1.5", "trace": "2.0"},
        "evaluate": "",
    }
    assert cells(costs, 0)["FLOPs"] == "100" and cells(costs, 0)["draw"] == ""


def test_differences_and_one_seed_are_called_so():
    made = with_tests([row("unpruned", values=(-1.0,)), row("imp", 0.5, values=(1.5,))])
    worth, _ = comparison_tables(made, "loss")
    assert cells(worth, 1)["difference"] == "+2.5"
    assert cells(worth, 1)["95 % interval"] == cells(worth, 1)["p"] == ""
    assert worth.title.endswith("one seed") and "t test" not in worth.caption


def test_the_longest_names_fit_a_file_of_110_columns():
    long = [
        row("unpruned", arm="dense", weights=5651584.0, training_flops=1.8e16, seconds=1825.0),
        row("early-bird-global", 0.488, weights=5651584.0, training_flops=1.2e16, seconds=1e4),
    ]
    out = io.StringIO()
    console = rich.console.Console(width=110, file=out)
    for table in comparison_tables(with_tests(long), "reconstruction_loss"):
        console.print(table)
    assert "early-bird-global" in out.getvalue() and "…" not in out.getvalue()


def test_the_files_hold_both_tables_and_every_number(tmp_path):
    write_comparison(tmp_path, rows(), "fcd", "a model on images")
    written = (tmp_path / "compare.md").read_text()
    assert "| early-bird | 50.0 % | 51.0 % |" in written and "| 30.0 (-50 %) |" in written
    content = json.loads((tmp_path / "compare.json").read_text())
    assert content[1]["values"] == {"0": 20.0, "1": 40.0, "2": 25.0}
    assert content[1]["change"]["p"] == rows()[1].change.p
    assert content[1]["corrected_p"] == rows()[1].corrected_p
    assert [each["tracing_seconds"] for each in content] == [2.0] * 4
    assert (tmp_path / "figures" / "compare.png").exists()
