import re

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.commands import results
from tf_tickets.lab.run_view import Run

PAGE = "# Results\n\nBefore.\n\n<!-- run: small -->\nold\n<!-- end -->\n\nAfter.\n"


def test_only_what_stands_between_the_marks_is_made_anew():
    page = results.filled(PAGE, {"small": "new\n"})
    assert page == PAGE.replace("\nold\n", "\n\nnew\n\n")


def test_a_block_without_a_place_is_refused():
    with pytest.raises(SettingError, match="<!-- run: other -->"):
        results.filled(PAGE, {"other": "new"})


def test_a_run_is_told_by_its_command_machine_verdict_tables_and_figures(vae_run, tmp_path):
    run = Run.open(vae_run.path)
    images = results.copied_figures(run, "small", tmp_path / "images")
    block = results.block_of(run, images)
    assert block.startswith("    python scripts/find_tickets.py --model vae")
    assert re.search(r"Made on \d+ cores \(.*\), one thread a training, float32, with TF?", block)
    numbers = [r["metrics"][run.metric] for r in run.records.where(arm="dense")]
    assert f"{sum(numbers) / len(numbers):.4g}" in block
    for address in images.values():
        assert f"]({address})" in block and (tmp_path / address).exists()
    assert str(run.path) not in block
