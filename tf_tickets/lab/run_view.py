"""A view of a run folder: what was asked for, what was recorded, and what follows from it."""

import functools
import json
import pathlib

from tf_tickets.engines.stage import Stage
from tf_tickets.errors import FileError
from tf_tickets.files import write_whole
from tf_tickets.lab.config import RunConfig, load_extensions
from tf_tickets.lab.ending import Ending
from tf_tickets.lab.metrics import METRICS
from tf_tickets.runs import paths
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import Comparison, choose_winning_ticket, compare_arms, sparsest


class Run:
    """What a run folder holds.

    Args:
        path: the run folder.
        config: of the command that looks at it; its rounds, seeds and arms choose the records.
        metric: the metric that decides.

    Attributes:
        path, config, metric: as above.
    """

    def __init__(self, path, config: RunConfig, metric: str):
        self.path = pathlib.Path(path)
        self.config = config
        self.metric = metric

    @classmethod
    def open(cls, path) -> "Run":
        """Return the run in a folder, as the command that wrote there last had asked for it.

        Raises:
            FileError: if there is no run in it, or a file is damaged.
        """
        path = pathlib.Path(path)
        try:
            content = json.loads((path / paths.CONFIG).read_text())
            config, metric = content["config"], content["metric"]
        except OSError as error:
            raise FileError(f"{path} holds no run: it has no {paths.CONFIG}.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{path / paths.CONFIG} is damaged: {error}.") from error
        load_extensions(config.get("extensions", ()))
        return cls(path, RunConfig.from_dict(config), metric)

    def save_config(self, asked: RunConfig) -> None:
        """Note in the folder what is made, for `Run.open`, and what was asked for.

        Args:
            asked: the config as given, before defaults were filled in; a run that is repeated
                starts from it.
        """
        content = {
            "asked": asked.to_dict(),
            "config": self.config.to_dict(),
            "metric": self.metric,
        }
        write_whole(self.path / paths.CONFIG, (json.dumps(content, indent=2) + "\n").encode())

    @functools.cached_property
    def settings(self) -> dict:
        """All that changes the bits of a stage."""
        from tf_tickets.runs.folder import read_settings

        return read_settings(self.path)

    @functools.cached_property
    def records(self) -> Records:
        """The records of the rounds, seeds and arms that were asked for."""
        # What was made beside the last round that counts depends on who was first.
        wanted = Ending(self).is_wanted if self.config.method.ends_early else None
        asked = self._asked
        made = [record for record in asked if wanted is None or wanted(_stage_of(record), asked)]
        way = self.config.judging.way
        return Records(
            record if way is None else {**record, **record.get("judged", {}).get(way, {})}
            for record in made
        )

    @property
    def _asked(self) -> list[dict]:
        arms = ("dense", *self.config.arms)
        return [
            record
            for record in Records.read(self.path)
            if record["seed"] in self.config.seeds
            and record["round"] <= self.config.method.num_rounds
            and record["arm"] in arms
        ]

    @property
    def arm(self) -> str:
        """The arm whose tickets are judged."""
        return self.config.method.judged_arm

    @property
    def source(self) -> str | None:
        """The model that transferred tickets are of; None if tickets are the model's own."""
        transferred = self.settings["method"].get("transferred")
        return transferred and transferred["recipe"]["model"]

    @functools.cached_property
    def comparisons(self) -> list[Comparison]:
        """The judged arm of each round against dense and random."""
        judging = self.config.judging
        higher_is_better = bool(METRICS[self.metric].higher_is_better)
        return compare_arms(
            self.records, self.metric, judging.tolerance, higher_is_better, self.arm
        )

    @property
    def winner(self) -> Comparison | None:
        """The sparsest round that wins; None if no round does."""
        return choose_winning_ticket(self.comparisons)

    @property
    def chosen(self) -> Comparison:
        """The winner, or else the sparsest round that matches dense, or else the sparsest."""
        return self.winner or sparsest(self.comparisons)

    @property
    def ticket_stage(self) -> str:
        """The name of the stage whose ticket is kept, the first seed's of the chosen round."""
        return Stage(self.config.seeds[0], self.chosen.round, self.arm).name


def _stage_of(record) -> Stage:
    return Stage(record["seed"], record["round"], record["arm"])
