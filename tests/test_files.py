import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tf_tickets import FileError, files


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_write_whole_writes_and_replaces(tmp_path):
    files.write_whole(tmp_path / "a", b"first")
    files.write_whole(tmp_path / "a", b"second")
    assert contents(tmp_path) == {"a": b"second"}


def test_the_hash_of_arrays_follows_names_shapes_and_bits():
    def digest(**arrays):
        return files.sha256_of_arrays({name: np.array(array) for name, array in arrays.items()})

    assert digest(a=[1.0], b=[2.0]) == digest(b=[2.0], a=[1.0])
    several = [digest(a=[1.0]), digest(b=[1.0]), digest(a=[-1.0]), digest(a=[[1.0]]), digest(a=[1])]
    assert len(set(several)) == 5


def run_on_a_full_disk(code, folder):
    """Run code where no file can grow past 10,000 bytes, as where the disk is full."""
    limited = """
        import pathlib, resource, signal, sys
        from tf_tickets import files

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        folder = pathlib.Path(sys.argv[1])
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(limited) + textwrap.dedent(code), str(folder)],
        capture_output=True,
        text=True,
    )


def test_a_full_disk_leaves_the_old_file(tmp_path):
    files.write_whole(tmp_path / "a", b"old")
    process = run_on_a_full_disk("files.write_whole(folder / 'a', bytes(20_000))", tmp_path)
    assert "OSError" in process.stderr
    assert contents(tmp_path) == {"a": b"old"}


def test_a_full_disk_leaves_the_old_folder(tmp_path):
    with files.write_whole_folder(tmp_path / "stage") as folder:
        (folder / "old").write_text("old")
    process = run_on_a_full_disk(
        """
        with files.write_whole_folder(folder / "stage") as stage:
            (stage / "small").write_bytes(b"fits")
            (stage / "large").write_bytes(bytes(20_000))
        """,
        tmp_path,
    )
    assert "OSError" in process.stderr
    assert contents(tmp_path) == {"stage/old": b"old"}


def test_write_whole_folder_replaces_all_of_it(tmp_path):
    for name in ("first", "second"):
        with files.write_whole_folder(tmp_path / "deep" / "stage") as folder:
            assert not list(folder.iterdir())
            (folder / "sub").mkdir()
            (folder / "sub" / name).write_text(name)
    assert contents(tmp_path) == {"deep/stage/sub/second": b"second"}


def test_nobody_sees_half_a_folder(tmp_path):
    with files.write_whole_folder(tmp_path / "stage") as folder:
        (folder / "a").write_text("a")
        assert not (tmp_path / "stage").exists()
    assert (tmp_path / "stage").exists()


def test_an_error_within_leaves_the_old_folder(tmp_path):
    with files.write_whole_folder(tmp_path / "stage") as folder:
        (folder / "a").write_text("a")
    with pytest.raises(KeyError), files.write_whole_folder(tmp_path / "stage") as folder:
        (folder / "b").write_text("b")
        raise KeyError
    assert contents(tmp_path) == {"stage/a": b"a"}


def test_what_a_killed_process_left_is_cleared(tmp_path):
    code = """
        import os, pathlib, signal, sys
        from tf_tickets import files
        with files.write_whole_folder(pathlib.Path(sys.argv[1]) / "stage") as stage:
            (stage / "half").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)])
    assert list(contents(tmp_path)) == [".stage.partial/half"]
    with files.write_whole_folder(tmp_path / "stage") as folder:
        (folder / "whole").write_text("whole")
    assert contents(tmp_path) == {"stage/whole": b"whole"}


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256_of(tmp_path / "a") == known
    (tmp_path / "long").write_bytes(bytes(3 << 20))
    (tmp_path / "longer").write_bytes(bytes((3 << 20) + 1))
    assert files.sha256_of(tmp_path / "long") != files.sha256_of(tmp_path / "longer")


def test_the_order_of_keys_does_not_change_a_hash():
    first, second = {"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}
    assert files.sha256_of_json(first) == files.sha256_of_json(second)
    assert files.sha256_of_json(first) != files.sha256_of_json({"a": 1, "b": [2, 1]})


def test_sealed_json_comes_back(tmp_path):
    content = {"rate": 0.1 + 0.2, "name": "Zürich", "nested": {"empty": [], "none": None}}
    files.write_sealed_json(tmp_path / "a.json", content)
    assert files.read_sealed_json(tmp_path / "a.json") == content


def test_every_flipped_byte_of_sealed_json_is_found(tmp_path):
    path = tmp_path / "a.json"
    content = {"seed": 3, "files": {"ticket": "0123"}, "rate": 0.25}
    files.write_sealed_json(path, content)
    whole = path.read_bytes()
    refused = 0
    for index in range(len(whole)):
        for bit in (0x01, 0x10, 0x80):
            flipped = bytearray(whole)
            flipped[index] ^= bit
            path.write_bytes(flipped)
            try:
                # What is left is a change of white space, which changes nothing that is read.
                assert files.read_sealed_json(path) == content
            except FileError as error:
                assert str(path) in str(error)
                assert "\n" not in str(error)
                refused += 1
    assert refused > 2.5 * len(whole)


@pytest.mark.parametrize("text", ["", "{", "[]", '"text"', "3", "{}", '{"sha256": "0"}', "\xff"])
def test_json_that_is_not_sealed_is_damaged(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(FileError, match=r"a\.json is damaged"):
        files.read_sealed_json(tmp_path / "a.json")


def test_json_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match=r"Cannot read .*a\.json: No such file or directory"):
        files.read_sealed_json(tmp_path / "a.json")
    os.mkdir(tmp_path / "a.json")
    with pytest.raises(FileError, match=r"Cannot read .*a\.json: Is a directory"):
        files.read_sealed_json(tmp_path / "a.json")
