import re

import pytest

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.lab.commands import results
from tf_tickets.lab.methods import MagnitudeAtInit

PAGE = "# Results\n\nBefore.\n\n<!-- run: small -->\nold\n<!-- end -->\n\nAfter.\n"


def test_only_what_stands_between_the_marks_is_made_anew():
    page = results.filled(PAGE, {"small": "new\n"})
    assert page == PAGE.replace("\nold\n", "\n\nnew\n\n")


def test_a_block_without_a_place_is_refused():
    with pytest.raises(SettingError, match="<!-- run: other -->"):
        results.filled(PAGE, {"other": "new"})


@pytest.mark.slow
def test_a_run_is_told_by_its_command_machine_verdict_tables_and_figures(
    cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))
    run = small_run(tmp_path)
    images = results.copied_figures(run, "small", tmp_path / "images")
    block = results.block_of(run, images)
    assert block.startswith("    python scripts/find_tickets.py --model linear-ae")
    told = " ".join(block.split())
    assert re.search(r"Made on \d+ cores \(.*\), .* a training, float32, with TensorFlow", told)
    numbers = [r["metrics"][run.metric] for r in run.records.where(arm="dense")]
    assert f"{sum(numbers) / len(numbers):.4g}" in block
    for address in images.values():
        assert f"]({address})" in block and (tmp_path / address).exists()
    assert str(run.path) not in block


def test_a_long_command_is_broken_before_a_flag(monkeypatch):
    monkeypatch.setattr(results, "read_config", lambda path: path)
    monkeypatch.setattr(results, "command_of", lambda _: "python x " + "--flag value " * 12)
    lines = results.command_lines("run").splitlines()
    assert len(lines) == 2 and max(map(len, lines)) <= 100
    assert lines[0].endswith(" \\") and lines[1].lstrip().startswith("--flag value")


def small_run(tmp_path):
    config = tt.lab.RunConfig(
        "linear-ae",
        MagnitudeAtInit(rounds=1),
        tt.lab.Data(limit=64),
        tt.lab.Training(epochs=1),
        seeds=(0,),
    )
    return tt.lab.run(config, tmp_path)
