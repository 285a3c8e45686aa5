"""Run folders that nobody trained: their files, as a run leaves them."""

import json

import numpy as np

from tests.lab.show.small_run import complete, make_records
from tf_tickets.files import write_sealed_json
from tf_tickets.lab.config import Judging, RunConfig
from tf_tickets.lab.methods import EarlyBird, IterativeMagnitude, Transfer
from tf_tickets.lab.pictures import write_strip
from tf_tickets.lab.run_view import Run
from tf_tickets.pruning.masks import Masks
from tf_tickets.tickets.ticket import Ticket

ORIGIN = {
    "departures": {
        "all runs": ["As `skip_dense` does <b>not</b> (code)."],
        "method imp": ["Other."],
    },
    "machine": {"cpus": 2, "processor": "a processor"},
    "commit": "0123abcd",
}
SETTINGS = {
    "recipe": {"model": "vae", "precision": "float32", "network": {"width": 8}},
    "method": {"name": "imp", "one_shot": False},
    "versions": {"tensorflow": "2.21.0", "keras": "3.15.1"},
    "threads": 1,
}


def make_run(
    path, metric="fcd", rounds=3, seeds=3, arms=("winning", "random"), change=None, **options
):
    """Write a run folder of a model on digits, and open it.

    `change` is called with each record; `model`, `method` and `evaluations` are as they say.
    """
    model, method = options.get("model", "vae"), options.get("method")
    records = make_records(rounds, seeds, arms, metric, collapse=2.0, spread=0.02)
    for record in records:
        complete(record, options.get("evaluations", 4), gan=model == "dcgan")
        record |= {"params": 1200, "prunable": 1000, "seconds": 2.5, "evaluation_seconds": 0.5}
        record["metrics"]["classifier_accuracy"] = 0.5 + 0.01 * record["round"]
        if change:
            change(record)
        if record["seed"] == 0:  # whose pictures and tickets are shown
            _write_stage(path / record["ticket"].rpartition("/")[0], record)
    write_strip(np.ones((10, 8, 8, 1)), path / "real.png")
    (path / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (path / "figures").mkdir()
    source = {"transferred": {"recipe": {"model": "vae"}}} if "transferred" in arms else {}
    settings = {**SETTINGS, "method": {**SETTINGS["method"], **source}}
    write_sealed_json(path / "run.json", {"settings": settings, "origin": ORIGIN})
    config = RunConfig(
        model=model,
        method=method or IterativeMagnitude(rounds=rounds),
        judging=Judging(metric=metric),
        seeds=tuple(range(seeds)),
        arms=arms,
    )
    run = Run(path, config, metric)
    run.save_config(config)
    return Run.open(path)


def _write_stage(stage, record):
    stage.mkdir(parents=True)
    shade = np.linspace(-1, 1, 64).reshape(8, 8, 1) * 0.8 ** record["round"]
    write_strip(np.stack([shade] * 10), stage / "samples.png")
    if record["arm"] != "dense":
        kept = np.arange(100) < 100 * (1 - record["weight_sparsity"])
        masks = {"encoder/first/kernel": kept.reshape(10, 10), "decoder/last/kernel": kept}
        weights = {name: np.ones(mask.shape, np.float32) for name, mask in masks.items()}
        Ticket(Masks(masks), weights, {}).save(stage / "ticket.safetensors")


def early_bird(path):
    """A run of early-bird tickets, with the distances of their masks."""

    def change(record):
        if record["arm"] != "dense":
            record["channel_sparsity"] = 0.2 * record["round"]
        if record["arm"] == "winning":
            steps = [{"step": step, "distances": [0.5 / step, 0.1]} for step in (2, 4, 8)]
            record |= {"settled": True, "distances": [{"step": 1, "distances": []}, *steps]}

    return make_run(path, change=change, method=EarlyBird(channel_sparsity=(0.2, 0.4, 0.6)))


def transferred(path):
    """A run of tickets of another model."""
    arms = ("winning", "transferred", "random")
    return make_run(path, arms=arms, model="dcgan", method=Transfer(source="run", rounds=3))


def collapse(record):
    """Let one training of each control collapse, and the dense one of the last seed."""
    key = record["arm"], record["round"], record["seed"]
    if key in (("random", 2, 1), ("winning", 3, 0), ("dense", 0, 2)):
        record.update(metrics={}, curve=[], collapsed="a weight is NaN")


def with_tests(record):
    """Give a record metrics on test images."""
    record["test_metrics"] = {name: 1.1 * value for name, value in record["metrics"].items()}
