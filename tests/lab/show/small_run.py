"""Records of a run that nobody trained, and a run folder of them with pictures."""

import types

import numpy as np

from tf_tickets.lab.pictures import write_strip
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import judge, sparsest


def make_records(
    rounds=20, seeds=3, arms=("winning", "random"), metric="fcd", collapse=1.0, spread=0.1
):
    """Records as those of results.jsonl; the random arm grows by `collapse` until the last."""
    random = np.random.default_rng(0)
    made = []
    for seed in range(seeds):
        for number in range(rounds + 1):
            for arm in ("dense",) if number == 0 else arms:
                value = 10 * collapse ** (number / rounds) if arm == "random" else 10.0
                made.append(
                    {
                        "seed": seed,
                        "round": number,
                        "arm": arm,
                        "weight_sparsity": 1 - 0.8**number,
                        "metrics": {metric: value * random.uniform(1 - spread, 1 + spread)},
                    }
                )
    return made


def make_run(path, evaluations=1, gan=False, pictures=True, arm="winning", **options):
    """A run as `Run.open` shows it, of a model on digits, with pictures in its folder.

    With a `collapse` of 2, its random arm ends at twice the dense network's metric.
    """
    records = make_records(arms=(*dict.fromkeys((arm, "winning")), "random"), **options)
    for record in records:
        complete(record, evaluations, gan)
        if pictures:
            stage = path / record["ticket"].rpartition("/")[0]
            stage.mkdir(parents=True)
            shade = np.linspace(-1, 1, 64).reshape(8, 8, 1) * 0.8 ** record["round"]
            write_strip(np.stack([shade] * 10), stage / "samples.png")
    if pictures:
        write_strip(np.ones((10, 8, 8, 1)), path / "real.png")
    return judged(records, arm, path)


def judged(records, arm="winning", path=None):
    """A run as `Run.open` shows it, of records by `fcd`, with a tolerance of 20 %."""
    verdicts = {tolerance: judge(records, "fcd", tolerance, arm=arm) for tolerance in (0.05, 0.1)}
    verdict = judge(records, "fcd", 0.2, arm=arm)
    has_tests = all("test_metrics" in record for record in records)
    return types.SimpleNamespace(
        path=path,
        config=types.SimpleNamespace(
            model="vae",
            dataset="digits",
            method=types.SimpleNamespace(name="early-bird", mask_distance=0.1),
        ),
        records=Records(records),
        metric="fcd",
        verdict=verdict,
        verdicts={**verdicts, 0.2: verdict},
        tested=judge(records, "fcd", 0.2, arm=arm, of="test_metrics") if has_tests else None,
        comparisons=verdict.comparisons,
        chosen=verdict.comparison or sparsest(verdict.comparisons),
        arm=arm,
        source="dcgan" if arm == "transferred" else None,
    )


def complete(record, evaluations, gan):
    """Give a record what those of a real run have besides."""
    stage = f"seed-{record['seed']}/round-{record['round']:02d}/{record['arm']}"
    record["ticket"] = f"{stage}/ticket.safetensors"
    record["kept"] = round(1000 * (1 - record["weight_sparsity"]))
    record["protocol"] = {"generated": "samples"}
    if gan:
        record["metrics"]["discriminator_loss"] = 0.6
    steps = [30 * number // evaluations for number in range(1, evaluations + 1)]
    record["curve"] = [{"step": step, "metrics": record["metrics"]} for step in steps]
