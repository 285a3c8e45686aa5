"""A run as a function of a config: what it writes, and what its identity holds."""

import dataclasses
import itertools
import json

import pytest
import tensorflow as tf

import tf_tickets as tt
from tf_tickets.engines import Observer, threads_in_use
from tf_tickets.errors import DivergedError
from tf_tickets.files import read_sealed_json, write_sealed_json
from tf_tickets.lab import Data, EngineOptions, Judging, RunConfig, Training
from tf_tickets.lab.description import commit
from tf_tickets.lab.job import HERE, Job, Watcher, identity, make, prepare_all
from tf_tickets.lab.methods import IterativeMagnitude, MagnitudeAtInit, Transfer
from tf_tickets.lab.precision_trial import Trial
from tf_tickets.lab.prepared import prepare
from tf_tickets.lab.show import tables

SMALL = RunConfig(
    "vae",
    IterativeMagnitude(rounds=1, rewind_step=1),
    Data("digits", image_size=8, limit=32),
    Training(epochs=2, batch_size=16, width=2, evaluations=1),
    seeds=(0,),
)


@pytest.fixture(autouse=True)
def own_cache(cache, monkeypatch):
    monkeypatch.setenv("TF_TICKETS_CACHE", str(cache))


def job_of(config, output, threads=None):
    """Return the job of a config, for a machine on which a training has so many threads."""
    return Job(prepare(config), output, threads_in_use() if threads is None else threads)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def made(output, cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_TICKETS_CACHE", str(cache))
        return tt.lab.run(SMALL, output)


def test_a_run_leaves_its_records_figures_ticket_and_export(made):
    for name in ("results.jsonl", "real.png", "config.json", "figures/loss.png"):
        assert (made.path / name).is_file(), name
    assert [record["arm"] for record in made.records] == ["dense", "winning", "random"]
    ticket = tt.Ticket.load(made.path / "winning_ticket" / "ticket.safetensors")
    assert ticket.masks.sparsity == pytest.approx(0.2, abs=1e-2)
    loaded = tf.saved_model.load(made.path / "export" / "saved_model")
    assert "serving_default" in loaded.signatures


def test_a_run_is_seen_from_its_folder_alone(made):
    seen = tt.lab.Run.open(made.path)
    assert seen.config == made.config and seen.metric == "loss"
    assert seen.records == made.records and seen.chosen == made.chosen
    figure = made.path / "figures" / "loss.png"
    figure.unlink()
    assert figure in tt.lab.draw_figures(seen) and figure.exists()


def test_run_again_it_makes_nothing_again(made, output):
    seals = {file: file.stat().st_mtime_ns for file in made.path.rglob("done.json")}
    again = tt.lab.run(SMALL, output)
    assert again.path == made.path
    assert {file: file.stat().st_mtime_ns for file in made.path.rglob("done.json")} == seals


def test_the_policy_of_keras_is_as_before(made):
    import keras

    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"seeds": (0, 1)}, True),
        ({"arms": ("winning",)}, True),
        ({"judging": Judging(tolerance=0.5, metric="fcd")}, True),
        ({"judging": Judging(inception="somewhere", num_samples=100)}, True),
        ({"method": IterativeMagnitude(rounds=1, rewind_step=1, all_rounds=True)}, True),
        ({"method": IterativeMagnitude(rounds=3, rewind_step=1)}, True),
        ({"method": IterativeMagnitude(rounds=1, rewind_step=1, rate=0.3)}, False),
        ({"method": IterativeMagnitude(rounds=1, rewind_step=0)}, False),
        ({"method": MagnitudeAtInit(rounds=1)}, False),
        ({"training": Training(epochs=3, batch_size=16, width=2)}, False),
        ({"network": {"latent_dim": 3}}, False),
        ({"data": Data("digits", image_size=8, limit=48)}, False),
    ],
)
def test_a_folder_is_shared_by_what_gives_the_same_bits(changes, same, made, output):
    folder = job_of(dataclasses.replace(SMALL, **changes), output).folder
    assert (folder.path == made.path) == same


def test_a_job_notes_what_was_adapted(output):
    short = dataclasses.replace(SMALL, method=IterativeMagnitude(rounds=1))
    assert job_of(short, output).notes == ["rewind step 3: a training has 4 steps"]


def test_an_extension_is_part_of_what_a_run_is(made, output, tmp_path):
    path = tmp_path / "cards.py"
    path.write_text("")
    config = dataclasses.replace(SMALL, extensions=(str(path),))
    first = job_of(config, output).folder.path
    path.write_text("# other cards\n")
    assert len({made.path, first, job_of(config, output).folder.path}) == 3


def test_an_identity_is_json_and_names_all_data():
    prepared = prepare(SMALL)
    content = json.loads(json.dumps(identity(prepared.config, prepared.experiment)))
    assert content["method"]["name"] == "imp"
    assert [content[split] for split in ("train", "validation", "test")] == [
        f"digits-{split}-8-32" for split in ("train", "validation", "test")
    ]


def test_the_commit_is_noted_and_no_part_of_the_identity(made):
    origin = tt.read_origin(made.path)
    assert origin["commit"] == commit() and origin["metric"] == "loss"
    assert "commit" not in tt.read_settings(made.path)


@pytest.mark.slow
def test_records_are_of_validation_and_of_test_images(tmp_path):
    watched = dataclasses.replace(SMALL.training, evaluations=4)
    for record in tt.lab.run(dataclasses.replace(SMALL, training=watched), tmp_path).records:
        assert record["metrics"].keys() == record["test_metrics"].keys()
        assert record["metrics"] != record["test_metrics"]
        assert record["protocol"]["real"] == "digits-validation-8-32"
        assert record["test_protocol"]["real"] == "digits-test-8-32"
        # The floor is between the same images, from either side.
        floors = [record[name]["floor"] for name in ("protocol", "test_protocol")]
        assert floors[0] == pytest.approx(floors[1], rel=1e-3) and floors[0].keys() == {
            *("fcd", "kcd")
        }
        first, *_, last = record["curve"]
        assert first["metrics"].keys() == {"loss", "reconstruction_loss"}
        assert last["metrics"] == record["metrics"]
        assert record["converged"].keys() == first["metrics"].keys()
        (described,) = record["test_protocol"]["features"]
        assert 0 <= described["accuracy"] <= 1


def test_trained_weights_are_kept_of_every_arm(made):
    for record in made.records:
        stage = made.path / record["ticket"]
        assert (stage.parent / "trained.safetensors").is_file()


def test_the_folder_of_a_transfer_names_both_models(made, output):
    training = tt.lab.GanTraining(batch_size=16)
    config = RunConfig("dcgan", Transfer(source=str(made.path)), training=training)
    assert job_of(config, output).folder.path.name.startswith("vae-to-dcgan-shared-digits-")


# --- Threads, on which the bits of a training depend


def test_threads_are_a_part_of_the_identity(made, output, tmp_path):
    threads = threads_in_use()
    assert tt.read_settings(made.path)["threads"] == threads
    given = dataclasses.replace(SMALL, threads=threads)
    assert prepare_all([given], output, HERE)[0].folder.path == made.path, "as they are the same"
    others = {job_of(SMALL, tmp_path, number).folder.path.name for number in (1, 2, 3)}
    assert len(others) == 3 and (made.path.name in others) == (threads <= 3)


def test_a_run_that_goes_on_keeps_its_threads(made, output):
    threads = threads_in_use()
    job = job_of(SMALL, output, threads + 3)
    assert (job.threads, job.folder.path) == (threads, made.path)
    longer = dataclasses.replace(SMALL, method=IterativeMagnitude(rounds=3, rewind_step=1))
    assert job_of(longer, output, threads + 3).folder.path == made.path
    other = dataclasses.replace(SMALL, network={"latent_dim": 3})
    assert job_of(other, output, threads + 3).threads == threads + 3, "it is a new run"


def test_threads_that_are_given_are_those_of_another_run(made, output, ray_is_installed):
    threads = threads_in_use() + 3
    given = dataclasses.replace(SMALL, threads=threads)
    for engine in (HERE, EngineOptions("processes"), EngineOptions("ray")):
        (job,) = prepare_all([given], output, engine)
        assert job.threads == threads and job.folder.path != made.path


def test_new_runs_share_the_processors_between_them(tmp_path, monkeypatch, ray_is_installed):
    monkeypatch.setattr("tf_tickets.engines.resources.available_cores", lambda: 12)
    monkeypatch.setattr("tf_tickets.engines.resources.memory_bytes", lambda: 2**40)
    configs = [SMALL, dataclasses.replace(SMALL, seeds=(0, 1), network={"latent_dim": 3})]
    for engine, threads in (
        (EngineOptions("processes", workers=4), 3),
        (EngineOptions("ray", workers=2), 6),
        # Of nine trainings three follow each other, so three go side by side.
        (EngineOptions("processes"), 4),
    ):
        jobs = prepare_all(configs, tmp_path, engine)
        assert [job.threads for job in jobs] == [threads] * 2


def test_this_process_does_not_train_with_threads_that_it_has_not(tmp_path):
    config = dataclasses.replace(SMALL, threads=threads_in_use() + 1)
    with pytest.raises(tt.SettingError, match=r"`threads` cannot be .* TensorFlow has begun with"):
        tt.lab.run(config, tmp_path)


# --- The machine


@pytest.fixture
def found_elsewhere(made, output):
    """Let the run be of a machine that differs in some points, for the time of a test."""
    path = made.path / "run.json"
    before = path.read_bytes()

    def change(**machine):
        content = read_sealed_json(path)
        content["origin"]["machine"] |= machine
        write_sealed_json(path, content)

    yield change
    path.write_bytes(before)


def test_on_the_same_machine_there_is_nothing_to_note(made, output):
    assert tt.read_origin(made.path)["machine"]["processor"]
    assert job_of(SMALL, output).notes == []


def test_another_processor_is_noted(found_elsewhere, output):
    here = tt.read_origin(job_of(SMALL, output).folder.path)["machine"]["processor"]
    found_elsewhere(processor="Abacus with beads", cpus=999, platform="sand")
    (note,) = job_of(SMALL, output).notes
    assert note == (
        f"processor Abacus with beads, and here {here}: what is trained now may have other bits"
    )


def test_other_gpus_are_noted(found_elsewhere, output):
    found_elsewhere(gpus=["/physical_device:GPU:7"])
    (note,) = job_of(SMALL, output).notes
    assert note.startswith("gpus ['/physical_device:GPU:7'], and here [")


# --- Several runs at once


class Notes(Watcher):
    """Notes what it learns of."""

    def __init__(self):
        self.told = []

    def run_begins(self, job):
        self.told.append(("begins", job.folder.path.name))

    def observers(self, job):
        told = self.told

        class OfStages(Observer):
            def stage_ends(self, stage, record):
                told.append((job.folder.path.name, stage.name))

        return [OfStages()]

    def trainings_begin(self, words):
        self.told.append(("trainings", words))


@pytest.mark.slow
def test_runs_that_are_made_together_are_those_made_alone(made, tmp_path):
    dense = dataclasses.replace(SMALL, arms=("winning",))
    other = dataclasses.replace(dense, network={"latent_dim": 3})
    jobs = prepare_all([other, dense, other], tmp_path, HERE)
    notes = Notes()
    runs = make(jobs, HERE, notes)
    assert [run.path for run in runs] == [job.folder.path for job in jobs]
    first, second, again = (run.path for run in runs)
    assert first == again != second and second.name == made.path.name
    stage = "seed-0/round-01/winning"
    for name in (f"{stage}/trained.safetensors", "winning_ticket/ticket.safetensors"):
        assert (second / name).read_bytes() == (made.path / name).read_bytes()
    begun = [name for word, name in notes.told if word == "begins"]
    assert begun == [first.name, second.name], "the same run is made once"
    words = "one after another in this process, one thread each"
    assert ("trainings", words) in notes.told
    ended = [told for told in notes.told if "seed-" in told[1]]
    stages = ["seed-0/round-00/dense", stage]
    assert ended == [(path.name, name) for path in (first, second) for name in stages]
    assert (first / "figures" / "loss.png").exists() and (second / "export").exists()


@pytest.mark.slow
def test_runs_of_one_folder_are_made_one_after_another(tmp_path):
    """They differ in what only adds stages."""
    short = dataclasses.replace(SMALL, arms=("winning",))
    longer = dataclasses.replace(short, method=IterativeMagnitude(rounds=2, rewind_step=1))
    runs = tt.lab.execute([longer, short, longer], tmp_path)
    assert len({run.path for run in runs}) == 1
    assert [run.config.method.rounds for run in runs] == [2, 1, 2]
    assert [len(run.records) for run in runs] == [3, 2, 3]
    assert len(list(runs[0].path.glob("seed-0/*/*/done.json"))) == 3
    runs = tt.lab.execute([dataclasses.replace(longer, seeds=(1,)), short], tmp_path)
    assert [len(run.records) for run in runs] == [3, 2]


@pytest.fixture
def worthless(monkeypatch):
    """Return a function that lets some trainings count as collapsed, by their number from 0."""

    def choose(*numbers):
        calls = itertools.count()

        def refuse(metrics):
            if next(calls) in numbers:
                raise DivergedError("One image. Try another seed.")

        monkeypatch.setattr(tt.lab.metrics, "refuse_collapse", refuse)

    return choose


@pytest.mark.slow
def test_a_ticket_that_collapsed_is_shown_and_not_kept(worthless, tmp_path):
    worthless(1)
    run = tt.lab.run(dataclasses.replace(SMALL, seeds=(0, 1)), tmp_path)
    collapsed = {(r["seed"], r["arm"]): r["collapsed"] for r in run.records if r["collapsed"]}
    assert collapsed.pop((0, "winning")) == "One image."
    assert collapsed.keys() == {(0, "random")}
    assert run.ticket_stage == "seed-1/round-01/winning"
    kept = (run.path / "winning_ticket" / "ticket.safetensors").read_bytes()
    assert kept == (run.path / run.ticket_stage / "ticket.safetensors").read_bytes()
    assert (run.path / "figures" / "images.png").exists()
    table = tables.tables(run)[0]
    assert any(cell.endswith("1/2") for row in table.rows for cell in row)
    assert run.why_worthless is None


@pytest.mark.slow
def test_without_any_ticket_none_is_kept(worthless, tmp_path):
    worthless(1)
    run = tt.lab.run(SMALL, tmp_path)
    assert run.ticket_stage is None and not (run.path / "winning_ticket").exists()
    assert (run.path / "figures" / "loss.png").exists()


@pytest.mark.slow
def test_without_any_dense_network_a_run_ends_in_one_line(worthless, tmp_path):
    worthless(0, 1)
    config = dataclasses.replace(SMALL, seeds=(0, 1))
    for _ in range(2):  # the second time nothing is trained
        with pytest.raises(
            DivergedError, match=r"every seed collapsed.* One image\. Try a lower `"
        ):
            tt.lab.run(config, tmp_path)
    (path,) = tmp_path.iterdir()
    assert len(tt.read_results(path / "results.jsonl")) == 6
    assert not (path / "figures").exists()


def test_a_run_says_what_it_does_otherwise_than_the_papers(made):
    origin = read_sealed_json(made.path / "run.json")["origin"]
    assert origin["departures"] == SMALL.departures


def test_a_trial_of_precisions_is_noted_in_the_run(monkeypatch, tmp_path):
    trial = Trial({"float32": 0.01, "mixed_bfloat16": 0.03})
    monkeypatch.setattr("tf_tickets.lab.prepared.try_precisions", lambda *_: trial)
    auto = dataclasses.replace(SMALL.training, precision="auto")
    job = job_of(dataclasses.replace(SMALL, training=auto), tmp_path)
    assert str(trial) in job.notes
    with job.folder as folder:
        content = json.loads((folder.path / "run.json").read_text())
    assert content["origin"]["precision"] == trial.as_dict()
    assert content["settings"]["recipe"]["precision"] == "float32"
