import pytest

from tf_tickets.shipping.text import byte_size, count_of, percent, short, table, wrapped


@pytest.mark.parametrize(
    ("number", "text", "size"),
    [(0, "0", "0 B"), (999, "999", "999 B"), (1234, "1.23 k", "1.23 kB"), (25e9, "25 G", "25 GB")],
)
def test_numbers_have_three_digits_and_a_unit(number, text, size):
    assert short(number) == text
    assert byte_size(number) == size


def test_a_table_is_flush_on_either_side_and_has_no_trailing_spaces():
    lines = [("name", "size", ""), ("a", "12", "x"), ("longer", "3", "")]
    assert table(lines, right=(1,)) == "name    size\na         12  x\nlonger     3"


def test_a_sentence_is_wrapped_behind_its_mark_and_calls_stay_whole():
    first, second = wrapped(f"{'a' * 90} tt.export-model(x)", "- ").splitlines()
    assert first == f"- {'a' * 90}"
    assert second == "  tt.export-model(x)"


def test_small_words():
    assert count_of(1, "kernel") == "1 kernel" and count_of(2000, "kernel") == "2,000 kernels"
    assert percent(0.12345) == "12.35 %"
