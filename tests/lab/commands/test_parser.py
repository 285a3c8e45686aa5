"""From dataclasses of options to flags and back; no TensorFlow is loaded for it."""

import dataclasses
import subprocess
import sys

import pytest

from tf_tickets.errors import SettingError
from tf_tickets.lab.commands.parser import Parser, has_option, in_flags, value_of
from tf_tickets.lab.options import Options, option, refuse


@dataclasses.dataclass(frozen=True)
class Baking(Options):
    name: str = option("one", "a choice", ("one", "two"))
    size: int | None = option(None, "a number (default: by recipe)")
    rate: float = option(0.5, "a fraction, such as 50%", at_most=1)
    seeds: tuple[int, ...] = option((0, 1), "several numbers")
    fast_mode: bool = option(False, "a flag")
    careful: bool = option(True, "a flag that is set, 100% of the time")
    source: str | None = option(None, "where it is from", flag="--from")
    inner: int = 3  # not an option

    def __post_init__(self):
        super().__post_init__()
        if self.seeds == (1, 1):
            refuse("seeds", "must be different numbers", self.seeds)


def parse(words, values=None, leave_out=(), choices=None, **others):
    parser = Parser("What it does.")
    parser.add_options("baking", Baking, values, leave_out, choices)
    return parser.made("baking", parser.parse_args(words), **others)


def test_defaults_are_those_of_the_class():
    assert parse([]) == Baking()


def test_words_become_values_of_the_fields_types():
    words = "--name two --size 3 --rate 0.25 --seeds 4 5 6 --fast-mode --no-careful --from a"
    made = parse(words.split())
    assert made == Baking("two", 3, 0.25, (4, 5, 6), True, False, "a")


def test_a_flag_of_another_name_fills_its_field(capsys):
    assert parse(["--from", "a run"]).source == "a run"
    with pytest.raises(SystemExit):
        parse(["--source", "a run"])
    assert "unrecognized arguments: --source" in capsys.readouterr().err


def test_values_of_an_instance_are_the_defaults_but_not_of_what_is_left_out():
    before = Baking("two", size=7, inner=8)
    assert parse([], before) == before
    assert parse(["--size", "2"], before) == dataclasses.replace(before, size=2)
    assert parse([], before, leave_out=("size",)).size is None
    assert parse([], inner=9).inner == 9


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name", "three"], "argument --name: invalid choice: 'three'"),
        (["--size", "big"], "argument --size: invalid int value: 'big'"),
        (["--rate", "2"], "argument --rate: must be at most 1. Received: 2.0"),
        (["--rate", "nan"], "argument --rate: must be a finite number. Received: nan"),
        (["--seeds", "1", "1"], "argument --seeds: must be different numbers. Received: (1, 1)"),
        (["--seeds"], "argument --seeds: expected at least one argument"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
        (["--si", "3"], "unrecognized arguments: --si"),  # no flag is abbreviated
        (["--inner", "3"], "unrecognized arguments: --inner"),
    ],
)
def test_a_bad_option_is_one_line_and_status_2(words, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(words)
    out, written = capsys.readouterr()
    assert (stopped.value.code, out) == (2, "")
    assert message in written and written.count("\n") == 1


def test_what_is_left_out_is_not_a_flag_and_choices_can_be_fewer(capsys):
    with pytest.raises(SystemExit):
        parse(["--size", "3"], leave_out=("size",))
    assert "unrecognized arguments: --size" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse(["--name", "two"], choices={"name": ("one",)})
    assert "argument --name: invalid choice: 'two'" in capsys.readouterr().err


def test_help_names_every_option_with_its_default(capsys):
    with pytest.raises(SystemExit) as stopped:
        parse(["--help"], Baking(seeds=(4, 5)))
    written = " ".join(capsys.readouterr().out.split())
    assert stopped.value.code == 0
    for part in ("What it does.", "baking:", "--fast-mode", "--no-careful", "--from FROM"):
        assert part in written
    assert "such as 50% (default: 0.5)" in written and "(default: 4 5)" in written
    assert "(default: None)" not in written
    assert "set, 100% of the time" in written, "of a flag without a value, too"


def test_help_names_the_default_of_an_instance_in_place_of_that_of_the_class(capsys):
    with pytest.raises(SystemExit):
        parse(["--help"], Baking(size=7))
    assert "a number (default: 7)" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        parse(["--help"])
    assert "a number (default: by recipe)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "`round_to` must be at least 1. Received: round_to=0",
            "argument --round-to: must be at least 1. Received: 0",
        ),
        (
            "`source` is required, a folder",
            "argument --from: is required, a folder",
        ),
        ("`scope` must be all.\nOr one", "argument --component: must be all.\nOr one"),
        (
            "`arms` cannot have shuffled if `discriminator_init` is trained",
            "argument --arms: cannot have shuffled if --discriminator-init is trained",
        ),
        ("Give a folder as `data_dir`.", "Give a folder as --data-dir."),
        ("Cannot read a`b.", "Cannot read a`b."),
        ("A message of plain words.", "A message of plain words."),
    ],
)
def test_the_librarys_names_become_flags(message, expected):
    assert in_flags(message) == expected


def test_a_parser_refuses_in_flags(capsys):
    with pytest.raises(SystemExit) as stopped:
        Parser("").refuse(SettingError("`batch_size` is\n too large"))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith("error: argument --batch-size: is too large\n")


def test_a_value_is_read_before_the_rest_is_understood():
    assert value_of("--what x --model vae y".split(), "--model", "gan") == "vae"
    assert value_of(["--model=vae"], "--model", "gan") == "vae"
    assert value_of(["--mod", "vae"], "--model", "gan") == "gan"
    assert value_of(["--model"], "--model", "gan") == "gan"
    assert value_of([], "--model", None) is None


def test_a_class_is_asked_for_a_flag():
    assert has_option(Baking, "--from") and has_option(Baking, "--fast-mode")
    assert not has_option(Baking, "--source") and not has_option(Baking, "--inner")


def test_parser_options_and_commands_load_no_tensorflow():
    check = (
        "import sys; from tf_tickets.lab.commands import find, transfer, compare, __main__; "
        "print(sorted({'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
