import signal
import subprocess
import sys
import textwrap
import warnings

import pytest

from tf_tickets import FileError, RunFolder, read_results, read_settings

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


def test_results_come_back_in_order_one_line_for_each_stage(tmp_path):
    def record(number, arm, loss):
        return {"seed": 0, "round": number, "arm": arm, "metrics": {"loss": loss}}

    dense, winning = record(0, "dense", 0.1 + 0.2), record(1, "winning", 1.0)
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        run.write_results([record(1, "random", 2.0), winning])
        run.write_results([record(1, "random", 3.0), dense])
    found = read_results(run.path / "results.jsonl")
    assert found == [dense, winning, record(1, "random", 3.0)]


def test_damaged_results_are_named(tmp_path):
    path = tmp_path / "results.jsonl"
    with pytest.raises(FileError, match=r"Cannot read .*results\.jsonl"):
        read_results(path)
    for content in (b'{"round": 0}\n{"rou', b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"results\.jsonl is damaged"):
            read_results(path)


def test_arms_of_a_round_come_in_one_order_that_needs_no_list_of_them(tmp_path):
    arms = ["winning", "transferred", "supermask", "shuffled", "random"]
    made = [{"seed": seed, "round": 1, "arm": arm} for arm in sorted(arms) for seed in (1, 0)]
    dense = [{"seed": seed, "round": 0, "arm": "dense"} for seed in (1, 0)]
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        run.write_results([*made, *dense])
    found = [(r["seed"], r["arm"]) for r in read_results(run.path / "results.jsonl")]
    assert found == [(seed, arm) for seed in (0, 1) for arm in ["dense", *arms]]


def test_settings_come_back_from_the_folder(tmp_path):
    with RunFolder(tmp_path / "run", SETTINGS) as run:
        assert read_settings(run.path) == SETTINGS
    flip(run.path / "run.json", index=(run.path / "run.json").read_bytes().index(b"vae"))
    with pytest.raises(FileError, match=r"run\.json is damaged"):
        read_settings(run.path)
    with pytest.raises(FileError, match=f"{tmp_path} holds no run: it has no run.json"):
        read_settings(tmp_path)
