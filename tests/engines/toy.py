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
from tf_tickets.engines import Plan, Progress, Stage

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
    """Writes a hash of the sources' hashes.

    Args:
        seconds: that a stage takes.
        fails: name of a stage -> what happens in it: "error", "interrupt", "kill" or "kill once".
        notes: a folder, in which it leaves a file for each process and each stage made.
    """

    notes: str
    seconds: float = 0.0
    fails: tuple[tuple[str, str], ...] = ()

    @contextlib.contextmanager
    def __call__(self, folder, report):
        (pathlib.Path(self.notes) / f"process-{os.getpid()}").touch()

        def make(stage, path):
            self._fail(stage)
            sources = sources_of(stage)
            texts = [(folder.path / source.name / FILE).read_text() for source in sources]
            report(Progress(1))
            time.sleep(self.seconds)
            report(Progress(1, {"loss": 0.5}))
            found = hashlib.sha256("".join([stage.name, *texts]).encode()).hexdigest()
            (path / FILE).write_text(found)
            (pathlib.Path(self.notes) / f"made-{time.monotonic_ns()}").write_text(stage.name)
            return {**dataclasses.asdict(stage), "metrics": {"loss": len(texts)}}

        yield make

    def _fail(self, stage):
        what = dict(self.fails).get(stage.name)
        once = pathlib.Path(self.notes) / "killed"
        if what == "error":
            raise tt.DivergedError(f"{stage.name} diverged")
        if what == "interrupt":
            raise KeyboardInterrupt
        if what == "kill" or (what == "kill once" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def plan_in(path, workshop, stages=None, observers=(), **options):
    """Hold a run folder, and give the plan of a search in it."""
    with tt.RunFolder(path, {"toy": 1}) as folder:
        stages = stages or stages_of()
        yield Plan(folder, stages, sources_of, workshop, observers=observers, **options)


def bytes_of(path):
    """All files of all stages but the times of the records."""
    files = sorted(pathlib.Path(path).glob("seed-*/**/*"))
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in files if file.is_file()}


def left_overs(path):
    """What a stage that was not finished has left."""
    return [p for p in pathlib.Path(path).rglob(".*") if p.name != ".lock"]


def made_by(notes):
    """The names of the stages, in the order in which they were made."""
    files = sorted(pathlib.Path(notes).glob("made-*"), key=lambda f: int(f.name.split("-")[1]))
    return [file.read_text() for file in files]


def processes_of(notes):
    """The processes that have opened a workshop."""
    return [int(f.name.split("-")[1]) for f in pathlib.Path(notes).glob("process-*")]


def is_alive(pid):
    """Whether a process is there, and no zombie."""
    try:
        return "\nState:\tZ" not in pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
