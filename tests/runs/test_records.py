import json
import subprocess
import sys

import numpy as np
import pytest

from tf_tickets.errors import FileError, SettingError
from tf_tickets.runs.records import Records, collapsed, deviation, mean, read_results

VALUES = {  # (round, arm) -> one value for each seed
    (0, "dense"): (1.0, 2.0, 6.0),
    (1, "winning"): (2.0, 4.0, 9.0),
    (1, "random"): (5.0, 5.0, 5.0),
    (2, "winning"): (0.0, 1.0, 2.0),
}


@pytest.fixture
def made():
    return [
        {
            "seed": seed,
            "round": number,
            "arm": arm,
            "weight_sparsity": 1 - 0.8**number,
            "metrics": {"loss": values[seed], "score": -values[seed]},
            "best": {"loss": 10 * seed},
        }
        for seed in (2, 0, 1)
        for (number, arm), values in VALUES.items()
    ]


def test_records_are_a_sequence_that_equals_a_list_of_the_same_dicts(made):
    records = Records(made)
    assert records == made and made == records and records == Records(iter(made))
    assert records != made[1:] and records != tuple(made)
    assert len(records) == 12 and records[0] is made[0] and records[-1] is made[-1]
    assert isinstance(records[2:4], Records) and records[2:4] == made[2:4]
    assert [*records, {}] == [*made, {}] and made[3] in records
    assert not Records() and Records(made)


def test_records_are_not_changed_by_changing_the_list(made):
    records = Records(made)
    del made[0]
    assert len(records) == 12


def test_where_takes_those_whose_fields_all_have_these_values(made):
    found = Records(made).where(arm="winning", round=1)
    assert found.field("seed") == [2, 0, 1]
    assert found.values("loss") == [9.0, 2.0, 4.0]
    assert Records(made).where(seed=0, arm="dense") == [made[4]]
    assert not Records(made).where(channel_sparsity=0.5)
    assert Records(made).where() == made


def test_groups_come_in_the_order_of_their_values_and_lose_nobody(made):
    records = Records(made[::-1])
    rounds = records.by("round")
    assert list(rounds) == [0, 1, 2]
    assert [len(group) for group in rounds.values()] == [3, 6, 3]
    assert rounds[1].field("seed") == [1, 1, 0, 0, 2, 2], "in the order of the records"
    pairs = records.by("round", "arm")
    assert list(pairs) == [(0, "dense"), (1, "random"), (1, "winning"), (2, "winning")]
    assert pairs[1, "random"] == records.where(round=1, arm="random")
    assert Records().by("round") == {}


def test_mean_and_deviation_are_those_over_the_seeds(made):
    for (number, arm), values in VALUES.items():
        group = Records(made).where(round=number, arm=arm)
        assert group.mean("loss") == pytest.approx(np.mean(values))
        assert group.deviation("loss") == pytest.approx(np.std(values, ddof=1))
        assert group.mean("score") == -group.mean("loss")
    assert Records(made).mean("loss", of="best") == pytest.approx(10.0)
    assert Records(made).dense.deviation("loss", of="best") == pytest.approx(10.0)


def test_one_value_has_no_deviation_and_none_has_no_mean(made):
    assert Records(made[:1]).mean("loss") == 6.0
    assert Records(made[:1]).deviation("loss") is None
    assert deviation([]) is None and deviation([1.0]) is None and deviation([1.0, 1.0]) == 0.0
    for empty in (lambda: Records().mean("loss"), lambda: mean(iter(()))):
        with pytest.raises(SettingError, match="no record to take a mean of"):
            empty()


def test_what_there_is_can_be_asked_for(made):
    records = Records(made)
    assert records.seeds == (2, 0, 1) and records.num_seeds == 3
    assert records.arms == ("dense", "winning", "random")
    assert Records(made[::-1]).rounds == (0, 1, 2)
    assert records.metrics == ("loss", "score") and Records().metrics == ()
    assert records.dense == [made[0], made[4], made[8]]
    assert records.field("weight_sparsity")[:2] == [0.0, pytest.approx(0.2)]


def test_what_there_is_not_is_named_with_what_there_is(made):
    records = Records(made)
    with pytest.raises(SettingError, match=r"no metric 'fid'\. Choose one of: loss, score\."):
        records.values("fid")
    with pytest.raises(SettingError, match=r"no metric 'score'\. Choose one of: loss\."):
        records.mean("score", of="best")
    with pytest.raises(SettingError, match=r"no field 'kept'\. Choose one of: seed, round, arm"):
        records.by("kept")
    with pytest.raises(SettingError, match="no record of the dense arm"):
        Records(made[1:4]).dense.mean("loss")


def test_the_metric_is_missed_in_any_record(made):
    del made[5]["metrics"]["score"]
    with pytest.raises(SettingError, match="'score'"):
        Records(made).deviation("score")


def test_what_collapsed_without_metrics_is_left_out(made):
    expected = Records(made).where(arm="winning", round=1).values("loss")[1:]
    made[1] |= {"metrics": {}, "collapsed": "Training diverged."}
    left = Records(made).where(arm="winning", round=1)
    assert left.values("loss") == expected
    assert Records(made[1:]).metrics == ("loss", "score")
    assert Records([made[1]]).values("loss") == [] and Records([made[1]]).metrics == ()
    assert [collapsed(each) for each in made[:2]] == [None, "Training diverged."]
    with pytest.raises(SettingError, match="no record to take a mean of"):
        Records([made[1]]).mean("loss")


def test_a_run_folder_has_its_records(made, tmp_path):
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in made))
    records = Records.read(tmp_path)
    assert records == made and isinstance(records, Records)
    assert read_results(tmp_path / "results.jsonl") == records
    with pytest.raises(FileError, match=r"Cannot read .*results\.jsonl"):
        Records.read(tmp_path / "absent")


def test_neither_keras_nor_tensorflow_is_imported_with_the_module():
    code = (
        "import sys, tf_tickets.runs.records, tf_tickets.runs.folder; "
        "print({'keras', 'tensorflow'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.stdout.strip() == "set()", ran.stderr
