import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import warnings

import pytest

from tf_tickets import FileError, Records, RunFolder, read_results, read_settings
from tf_tickets.files import write_sealed_json
from tf_tickets.runs.folder import find_run

SETTINGS = {"model": "vae", "rate": 0.2, "seeds": [0, 1]}


def make_stage(run, name, made_from=(), text="weights"):
    with run.stage(name, made_from) as folder:
        (folder / "ticket.safetensors").write_text(text)
        (folder / "result.json").write_text('{"loss": 1.5}')
        (folder / "figures").mkdir()
        (folder / "figures" / "samples.png").write_bytes(b"\x89PNG" + bytes(20))


def flip(path, index=0):
    content = bytearray(path.read_bytes())
    content[index] ^= 1
    path.write_bytes(content)


def test_the_name_is_readable_and_follows_the_settings(tmp_path):
    run = RunFolder.named(tmp_path, "vae-digits", SETTINGS)
    assert run.path.parent == tmp_path
    assert run.path.name.startswith("vae-digits-")
    assert run.path == RunFolder.named(tmp_path, "vae-digits", dict(SETTINGS)).path
    assert run.path != RunFolder.named(tmp_path, "vae-digits", {**SETTINGS, "rate": 0.1}).path
    assert not run.path.exists()


def test_a_stage_is_done_once_it_is_whole(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run, warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not run.is_done("seed-0/round-01/winning")
        make_stage(run, "seed-0/round-01/winning")
        assert run.is_done("seed-0/round-01/winning")
        assert not run.is_done("seed-0/round-01/random")


def test_a_copy_has_the_stages_that_are_done_and_its_own_life(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "seed-0/dense")
        make_stage(run, "seed-0/winning", ["seed-0/dense"])
        left_over = tmp_path / "run" / "seed-0" / ".random.partial"
        left_over.mkdir()
        (left_over / "done.json").write_text("{}")
        with run.copied_to(tmp_path / "copy") as copy:
            assert copy.settings == run.settings and copy.digest == run.digest
            assert copy.is_done("seed-0/winning", ["seed-0/dense"])
            assert not (tmp_path / "copy" / "seed-0" / left_over.name).exists()
            make_stage(copy, "seed-0/random")
            assert copy.digest != run.digest
        assert not run.is_done("seed-0/random")


def test_the_digest_follows_settings_and_stages(tmp_path):
    digests = set()
    for name, settings in (("a", SETTINGS), ("b", SETTINGS), ("c", {**SETTINGS, "rate": 0.1})):
        with RunFolder(tmp_path / name, settings) as run:
            digests.add(run.digest)
    assert len(digests) == 2
    with run:
        make_stage(run, "seed-0/dense", text="some")
        digests.add(run.digest)
        make_stage(run, "seed-0/dense", text="other")
        digests.add(run.digest)
    assert len(digests) == 4


def test_a_stage_that_an_error_broke_off_is_not_done(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        with pytest.raises(KeyError), run.stage("stage") as folder:
            (folder / "ticket.safetensors").write_text("half")
            raise KeyError
        assert not run.is_done("stage")
        assert not list(tmp_path.rglob("ticket*"))


@pytest.mark.parametrize(
    "file", ["ticket.safetensors", "result.json", "figures/samples.png", "done.json"]
)
@pytest.mark.parametrize("index", [0, -3])
def test_a_flipped_bit_is_found_named_and_never_used(tmp_path, file, index):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "good")
        make_stage(run, "bad")
        flip(run.path / "bad" / file, index)
        with pytest.warns(UserWarning, match=rf"bad/{file} is damaged.* bad is made again"):
            assert not run.is_done("bad")
        assert not (run.path / "bad").exists()
        assert run.is_done("good")
        make_stage(run, "bad")
        assert run.is_done("bad")


@pytest.mark.parametrize("file", ["ticket.safetensors", "figures/samples.png", "done.json"])
def test_a_file_that_is_gone_is_found(tmp_path, file):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "stage")
        (run.path / "stage" / file).unlink()
        with pytest.warns(UserWarning, match=f"stage/{file}"):
            assert not run.is_done("stage")
        assert not (run.path / "stage").exists()


def test_a_file_that_was_added_is_found(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "stage")
        (run.path / "stage" / "extra").write_text("?")
        with pytest.warns(UserWarning, match="stage/extra"):
            assert not run.is_done("stage")


def test_a_stage_made_from_stages_that_changed_is_made_again(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "dense")
        make_stage(run, "round-1", ["dense"])
        make_stage(run, "round-2", ["dense", "round-1"])
        assert run.is_done("round-2", ["dense", "round-1"])
        make_stage(run, "round-1", ["dense"], text="other weights")
        assert run.is_done("round-1", ["dense"])
        assert not run.is_done("round-2", ["dense", "round-1"])
        assert not (run.path / "round-2").exists()


def test_a_stage_made_from_other_stages_is_made_again(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "dense")
        make_stage(run, "round-1", ["dense"])
        assert not run.is_done("round-1", [])


def test_the_same_settings_open_the_folder_again(tmp_path):
    for seeds in ([0, 1], (0, 1)):  # JSON knows no tuple
        with RunFolder(tmp_path / "run", {**SETTINGS, "seeds": seeds}) as run:
            pass
    with run:
        assert (run.path / "run.json").exists()


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    with RunFolder(tmp_path, {}) as folder, folder.stage("seed-0/round-00/dense") as stage:
        (stage / "kept.txt").write_text("whole")
    for path in (tmp_path / ".run.json.123.partial", stage / ".x.png.123.partial"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    with RunFolder(tmp_path, {}) as folder:
        assert folder.is_done("seed-0/round-00/dense")
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {".lock", "run.json", "done.json", "kept.txt"}


def test_a_folder_of_other_settings_is_refused_and_left_alone(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "stage")
    with (
        pytest.raises(FileError, match=r"run of other settings .*another folder"),
        RunFolder(tmp_path / "run", {**SETTINGS, "rate": 0.1}),
    ):
        pass
    with run:
        assert run.is_done("stage")


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_damaged_run_json_is_named(tmp_path, damage):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        pass
    path = run.path / "run.json"
    if damage == "flip":
        flip(path, index=path.read_bytes().index(b"vae"))
    else:
        path.write_bytes(path.read_bytes()[:20] if damage == "cut" else b"")
    for _ in range(2):  # the lock is free again
        with pytest.raises(FileError, match=r"run\.json is damaged"), run:
            pass


HOLDER = """
    import sys, time
    from tf_tickets import RunFolder
    with RunFolder(sys.argv[1], {"model": "vae", "rate": 0.2, "seeds": [0, 1]}):
        print("entered", flush=True)
        time.sleep(60)
"""
SECOND = """
    import sys
    from tf_tickets import FileError, RunFolder
    try:
        with RunFolder(sys.argv[1], {"model": "vae", "rate": 0.2, "seeds": [0, 1]}):
            print("entered")
    except FileError as error:
        print(error)
"""


def start(code, path):
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], stdout=subprocess.PIPE, text=True
    )


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        make_stage(run, "stage")
    first = start(HOLDER, run.path)
    try:
        assert first.stdout.readline() == "entered\n"
        (line,) = start(SECOND, run.path).communicate()[0].splitlines()
        assert line.startswith(f"Another process is working in {run.path}.")
        with pytest.raises(FileError, match="Another process"), run:
            pass
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert start(SECOND, run.path).communicate()[0] == "entered\n"
    with run:
        assert run.is_done("stage")


def test_one_process_enters_once(tmp_path):
    with (
        RunFolder(tmp_path / "run", SETTINGS),
        pytest.raises(FileError, match="Another process"),
        RunFolder(tmp_path / "run", SETTINGS),
    ):
        pass


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file" / "run", tmp_path / "file", "/proc/run"):
        with (
            pytest.raises(FileError, match=f"Cannot write to {path}: .* another folder"),
            RunFolder(path, SETTINGS),
        ):
            pass


def record(seed, number, arm, **more):
    return {"seed": seed, "round": number, "arm": arm, "metrics": {"loss": 0.1 + 0.2}, **more}


def make_records(run, records, within=""):
    """Make a stage of each record, as a search does, and return the records."""
    for each in records:
        name = f"seed-{each['seed']}/round-{each['round']:02d}/{each['arm']}"
        made_from = [name] if within else []
        with run.stage(f"{within}{name}", made_from) as folder:
            (folder / "result.json").write_text(json.dumps(each))
    return records


@pytest.fixture
def run(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        yield run


def test_results_are_a_line_for_each_stage_in_order(run):
    dense, winning = record(0, 0, "dense"), record(0, 1, "winning", ticket=None)
    random = record(0, 1, "random", curve=[{"metrics": {"loss": math.nan}}])
    make_records(run, [random, winning, dense])
    make_stage(run, "export")  # no training, whose result.json is no record
    run.write_results()
    for read in (read_results(run.path / "results.jsonl"), Records.read(run.path)):
        assert [r["arm"] for r in read] == ["dense", "winning", "random"]
        assert read[:2] == [dense, winning] and json.dumps(read[2]) == json.dumps(random)


def test_what_judged_a_stage_adds_to_its_record_while_that_is_what_it_judged(run):
    dense, other = make_records(run, [record(0, 0, "dense"), record(0, 1, "winning")])
    for by in ("inception", "more"):
        judged = [{"seed": 0, "round": 0, "arm": "dense", "judged": {by: {"metrics": {"fid": 1}}}}]
        make_records(run, judged, within=f"judged/{by}/")
    found = {name: {"metrics": {"fid": 1}} for name in ("inception", "more")}
    assert Records.read(run.path) == [{**dense, "judged": found}, other]
    make_records(run, [record(0, 0, "dense", seconds=2)])
    assert Records.read(run.path) == [record(0, 0, "dense", seconds=2), other]


def test_damaged_results_are_named_and_mended(run):
    path = run.path / "results.jsonl"
    with pytest.raises(FileError, match=r"Cannot read .*results\.jsonl"):
        read_results(path)
    make_records(run, [record(seed, 0, "dense") for seed in range(2)])
    run.write_results()
    whole = path.read_bytes()
    for content in (b'{"round": 0}\n{"rou', b"\xff\xfe", b"[" * 100_000, b"[]\n", whole + b"{}"):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"results\.jsonl is damaged.*writes it anew"):
            read_results(path)
    assert len(Records.read(run.path)) == 2, "which are the stages'"
    run.write_results()
    assert path.read_bytes() == whole


def test_a_bit_flipped_anywhere_in_results_is_named(run):
    make_records(run, [record(seed, 0, "dense", kept=12) for seed in range(2)])
    run.write_results()
    path = run.path / "results.jsonl"
    whole = path.read_bytes()
    for place, byte in enumerate(whole):
        for bit in (1, 4, 32):
            changed = whole[:place] + bytes([byte ^ bit]) + whole[place + 1 :]
            path.write_bytes(changed)
            with contextlib.suppress(FileError):
                # Only what means nothing to JSON may be another byte, such as a space.
                assert read_results(path) == Records.read(run.path), (place, bit)


def test_results_without_their_stages_are_read_if_they_are_records(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(record(0, 0, "dense")) + "\n")
    assert read_results(path) == Records.read(tmp_path) == [record(0, 0, "dense")]
    for bad in (
        {"seed": 0},
        record("0", 0, "dense"),
        record(0, 0, 1),
        {**record(0, 0, ""), "metrics": 1},
    ):
        path.write_text(json.dumps(bad) + "\n")
        with pytest.raises(FileError, match="no record"):
            read_results(path)


@pytest.mark.parametrize("file", ["result.json", "done.json"])
def test_a_damaged_record_is_named_and_its_stage_removed_by_who_writes(run, file):
    dense, _ = make_records(run, [record(0, 0, "dense"), record(0, 1, "winning")])
    run.write_results()
    flip(run.path / "seed-0/round-01/winning" / file, index=10)
    with pytest.raises(FileError, match=f"winning/{file} is damaged.*Run the command"):
        Records.read(run.path)
    with pytest.warns(UserWarning, match="round-01/winning is removed; it can be made again"):
        run.write_results()
    assert Records.read(run.path) == read_results(run.path / "results.jsonl") == [dense]


def test_arms_of_a_round_come_in_one_order_that_needs_no_list_of_them(run):
    arms = ["winning", "transferred", "supermask", "shuffled", "random"]
    make_records(run, [record(seed, 1, arm) for arm in sorted(arms) for seed in (1, 0)])
    make_records(run, [record(seed, 0, "dense") for seed in (1, 0)])
    found = [(r["seed"], r["arm"]) for r in Records.read(run.path)]
    assert found == [(seed, arm) for seed in (0, 1) for arm in ["dense", *arms]]


@pytest.mark.parametrize("kind", ["a file", "a link to a file", "a link to nothing", "a link"])
def test_what_is_in_the_place_of_a_stage_is_removed_and_the_stage_made(run, tmp_path, kind):
    place, elsewhere = run.path / "seed-0" / "dense", tmp_path / "elsewhere"
    place.parent.mkdir()
    if kind == "a link":
        elsewhere.mkdir()
        (elsewhere / "mine").write_text("kept")
    elif kind == "a link to a file":
        elsewhere.write_text("kept")
    if kind == "a file":
        place.write_text("in the way")
    else:
        place.symlink_to(elsewhere)
    with pytest.warns(UserWarning, match="seed-0/dense is made again"):
        assert not run.is_done("seed-0/dense")
    assert not os.path.lexists(place)
    make_stage(run, "seed-0/dense")
    assert run.is_done("seed-0/dense") and not place.is_symlink()
    assert kind in ("a file", "a link to nothing") or elsewhere.exists()
    assert kind != "a link" or (elsewhere / "mine").read_text() == "kept"


def test_a_stage_that_is_written_replaces_whatever_is_there(run, tmp_path):
    for number in range(2):
        (run.path / "stage").symlink_to(tmp_path / "nowhere")
        make_stage(run, "stage", text=str(number))
        assert run.is_done("stage")
        shutil.rmtree(run.path / "stage")
        (run.path / "stage").write_text("in the way")
        make_stage(run, "stage")
        assert run.is_done("stage")
        shutil.rmtree(run.path / "stage")
    assert not list(run.path.glob(".stage*"))


@pytest.mark.parametrize("kind", ["a file", "a link to nothing"])
def test_what_is_in_the_place_of_a_folder_around_a_stage_is_removed(run, tmp_path, kind):
    place = run.path / "seed-0"
    place.write_text("in the way") if kind == "a file" else place.symlink_to(tmp_path / "nowhere")
    assert not run.is_done("seed-0/round-00/dense")
    with pytest.warns(UserWarning, match="seed-0 is in the way of seed-0/round-00/dense"):
        make_stage(run, "seed-0/round-00/dense")
    assert run.is_done("seed-0/round-00/dense")


def test_results_that_lack_a_line_are_named(run):
    make_records(run, [record(0, 0, "dense"), record(0, 1, "winning")])
    run.write_results()
    path = run.path / "results.jsonl"
    for content in (path.read_bytes().splitlines(keepends=True)[0], b""):
        path.write_bytes(content)
        with pytest.raises(FileError, match="lacks a stage that is done"):
            read_results(path)


@pytest.mark.parametrize("done", [{}, {"files": []}, {"files": {}, "made_from": None}])
def test_a_seal_that_says_nothing_is_damaged(run, done):
    make_records(run, [record(0, 0, "dense")])
    write_sealed_json(run.path / "seed-0/round-00/dense/done.json", done)
    with pytest.raises(FileError, match=r"done\.json is damaged: it does not say"):
        Records.read(run.path)
    with pytest.warns(UserWarning, match="is made again"):
        assert not run.is_done("seed-0/round-00/dense")


def test_a_damaged_run_json_is_written_anew_where_its_settings_are_known(tmp_path):
    with RunFolder.named(tmp_path, "vae", SETTINGS, {"machine": "a"}) as named:
        pass
    with RunFolder(tmp_path / "mine", SETTINGS) as mine:
        make_stage(mine, "stage")
    whole = (named.path / "run.json").read_bytes()
    for place in range(len(whole)):
        flip(named.path / "run.json", place)
        with pytest.warns(UserWarning, match=r"run\.json is damaged.* It is written anew"), named:
            pass
        assert (named.path / "run.json").read_bytes() == whole
    flip(mine.path / "run.json", index=(mine.path / "run.json").read_bytes().index(b"sha256") + 15)
    with pytest.warns(UserWarning, match="It is written anew"), mine:
        assert mine.is_done("stage")
    assert read_settings(mine.path) == SETTINGS


@pytest.mark.parametrize("content", [{}, {"settings": [1], "origin": {}}, {"settings": {}}])
def test_a_sealed_run_json_without_settings_is_damaged(tmp_path, content):
    write_sealed_json(tmp_path / "run.json", content)
    with pytest.raises(FileError, match="does not say of which settings the run is"):
        read_settings(tmp_path)
    (tmp_path / "run.json").write_text("[" * 100_000)
    with pytest.raises(FileError, match=r"run\.json is damaged"):
        read_settings(tmp_path)


def test_a_run_is_found_by_its_settings_apart_from_one(tmp_path):
    for threads in (2, 3):
        with RunFolder.named(tmp_path, "vae", {"a": 1, "threads": threads}) as run:
            pass
    found = find_run(tmp_path, "vae", {"a": 1}, "threads")
    assert found["threads"] in (2, 3)
    assert find_run(tmp_path, "vae", {"a": 2}, "threads", range(9)) is None
    shutil.rmtree(run.path)
    (left,) = tmp_path.iterdir()
    (left / "run.json").write_bytes(b"gone")
    assert find_run(tmp_path, "vae", {"a": 1}, "threads") is None
    assert find_run(tmp_path, "vae", {"a": 1}, "threads", range(9)) == {"a": 1, "threads": 2}
    assert find_run(tmp_path, "vae", {"a": 2}, "threads", range(9)) is None


def test_settings_come_back_from_the_folder(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        assert read_settings(run.path) == SETTINGS
    flip(run.path / "run.json", index=(run.path / "run.json").read_bytes().index(b"vae"))
    with pytest.raises(FileError, match=r"run\.json is damaged"):
        read_settings(run.path)
    with pytest.raises(FileError, match=f"{tmp_path} holds no run: it has no run.json"):
        read_settings(tmp_path)
