"""Misuses of files: run folders, records, tickets that are none."""

import json

import numpy as np
import safetensors.numpy

import tf_tickets as tt
from tf_tickets import FileError, SettingError
from tf_tickets.files import write_sealed_json

ERROR = FileError
RECORD = {"seed": 0, "round": 0, "arm": "dense", "metrics": {"loss": 1.0}}


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


def tensors(g, **header):
    """Return a file of tensors, with a header of one's own."""
    content = safetensors.numpy.save({"a": np.ones(2)}, header or None)
    return g.file(content)


def run_of(g, content):
    """Return a folder with a sealed run.json."""
    folder = g.new("run")
    folder.mkdir()
    write_sealed_json(folder / "run.json", content)
    return folder


def entered(g, path=None, settings=None, origin=None):
    with tt.RunFolder(g.new() if path is None else path, settings or {}, origin) as folder:
        return folder


def within(g, use):
    """Use a run folder that is entered."""
    with tt.RunFolder(g.new(), {}) as folder:
        use(folder)


def made(folder, name, made_from=()):
    with folder.stage(name, made_from) as path:
        (path / "file").write_text("written")


MISUSES = {
    "wrong type": [
        (lambda g: tt.RunFolder(None, {}), "must be a path", SettingError),
        (lambda g: tt.RunFolder(3, {}), "must be a path", SettingError),
        (lambda g: tt.RunFolder(g.new(), None), "`settings` must map", SettingError),
        (lambda g: tt.RunFolder(g.new(), ["vae"]), "`settings` must map", SettingError),
        (lambda g: tt.RunFolder(g.new(), {"net": g.net}), "JSON can hold", SettingError),
        (lambda g: tt.RunFolder(g.new(), {}, {"by": g.net}), "JSON can hold", SettingError),
        (lambda g: tt.RunFolder.named(g.folder, "net", {"a": {1}}), "JSON can hold", SettingError),
        (lambda g: tt.Records(None), "`records` must be", SettingError),
        (lambda g: tt.Records([1]), "`records` must be", SettingError),
        (lambda g: tt.Records("results.jsonl"), "`records` must be", SettingError),
        (lambda g: tt.Records.read(None), "must be a path", SettingError),
        (lambda g: tt.read_results(None), "must be a path", SettingError),
        (lambda g: tt.read_results(3), "must be a path", SettingError),
        (lambda g: tt.read_settings(None), "must be a path", SettingError),
        (lambda g: tt.read_origin(None), "must be a path", SettingError),
        (lambda g: tt.Ticket.load(None), "must be a path", SettingError),
        (lambda g: tt.Ticket.load(b"ticket"), "must be a path", SettingError),
        (
            lambda g: tt.shared_folder("run", None).__enter__(),
            "must be a tt.RunFolder",
            SettingError,
        ),
    ],
    "wrong range": [
        (lambda g: tt.Records(g.records).by("size"), "There is no field 'size'", SettingError),
        (lambda g: tt.Records(g.records).by(), "one field or more", SettingError),
        (lambda g: tt.Records(g.records).by("metrics"), "`metrics`", SettingError),
        (lambda g: tt.Records(g.records).field("size"), "There is no field", SettingError),
        (lambda g: tt.Records(g.records).mean("fid"), "There is no metric 'fid'", SettingError),
        (lambda g: tt.Records(g.records).values("fcd", "test"), "no field 'test'", SettingError),
        (lambda g: tt.Records(g.records).values("fcd", "arm"), "`arm`", SettingError),
        (lambda g: tt.Records([]).mean("fcd"), "There is no record", SettingError),
        (lambda g: tt.Records([]).dense, "no record of the dense arm", SettingError),
        (lambda g: within(g, lambda f: made(f, "../else")), "within the run", SettingError),
        (lambda g: within(g, lambda f: made(f, str(g.new()))), "within the run", SettingError),
        (lambda g: within(g, lambda f: made(f, "")), "within the run", SettingError),
        (lambda g: within(g, lambda f: f.is_done("..")), "within the run", SettingError),
        (lambda g: within(g, lambda f: f.is_done(3)), "within the run", SettingError),
        (lambda g: within(g, lambda f: made(f, "a", ["b"])), "is not there"),
    ],
    "wrong order": [
        (lambda g: made(tt.RunFolder(g.new(), {}), "stage"), "is not entered", SettingError),
        (lambda g: tt.RunFolder(g.new(), {}).write_results(), "is not entered", SettingError),
        (lambda g: within(g, lambda f: f.__enter__()), "entered already", SettingError),
        (lambda g: within(g, lambda f: entered(g, f.path)), "Another process"),
    ],
    "wrong file": [
        (lambda g: entered(g, g.file()), "Cannot write to"),
        (lambda g: entered(g, g.file() / "run"), "Cannot write to"),
        (lambda g: entered(g, "a\0b"), "must be a path", SettingError),
        (lambda g: entered(g, run_of(g, {"settings": {"a": 1}, "origin": {}})), "other settings"),
        (lambda g: entered(g, run_of(g, {})), "does not say"),
        (lambda g: tt.read_settings(g.new()), "holds no run"),
        (lambda g: tt.read_settings(g.file()), "holds no run"),
        (lambda g: tt.read_settings(run_of(g, {"settings": [], "origin": {}})), "does not say"),
        (lambda g: tt.read_origin(run_of(g, {"settings": {}, "origin": "here"})), "does not say"),
        (lambda g: tt.read_origin(g.folder), "holds no run"),
        (lambda g: tt.Records.read(g.new()), "Cannot read"),
        (lambda g: tt.Records.read(g.empty()), "Cannot read"),
        (lambda g: tt.Records.read(g.file()), "Cannot read"),
        (lambda g: tt.read_results(g.new()), "Cannot read"),
        (lambda g: tt.read_results(g.empty()), "Cannot read"),
        (lambda g: tt.read_results(g.file("[1]\n")), "no record"),
        (lambda g: tt.read_results(g.file("{}\n")), "no record"),
        (lambda g: tt.read_results(g.file("{")), "is no JSON"),
        (lambda g: tt.read_results(g.file("[" * 10**5)), "is no JSON"),
        (lambda g: tt.read_results(g.file(b"\xff")), "is no JSON"),
        (lambda g: tt.read_results(g.file(lines(RECORD, RECORD))), "is there twice"),
        (lambda g: tt.read_results(g.file(lines({**RECORD, "seed": 0.5}))), "no record"),
        (lambda g: tt.read_results(g.file(lines({**RECORD, "metrics": 1}))), "no record"),
        (lambda g: tt.Ticket.load(g.new()), "Cannot read the ticket"),
        (lambda g: tt.Ticket.load(g.folder), "Cannot read the ticket"),
        (lambda g: tt.Ticket.load(g.file()), "is damaged or no ticket"),
        (lambda g: tt.Ticket.load(g.file(b"")), "is damaged or no ticket"),
        (lambda g: tt.Ticket.load(tensors(g)), "is damaged or no ticket"),
        (lambda g: tt.Ticket.load(tensors(g, ticket="{}")), "is damaged or no ticket"),
        (lambda g: tt.Ticket.load(tensors(g, ticket='{"sha256": 1}')), "is no ticket"),
        (lambda g: tt.Ticket.load(tensors(g, ticket="[" * 10**5)), "nested too deeply"),
        (lambda g: tt.Ticket.load("a\0b"), "must be a path", SettingError),
        (lambda g: tt.search.rebuild_slim(lambda seed: g.conv, g.new(), g.new()), "Cannot read"),
    ],
}
