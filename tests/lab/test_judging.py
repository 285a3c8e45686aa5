"""A finished run that is asked for other features or more samples evaluates, and trains nothing."""

import dataclasses
import json
import pickle
import shutil

import pytest

import tf_tickets as tt
from tests.lab.metrics.test_features import save_module
from tf_tickets.lab import Data, EngineOptions, GanTraining, Judging, RunConfig, Training
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.judging import JudgingWorkshop, judging_plan
from tf_tickets.lab.methods import EarlyBird, IterativeMagnitude
from tf_tickets.lab.metrics import Evaluator
from tf_tickets.lab.prepared import prepare

VAE = RunConfig(
    "vae",
    IterativeMagnitude(rounds=2, rewind_step=1, all_rounds=True),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16, width=2),
    seeds=(0,),
)
NUM_STAGES = 5
MORE = Judging(num_samples=40)


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))


@pytest.fixture(scope="module")
def made(cache, tmp_path_factory):
    """A finished run, whose folder each test gets a copy of."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_TICKETS_CACHE", str(cache))
        return tt.lab.run(VAE, tmp_path_factory.mktemp("runs"))


@pytest.fixture
def finished(made, tmp_path):
    """The folder in which a command finds the finished run."""
    shutil.copytree(made.path, tmp_path / made.path.name)
    return tmp_path


@pytest.fixture
def counted(monkeypatch):
    """Count trainings and evaluations; `stop_at` breaks off before an evaluation of that number."""
    counts = {"trained": 0, "evaluated": 0, "stop_at": None}
    train, evaluate = Experiment.train, Evaluator.__call__

    def counting_train(*arguments):
        counts["trained"] += 1
        return train(*arguments)

    def counting_evaluate(*arguments):
        if counts["evaluated"] == counts["stop_at"]:
            raise KeyboardInterrupt
        counts["evaluated"] += 1
        return evaluate(*arguments)

    monkeypatch.setattr(Experiment, "train", counting_train)
    monkeypatch.setattr(Evaluator, "__call__", counting_evaluate)
    return counts


def asked(judging, output, config=VAE):
    return tt.lab.run(dataclasses.replace(config, judging=judging), output)


def bytes_of(path):
    files = (file for file in path.glob("seed-*/**/*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def test_more_samples_are_only_evaluated(made, finished, counted):
    run = asked(MORE, finished)
    assert (counted["trained"], counted["evaluated"]) == (0, 2 * NUM_STAGES)
    assert run.path.name == made.path.name and bytes_of(run.path) == bytes_of(made.path)
    assert len(run.records) == NUM_STAGES
    for record, before in zip(run.records, made.records, strict=True):
        for of, real in (("", "validation"), ("test_", "test")):
            protocol = record[f"{of}protocol"]
            assert protocol["num_generated_images"] == 40
            # The limit of 32 holds for these two splits too.
            assert protocol["real"] == f"digits-{real}-8-32"
            assert record[f"{of}metrics"].keys() == before[f"{of}metrics"].keys()
            assert record[f"{of}metrics"]["fcd"] != before[f"{of}metrics"]["fcd"]
            assert record[f"{of}metrics"]["loss"] == before[f"{of}metrics"]["loss"]
        unchanged = ("curve", "best", "seconds", "ticket", "weight_sparsity", "converged")
        assert [record[name] for name in unchanged] == [before[name] for name in unchanged]
    assert asked(MORE, finished).records == run.records
    assert counted["evaluated"] == 2 * NUM_STAGES, "and that only once"


@pytest.mark.slow
def test_a_run_asked_again_without_it_is_as_before(made, finished, counted):
    asked(MORE, finished)
    run = asked(Judging(), finished)
    assert counted["trained"] == 0
    plain = [{k: v for k, v in record.items() if k != "judged"} for record in run.records]
    assert plain == list(made.records)
    assert (run.metric, run.chosen.round) == (made.metric, made.chosen.round)


@pytest.mark.slow
def test_as_many_samples_as_are_usual_give_the_same_numbers(made, finished):
    run = asked(Judging(num_samples=32), finished)
    for record, before in zip(run.records, made.records, strict=True):
        for name in ("metrics", "test_metrics"):
            assert record[name] == pytest.approx(before[name], rel=1e-5)


@pytest.mark.slow
def test_it_resumes_if_it_was_broken_off(finished, counted, made, tmp_path_factory):
    counted["stop_at"] = 5
    with pytest.raises(KeyboardInterrupt):
        asked(MORE, finished)
    lines = (finished / made.path.name / "results.jsonl").read_text().splitlines()
    assert sum("judged" in json.loads(line) for line in lines) == 2, "of two and a half"
    counted["stop_at"] = None
    run = asked(MORE, finished)
    assert (counted["trained"], counted["evaluated"]) == (0, 5 + 2 * (NUM_STAGES - 2))
    assert all(record["judged"].keys() == {MORE.way} for record in run.records)


@pytest.mark.slow
def test_all_ways_of_judging_are_kept_beside_each_other(finished):
    asked(MORE, finished)
    run = asked(Judging(num_samples=20), finished)
    assert {r["protocol"]["num_generated_images"] for r in run.records} == {20}
    again = asked(MORE, finished)
    assert {r["protocol"]["num_generated_images"] for r in again.records} == {40}
    ways = {MORE.way, Judging(num_samples=20).way}
    assert all(record["judged"].keys() == ways for record in again.records)


@pytest.mark.slow
def test_another_network_comes_beside_the_classifier(made, finished, counted, tmp_path):
    save_module(tmp_path / "inception")
    inception = Judging(inception=str(tmp_path / "inception"), metric="fid")
    run = asked(inception, finished)
    assert counted["trained"] == 0 and run.metric == "fid"
    for record, before in zip(run.records, made.records, strict=True):
        for of in ("", "test_"):
            metrics = record[f"{of}metrics"]
            assert metrics.keys() - before[f"{of}metrics"].keys() == {
                *("fid", "kid", "inception_score")
            }
            same = {name: metrics[name] for name in before[f"{of}metrics"]}
            assert same == pytest.approx(before[f"{of}metrics"], rel=1e-5)
            kinds = [each["kind"] for each in record[f"{of}protocol"]["features"]]
            assert kinds == ["classifier", "inception"]
            assert record[f"{of}protocol"]["floor"].keys() == {"fcd", "kcd", "fid", "kid"}
    assert (run.path / "figures" / "fid.png").exists()


def test_another_metric_of_a_finished_run_trains_nothing(made, finished, counted):
    run = asked(Judging(metric="fcd"), finished)
    assert (counted["trained"], counted["evaluated"]) == (0, 0)
    assert run.metric == "fcd" and run.records == made.records


@pytest.mark.slow
def test_a_run_that_is_new_is_trained_and_judged(counted, tmp_path):
    small = dataclasses.replace(VAE, method=IterativeMagnitude(rounds=1, rewind_step=1))
    run = asked(MORE, tmp_path, dataclasses.replace(small, arms=("winning",)))
    assert counted["trained"] > 0
    assert {r["protocol"]["num_generated_images"] for r in run.records} == {40}
    assert {len(r["judged"]) for r in run.records} == {1}


@pytest.mark.slow
def test_more_seeds_of_a_run_that_is_judged_are_judged_too(finished, counted):
    asked(MORE, finished)
    more = dataclasses.replace(VAE, seeds=(0, 1), arms=("winning",))
    run = asked(MORE, finished, more)
    assert len(run.records) == 6
    assert {r["protocol"]["num_generated_images"] for r in run.records} == {40}


@pytest.mark.slow
def test_stages_that_dropped_out_are_not_judged(finished, monkeypatch, made):
    """By a rule by which round 1 is the last, so that of another seed round 2 is not made."""
    monkeypatch.setattr("tf_tickets.lab.ending.last_round_to_ask", lambda *_, **__: 1)
    early = dataclasses.replace(
        VAE, method=IterativeMagnitude(rounds=2, rewind_step=1), seeds=(1,), arms=("winning",)
    )
    run = asked(MORE, finished, early)
    assert [record["round"] for record in run.records] == [0, 1]
    assert not (run.path / "seed-1/round-02").exists()
    lines = [json.loads(line) for line in (run.path / "results.jsonl").read_text().splitlines()]
    assert all("metrics" in line for line in lines), "each line is of a training"


@pytest.mark.slow
@pytest.mark.parametrize("method", [EarlyBird(channel_sparsity=(0.5,)), None])
def test_models_of_other_kinds(method, tmp_path, counted):
    """Smaller ones, as early-bird makes them, and GANs, whose samples may be of an average."""
    if method is None:
        config = RunConfig(
            "dcgan",
            IterativeMagnitude(rounds=1, rewind_step=1),
            VAE.data,
            GanTraining(epochs=2, batch_size=16, width=2, ema_decay=0.5),
            seeds=(0,),
            arms=("winning",),
        )
    else:
        config = dataclasses.replace(VAE, method=method, arms=("winning",))
    before = tt.lab.run(config, tmp_path)
    trained = counted["trained"]
    run = asked(Judging(num_samples=32), tmp_path, config)
    assert counted["trained"] == trained
    for record, other in zip(run.records, before.records, strict=True):
        assert record["metrics"] == pytest.approx(other["metrics"], rel=1e-4)


@pytest.mark.slow
def test_another_process_judges_alike(made, finished, cache):
    here = asked(MORE, finished)
    found = [record["judged"] for record in here.records]
    plain = prepare(dataclasses.replace(VAE, judging=MORE))
    with tt.RunFolder(here.path, here.settings) as folder:
        plan = judging_plan(plain, plain.search.plan(VAE.seeds, folder))
        other = pickle.loads(pickle.dumps(plan.workshop))
        assert isinstance(other, JudgingWorkshop) and len(pickle.dumps(other)) < 10_000
        with other(folder, lambda progress: None) as judge:
            again = [judge(stage, folder.path)["judged"] for stage in plan.stages]
    assert again == found


@pytest.mark.slow
def test_it_can_be_judged_in_processes(made, finished):
    run = tt.lab.run(
        dataclasses.replace(VAE, judging=MORE), finished, EngineOptions("processes", workers=2)
    )
    assert {r["protocol"]["num_generated_images"] for r in run.records} == {40}


def test_the_name_of_a_way():
    assert Judging().way is Judging(metric="fcd", tolerance=0.5).way is None
    assert MORE.way.startswith("40-samples-") and MORE.way == Judging("fcd", num_samples=40).way
    both = Judging(inception="a", num_samples=40).way
    assert both.startswith("inception-40-samples-")
    assert len({both, MORE.way, Judging(inception="a").way, Judging(inception="b").way}) == 4


@pytest.mark.parametrize("number", [1, 0, 50_001])
def test_numbers_of_samples_that_cannot_be(number):
    with pytest.raises(tt.SettingError, match="`num_samples` must be"):
        Judging(num_samples=number)
