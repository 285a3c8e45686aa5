"""A search without TensorFlow: what a stage holds depends on its sources, and on nothing else."""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import pathlib
import signal
import time

import tf_tickets as tt
from tf_tickets.engines import Observer, Plan, Progress, Stage, execute

ARMS = ("winning", "random", "shuffled")
FILE = "values.txt"


def stages_of(seeds=(0, 1), arms=ARMS[:2], rounds=2):
    """The stages of a search by iterative magnitude pruning."""
    stages = []
    for seed in seeds:
        stages.append(Stage(seed, 0, "dense"))
        rows = itertools.product(range(1, rounds + 1), arms)
        stages += [Stage(seed, number, arm) for number, arm in rows]
    return stages


def sources_of(stage):
    """The stages that one is made from: the winning one of the round before, or of the same."""
    if stage.arm == "dense":
        return []
    if stage.arm != "winning":
        return [stage.of_arm("winning")]
    return [Stage(stage.seed, stage.round - 1, "winning") if stage.round > 1 else stage.dense]


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Writes a hash of what the sources hold.

    Args:
        notes: a folder, in which it leaves a file for each process and each stage made.
        seconds: that a stage takes.
        fails: name of a stage -> what happens in it: "error", "interrupt", "kill" or "kill once".
        salt: changes what every stage holds.
        slow: names of stages that take a second more.
    """

    notes: pathlib.Path
    seconds: float = 0.0
    fails: tuple[tuple[str, str], ...] = ()
    salt: str = ""
    slow: tuple[str, ...] = ()

    @contextlib.contextmanager
    def __call__(self, folder, report):
        (self.notes / f"process-{os.getpid()}").touch()

        def make(stage, path):
            self._fail(stage, path)
            texts = [(folder.path / source.name / FILE).read_text() for source in sources_of(stage)]
            report(Progress(1))
            time.sleep(self.seconds + (stage.name in self.slow))
            report(Progress(2, {"loss": 0.5}))
            (path / "part").mkdir()
            (path / "part" / "empty.txt").touch()
            found = hashlib.sha256("".join([self.salt, stage.name, *texts]).encode()).hexdigest()
            (path / FILE).write_text(found)
            (self.notes / f"made-{time.monotonic_ns()}").write_text(stage.name)
            return {**dataclasses.asdict(stage), "metrics": {"loss": len(texts)}}

        yield make

    def _fail(self, stage, path):
        what = dict(self.fails).get(stage.name)
        once = self.notes / "killed"
        if what is not None:
            (path / FILE).write_text("half")
        if what == "error":
            raise tt.DivergedError(f"{stage.name} diverged")
        if what == "interrupt":
            raise KeyboardInterrupt
        if what == "kill" or (what == "kill once" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Watching(Observer):
    """Notes what it is told."""

    def __init__(self):
        self.told = []

    def search_begins(self, stages):
        self.told.append(("search", len(stages)))

    def stage_begins(self, stage):
        self.told.append(("begins", stage.name))

    def stage_goes_on(self, stage, progress):
        self.told.append(("goes on", stage.name, progress.steps, progress.losses))

    def stage_drops_out(self, stage):
        self.told.append(("drops out", stage.name))

    def stage_ends(self, stage, record):
        self.told.append(("ends", stage.name, record["metrics"]["loss"]))

    def names(self, what):
        """The stages of which it was told so."""
        return [told[1] for told in self.told if told[0] == what]


def until_round(last, seeds=(0, 1)):
    """A rule: once the tickets of a round are there for all seeds, no later round is wanted."""

    def is_wanted(stage, records):
        there = {
            (record["round"], record["seed"]) for record in records if record["arm"] == ARMS[0]
        }
        return stage.round <= last or not {(last, seed) for seed in seeds} <= there

    return is_wanted


def told_of(stage):
    """What is told of a stage that is made."""
    steps = [("goes on", stage.name, 1, None), ("goes on", stage.name, 2, {"loss": 0.5})]
    return [("begins", stage.name), *steps, ("ends", stage.name, len(sources_of(stage)))]


@contextlib.contextmanager
def plan_in(path, workshop, stages=None, **options):
    """Hold a run folder, and give the plan of a search in it."""
    with tt.RunFolder(path, {"toy": 1}) as folder:
        yield Plan(folder, stages or stages_of(), sources_of, workshop, **options)


def make(path, workshop, engine=None, **options):
    """Make a search, and return its records."""
    with plan_in(path, workshop, **options) as plan:
        return execute([plan], engine)[0]


def bytes_of(path):
    """All files of all stages."""
    files = (file for file in pathlib.Path(path).glob("seed-*/**/*") if file.is_file())
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}


def done_in(path):
    """The names of the stages that are done."""
    files = pathlib.Path(path).rglob("done.json")
    return {file.parent.relative_to(path).as_posix() for file in files}


def left_overs(path):
    """What a stage that was not finished has left."""
    return [file for file in pathlib.Path(path).rglob(".*") if file.name != ".lock"]


def made_by(notes):
    """The names of the stages, in the order in which they were made."""
    files = sorted(notes.glob("made-*"), key=lambda file: int(file.name.split("-")[1]))
    return [file.read_text() for file in files]


def processes_of(notes):
    """The processes that have opened a workshop."""
    return [int(file.name.split("-")[1]) for file in notes.glob("process-*")]


def alive_of(notes):
    """Those of them that have not ended."""
    return [pid for pid in processes_of(notes) if _is_alive(pid)]


def _is_alive(pid):
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def wait_until(condition, seconds=120):
    """Wait for what a condition says."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
