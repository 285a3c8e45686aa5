"""The run whose tickets are trained in another model, as its folder shows it."""

import pathlib

from tf_tickets.errors import FileError
from tf_tickets.lab.options import refuse
from tf_tickets.lab.recipes import Recipe
from tf_tickets.runs.folder import read_origin, read_settings
from tf_tickets.runs.records import Records, collapsed
from tf_tickets.runs.stages import read_records


class SourceRun:
    """A run of find_tickets.py that prunes weights.

    Args:
        path: its folder.

    Raises:
        SettingError: if it is a run of another kind.
        FileError: if there is no run, it is damaged, or no round of it is finished.

    Attributes:
        path: of the folder.
        settings: all that changes the bits of its stages.
        recipe: that it follows.
        limit: how many training images it uses; None for all.
        records: of its tickets.
    """

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.settings = read_settings(self.path)
        if "component" not in self.settings.get("method", {}):
            refuse("source", "must be a run of find_tickets.py that prunes weights", path)
        try:
            self.recipe = Recipe(**self.settings["recipe"])
            self.limit = read_origin(self.path)["config"]["data"]["limit"]
        except (KeyError, TypeError) as error:
            raise FileError(f"{self.path} holds no run that this version can read.") from error
        self.records = self._read_records()

    def _read_records(self):
        records = Records(read_records(self.path)).where(arm="winning")
        if not records:
            raise FileError(
                f"{self.path} has no finished round. Let find_tickets.py go on with it."
            )
        return records

    @property
    def model(self) -> str:
        """The name of its model."""
        return self.recipe.model

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of its images."""
        measured = next(record for record in self.records if record["protocol"])
        return tuple(measured["protocol"]["image_shape"])

    def check_found(self, seeds, rounds: int) -> None:
        """Raise FileError unless it has a ticket of each seed and round that did not collapse."""
        there = {(r["seed"], r["round"]) for r in self.records if not collapsed(r)}
        for seed in seeds:
            for number in range(1, rounds + 1):
                if (seed, number) not in there:
                    raise FileError(
                        f"{self.path} has no ticket of seed {seed}, round {number}. Choose other "
                        "`seeds` or `rounds`, or let find_tickets.py finish the run. One that "
                        "collapsed is no ticket."
                    )
