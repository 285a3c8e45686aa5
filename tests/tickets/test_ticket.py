import json
import math
import pickle
import subprocess
import sys
import textwrap

import keras
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from tf_tickets import (
    FileError,
    Masks,
    SettingError,
    Ticket,
    global_masks,
    hold,
    magnitude_scores,
    prunable,
    take_snapshot,
)
from tf_tickets.tickets import ticket as tickets

L = keras.layers
RANDOM = np.random.default_rng(0)


def build(units=12):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            L.Conv2D(5, 3, name="conv"),
            L.BatchNormalization(name="bn"),
            L.Dropout(0.3, name="dropout"),
            L.Flatten(),
            L.Dense(units, name="dense"),
        ],
        name="net",
    )
    model.compile("adam", "mse", jit_compile=False)
    return model


def ticket_of(model, sparsity=0.9):
    masks = global_masks(magnitude_scores(prunable(model)), sparsity)
    return Ticket.of_model(model, masks, {"seed": 3, "found": [1, 2.5, "Zürich", None]})


def odd_ticket():
    """Masks and values of every shape and dtype that could come back changed."""
    special = np.array([-0.0, 0.0, np.nan, np.inf, -np.inf, 1e-45, 3.0], np.float32)
    weights = {
        "special": special,
        "pruned special": special,
        "scalar": np.array(2.5, np.float32),
        "removed scalar": np.array(7.0, np.float32),
        "half": RANDOM.normal(size=(3, 5)).astype(np.float16),
        "brain": RANDOM.normal(size=(3, 5)).astype(ml_dtypes.bfloat16),
        "whole brain": np.array(1.5, ml_dtypes.bfloat16),
        "double": RANDOM.normal(size=(1, 1, 9)),
        "empty": np.zeros((0, 4), np.float32),
        "seed": np.array([2**62 + 1, -5], np.int64),
        "unsigned": np.array([2**32 - 1], np.uint32),
        "flag": np.array([True, False]),
        "Fortran": np.asfortranarray(RANDOM.normal(size=(4, 6))),
        "emptied": np.ones((2, 2), np.float32),
    }
    masks = {
        "pruned special": np.array([1, 0, 1, 1, 0, 1, 1], bool),
        "scalar": np.array(True),
        "removed scalar": np.array(False),
        "half": RANDOM.random((3, 5)) < 0.5,
        "brain": RANDOM.random((3, 5)) < 0.5,
        "double": np.ones((1, 1, 9), bool),
        "empty": np.zeros((0, 4), bool),
        "Fortran": np.asfortranarray(RANDOM.random((4, 6)) < 0.5),
        "emptied": np.zeros((2, 2), bool),
    }
    return Ticket(Masks(masks), weights, {"seed": 0})


def bits(ticket):
    return (
        [(path, mask.shape, mask.tobytes()) for path, mask in ticket.masks.items()],
        [(p, v.dtype.str, v.dtype.name, v.shape, v.tobytes()) for p, v in ticket.weights.items()],
        ticket.config,
    )


def test_what_the_masks_remove_is_zero_and_the_rest_untouched():
    ticket = odd_ticket()
    kept = ticket.weights["pruned special"]
    expected = np.array([-0.0, 0.0, np.nan, np.inf, 0.0, 1e-45, 3.0], np.float32)
    assert kept.tobytes() == expected.tobytes()
    assert ticket.weights["removed scalar"] == 0.0
    assert ticket.weights["scalar"] == 2.5


def test_a_ticket_never_changes():
    source = {"k": np.array([1.0, 2.0])}
    config = {"seed": 1}
    ticket = Ticket(Masks({"k": np.array([True, False])}), source, config)
    source["k"][0] = 9.0
    config["seed"] = 9
    assert ticket.weights["k"].tolist() == [1.0, 0.0]
    assert ticket.config == {"seed": 1}
    assert source["k"].tolist() == [9.0, 2.0], "nor does what it was made from"
    with pytest.raises(ValueError, match="read-only"):
        ticket.weights["k"][0] = 5.0


def test_every_mask_has_weights_of_its_shape():
    masks = Masks({"k": np.ones((2, 3), bool)})
    with pytest.raises(SettingError, match=r"no weights of shape \(2, 3\) for k"):
        Ticket(masks, {"other": np.ones((2, 3))}, {})
    with pytest.raises(SettingError, match=r"no weights of shape \(2, 3\) for k"):
        Ticket(masks, {"k": np.ones((3, 2))}, {})


@pytest.mark.parametrize("masks", [{"k": np.ones(2)}, {"k": np.ones(2, bool)}, None, [1]])
def test_what_are_no_masks_make_no_ticket(masks):
    with pytest.raises(SettingError, match=r"`masks` must be tt\.Masks"):
        Ticket(masks, {"k": np.ones(2)}, {})


def test_saving_and_loading_is_exact(tmp_path):
    ticket = odd_ticket()
    ticket.save(tmp_path / "t.safetensors")
    assert bits(Ticket.load(tmp_path / "t.safetensors")) == bits(ticket)
    assert [path.name for path in tmp_path.iterdir()] == ["t.safetensors"]


def test_a_model_comes_back_bit_for_bit(tmp_path):
    model = build()
    images = RANDOM.normal(size=(16, 8, 8, 3)).astype("float32")
    targets = RANDOM.normal(size=(16, 12)).astype("float32")
    model.fit(images, targets, verbose=0)
    ticket = ticket_of(model)
    ticket.save(str(tmp_path / "t.safetensors"))
    ticket.apply(model)
    expected = take_snapshot(model)
    with hold(model, ticket.masks):
        model.fit(images, targets, verbose=0)
    loaded = Ticket.load(str(tmp_path / "t.safetensors"))
    other = build()
    loaded.apply(other)
    for path, value in take_snapshot(other).items():
        assert value.tobytes() == expected[path].tobytes(), path
    assert loaded.masks == ticket.masks
    assert list(loaded.masks) == list(ticket.masks)
    assert loaded.config == ticket.config
    assert repr(loaded).startswith("Ticket(90.0")


def test_only_kept_weights_are_stored(tmp_path):
    model = build(units=2000)
    ticket_of(model, 0.99).save(tmp_path / "t.safetensors")
    num_kernels = sum(int(np.prod(kernel.shape)) for kernel in prunable(model))
    others = 4 * (model.count_params() - num_kernels)
    stored = (tmp_path / "t.safetensors").stat().st_size
    assert stored < others + num_kernels / 8 + 4 * 0.01 * num_kernels + 5_000


def test_the_same_ticket_gives_the_same_file(tmp_path):
    """In another process too, where Python's hashes are others."""
    ticket = odd_ticket()
    ticket.save(tmp_path / "first")
    code = """
        import sys
        from tf_tickets import Ticket
        Ticket.load(sys.argv[1]).save(sys.argv[2])
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), tmp_path / "first", tmp_path / "second"],
        check=True,
        env={"PYTHONHASHSEED": "7", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_ticket_for_another_network_names_the_first_difference():
    ticket = ticket_of(build())
    other = build(units=10)
    before = other.get_weights()
    with pytest.raises(SettingError, match=r": dense/kernel is \(180, 10\) in the model"):
        ticket.apply(other)
    for value, now in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def small_ticket_file(path):
    masks = Masks({"k": np.array([[True, False, True], [False, True, True]])})
    weights = {"k": RANDOM.normal(size=(2, 3)).astype("float32"), "b": np.zeros(2, "float16")}
    ticket = Ticket(masks, weights, {"seed": 1})
    ticket.save(path)
    return ticket


def check_refused(path):
    with pytest.raises(FileError) as caught:
        Ticket.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_flipped_bit_is_found(tmp_path):
    path = tmp_path / "t.safetensors"
    expected = bits(small_ticket_file(path))
    whole = path.read_bytes()
    refused = 0
    for index in range(len(whole)):
        for flip in (*(1 << bit for bit in range(8)), 0xFF):
            damaged = bytearray(whole)
            damaged[index] ^= flip
            path.write_bytes(damaged)
            try:
                assert bits(Ticket.load(path)) == expected
            except FileError as error:
                assert str(path) in str(error)
                assert "\n" not in str(error)
                refused += 1
    # The few that load have changed white space of the header.
    assert refused > 9 * (len(whole) - 16)


def test_every_truncation_is_found(tmp_path):
    path = tmp_path / "t.safetensors"
    small_ticket_file(path)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        check_refused(path)
    path.write_bytes(whole + b"\0")
    check_refused(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a ticket",
        pickle.dumps({"a": 1}),
        (2**63).to_bytes(8, "little") + b"{}",
        (10**9).to_bytes(8, "little") + b"{}",
        safetensors.numpy.save({"k": np.ones(3)}),
        safetensors.numpy.save({"k": np.ones(3)}, {"ticket": "[]"}),
        safetensors.numpy.save({"k": np.ones(3)}, {"ticket": '"text"'}),
        safetensors.numpy.save({"k": np.ones(3)}, {"ticket": '{"sha256": "0"}'}),
        safetensors.numpy.save({"k": np.ones(3)}, {"ticket": "[" * 100_000}),
    ],
    ids=range(10),
)
def test_what_is_no_ticket_is_refused(tmp_path, content):
    path = tmp_path / "t.safetensors"
    path.write_bytes(content)
    check_refused(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        Ticket.load(tmp_path / "absent")
    with pytest.raises(FileError, match="Is a directory"):
        Ticket.load(tmp_path)


class RunsCode:
    def __reduce__(self):
        return (pytest.fail, ("code of the file was run",))


def test_a_pickle_in_a_tickets_clothes_is_not_run(tmp_path):
    path = tmp_path / "t.safetensors"
    path.write_bytes(pickle.dumps(RunsCode()))
    check_refused(path)


def forge(path, tensors=(), **header):
    """Write a ticket whose seal is right though what it says is not."""
    tensors = {
        "mask:k": np.array([0b11110000], np.uint8),
        "kept:k": np.ones(4, np.float32),
        **dict(tensors),
    }
    header = {
        "format": "tf_tickets.ticket.1",
        "config": {},
        "weights": ["k"],
        "masks": {"k": [2, 3]},
        "bfloat16": [],
        **header,
    }
    header["sha256"] = tickets._digest(tensors, header)
    path.write_bytes(safetensors.numpy.save(tensors, {"ticket": json.dumps(header)}))
    return path


def test_the_forger_can_write_a_good_ticket(tmp_path):
    loaded = Ticket.load(forge(tmp_path / "t"))
    assert loaded.weights["k"].tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    "header",
    [
        {"masks": {"k": [2, 30]}},
        {"masks": {"k": [10**12, 10**6]}},
        {"masks": {"k": [2**32, 2**32]}},
        {"masks": {"k": [2**70]}},
        {"masks": {"k": [-2, -3]}},
        {"masks": {"k": ["2", "3"]}},
        {"masks": {"k": [1.5, 4]}},
        {"masks": {"k": 6}},
        {"masks": {"k": None}},
        {"masks": [["k", [2, 3]]]},
        {"masks": {"other": [2, 3]}},
        {"weights": ["k", "absent"]},
        {"weights": []},
        {"weights": 5},
        {"weights": [["k"]]},
        {"config": 5},
        {"config": None},
        {"bfloat16": ["absent"]},
        {"bfloat16": 3},
        {"format": "tf_tickets.ticket.2"},
        {"format": None},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(tmp_path, header):
    check_refused(forge(tmp_path / "t", **header))


@pytest.mark.parametrize("kept", [np.ones(3), np.ones(1), np.float64(1.0), np.ones((2, 2))])
def test_more_or_fewer_values_than_the_mask_keeps_are_refused(tmp_path, kept):
    check_refused(forge(tmp_path / "t", {"kept:k": np.asarray(kept)}))


def test_a_huge_shape_allocates_nothing(tmp_path):
    """Loaded where there is no memory for what the headers promise."""
    paths = [
        forge(tmp_path / "mask", masks={"k": [10**7, 10**4]}),
        forge(tmp_path / "overflow", masks={"k": [2**61, 8]}),
        forge(tmp_path / "infinity", masks={"k": [math.inf]}),
        forge(tmp_path / "nan", masks={"k": [math.nan, 2]}),
    ]
    header = json.dumps(
        {"whole:k": {"dtype": "F32", "shape": [10**11], "data_offsets": [0, 4 * 10**11]}}
    ).encode()
    bomb = tmp_path / "tensor"
    bomb.write_bytes(len(header).to_bytes(8, "little") + header + bytes(64))
    code = """
        import resource, sys
        from tf_tickets import FileError, Ticket
        now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 10**9, now + 10**9))
        for path in sys.argv[1:]:
            try:
                Ticket.load(path)
            except FileError:
                print("refused")
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *paths, bomb], capture_output=True, text=True
    )
    assert process.stdout.split() == ["refused"] * 5, process.stderr[-2000:]


def test_the_file_can_be_read_without_this_package(tmp_path):
    path = tmp_path / "t.safetensors"
    ticket = small_ticket_file(path)
    tensors = safetensors.numpy.load_file(path)
    mask = np.unpackbits(tensors["mask:k"], count=6).astype(bool).reshape(2, 3)
    np.testing.assert_array_equal(mask, ticket.masks["k"])
    np.testing.assert_array_equal(tensors["kept:k"], ticket.weights["k"][mask])
