import subprocess
import sys

import numpy as np
import pytest

from tf_tickets.errors import FileError
from tf_tickets.lab.pictures import read_strip, write_strip


@pytest.mark.parametrize("channels", [1, 3])
def test_every_shade_of_every_picture_comes_back(tmp_path, channels):
    shades = np.arange(256 * 3 * channels).reshape(3, 16, 16, channels) % 256
    write_strip(shades / 127.5 - 1, tmp_path / "strip.png")
    found = read_strip(tmp_path / "strip.png")
    assert found.shape == (3, 16, 16, channels)
    np.testing.assert_array_equal(found, shades / 127.5 - 1)


def test_values_outside_are_clipped_and_between_shades_rounded(tmp_path):
    images = np.array([-3.0, -0.999, 0.999, 3.0]).reshape(1, 2, 2, 1)
    write_strip(images, tmp_path / "strip.png")
    assert read_strip(tmp_path / "strip.png").ravel().tolist() == [-1, -1, 1, 1]


def test_what_is_missing_or_no_picture_is_named(tmp_path):
    with pytest.raises(FileError, match=r"Cannot read .*absent\.png: No such file"):
        read_strip(tmp_path / "absent.png")
    write_strip(np.zeros((2, 4, 4, 1)), tmp_path / "half.png")
    whole = (tmp_path / "half.png").read_bytes()
    for content in (b"no picture", b"", whole[: len(whole) // 2]):
        (tmp_path / "half.png").write_bytes(content)
        with pytest.raises(FileError, match=r"Cannot read .*half\.png: \w"):
            read_strip(tmp_path / "half.png")


def test_reading_needs_no_tensorflow(tmp_path):
    write_strip(np.zeros((2, 4, 4, 3)), tmp_path / "strip.png")
    code = (
        "import sys; from tf_tickets.lab.pictures import read_strip; "
        "print(read_strip(sys.argv[1]).shape, 'tensorflow' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "strip.png")], capture_output=True, text=True
    )
    assert ran.stdout.strip() == "(2, 4, 4, 3) False", ran.stderr
