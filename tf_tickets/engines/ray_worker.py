"""What runs in an actor of the engine `OnRay`, perhaps on another machine."""

import collections
import pathlib
import shutil
import tempfile

from tf_tickets.engines.resources import use_threads
from tf_tickets.engines.workroom import Workroom
from tf_tickets.files import write_whole_folder
from tf_tickets.quiet import load_tensorflow
from tf_tickets.runs.folder import RunFolder


class RayWorker:
    """Makes stages one after another, and tells meanwhile how far it is.

    Args:
        shares_gpu: whether other actors use the same GPU, whose memory it then leaves to them.
    """

    def __init__(self, shares_gpu: bool = False):
        if shares_gpu:
            import os

            os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
        load_tensorflow()
        self._room = Workroom()
        self._reported = collections.deque()
        self._place = tempfile.TemporaryDirectory(prefix="tf_tickets-")
        self._mirror = pathlib.Path(self._place.name)
        self._seals = {}

    def sees(self, path: str) -> bool:
        """Return whether there is such a file on this machine."""
        return pathlib.Path(path).exists()

    def progress(self) -> list:
        """Return pairs of stage and Progress since the last call."""
        return [self._reported.popleft() for _ in range(len(self._reported))]

    def make(self, number, workshop, folder, settings, stage, path, sources, threads):
        """Make one stage.

        Args:
            number, workshop, stage: as `Workroom.make` takes them.
            folder, settings: of the run.
            path: where the files go; None if this machine does not see the run folder.
            sources: then, stage name -> its seal and a reference to its files.
            threads: of TensorFlow, or None.

        Returns:
            The pair that `Workroom.make` returns, and the files if there is no path.
        """
        if threads is not None:
            use_threads(threads)

        def report(progress):
            self._reported.append((stage, progress))

        if path is not None:
            run = RunFolder(folder, settings)
            return self._room.make(number, workshop, run, stage, path, report), None
        run = RunFolder(self._mirror / str(number), settings)
        self._fetch(run.path, sources)
        with write_whole_folder(run.path / stage.name) as place:
            made = self._room.make(number, workshop, run, stage, place, report)
            return made, read_stage(place)

    def _fetch(self, folder, sources):
        """Write those sources that are not here."""
        import ray

        for name, (seal, files) in sources.items():
            if self._seals.get(folder / name) != seal:
                shutil.rmtree(folder / name, ignore_errors=True)
                (folder / name).mkdir(parents=True)
                write_stage(folder / name, ray.get(files))
                self._seals[folder / name] = seal


def read_stage(folder: pathlib.Path) -> dict[str, bytes]:
    """Return the files of a stage: path in its folder -> content."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def write_stage(folder: pathlib.Path, files: dict[str, bytes]) -> None:
    """Write the files of a stage into a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
