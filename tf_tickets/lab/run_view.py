"""A view of a run folder: what was asked for, what was recorded, and what follows from it."""

import functools
import json
import pathlib

from tf_tickets.engines.stage import Stage
from tf_tickets.errors import FileError
from tf_tickets.files import as_path, unsealed, write_sealed_json
from tf_tickets.lab.config import RunConfig, load_extensions
from tf_tickets.lab.ending import Ending
from tf_tickets.lab.metrics import METRICS
from tf_tickets.runs import paths
from tf_tickets.runs.records import Records, collapsed
from tf_tickets.search.verdict import TOLERANCES, Comparison, Verdict, judge, sparsest


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
        path = as_path(path)
        try:
            content = unsealed(path / paths.CONFIG, json.loads((path / paths.CONFIG).read_text()))
            config, metric = content["config"], content["metric"]
            extensions = list(config.get("extensions", ()))
        except OSError as error:
            raise FileError(f"{path} holds no run: it has no {paths.CONFIG}.") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FileError(f"{path / paths.CONFIG} is damaged: {error}.") from error
        load_extensions(extensions)
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
        write_sealed_json(self.path / paths.CONFIG, content)

    @functools.cached_property
    def settings(self) -> dict:
        """All that changes the bits of a stage."""
        from tf_tickets.runs.folder import read_settings

        return read_settings(self.path)

    @functools.cached_property
    def records(self) -> Records:
        """The records of the rounds, seeds and arms that were asked for and are wanted."""
        arms, method = ("dense", *self.config.arms), self.config.method
        asked = Records(
            record
            for record in Records.read(self.path)
            if record["seed"] in self.config.seeds
            and record["round"] <= method.num_rounds
            and record["arm"] in arms
        )
        last = Ending(self).last_round(asked) if method.ends_early else None
        way = self.config.judging.way
        return Records(
            record if way is None else {**record, **record.get("judged", {}).get(way, {})}
            for record in asked
            if last is None or record["round"] <= last
        )

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
    def verdict(self) -> Verdict:
        """What the seeds say of the judged arm, on the validation images."""
        return self._judged(self.config.judging.tolerance)

    @functools.cached_property
    def verdicts(self) -> dict[float, Verdict]:
        """The verdict at other tolerances too, 5, 10 and 20 %: how far it hangs on ours."""
        tolerances = sorted({*TOLERANCES, self.config.judging.tolerance})
        return {tolerance: self._judged(tolerance) for tolerance in tolerances}

    @functools.cached_property
    def tested(self) -> Verdict | None:
        """The same on the test images, which chose nothing; None if there are no test metrics."""
        whole = (record for record in self.records if not record.get("collapsed"))
        if not all(record.get("test_metrics") for record in whole):
            return None
        return self._judged(self.config.judging.tolerance, of="test_metrics")

    def _judged(self, tolerance, of="metrics"):
        higher_is_better = bool(METRICS[self.metric].higher_is_better)
        return judge(self.records, self.metric, tolerance, higher_is_better, self.arm, of)

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        """The judged arm of each round against dense and random, in the order of sparsity."""
        return self.verdict.comparisons

    @property
    def chosen(self) -> Comparison:
        """That of the winning ticket or the candidate, or else of the sparsest round whose mean is
        within the tolerance, or else of the first round.

        Without a verdict, rounds of which every ticket collapsed are not looked at, if there are
        others.
        """
        there = {record["round"] for record in self._tickets}
        found = [comparison for comparison in self.comparisons if comparison.round in there]
        return self.verdict.comparison or sparsest(found or self.comparisons)

    @property
    def _tickets(self) -> list[dict]:
        """The records of the judged arm that can be kept."""
        return [
            record
            for record in self.records.where(arm=self.arm)
            if not collapsed(record) and record["seed"] not in self.verdict.left_out
        ]

    @property
    def ticket_stage(self) -> str | None:
        """The name of the stage whose ticket is kept, the first seed's of the chosen round.

        That of the first seed whose ticket did not collapse; None if all of them did.
        """
        seeds = [r["seed"] for r in self._tickets if r["round"] == self.chosen.round]
        return Stage(seeds[0], self.chosen.round, self.arm).name if seeds else None

    @property
    def why_worthless(self) -> str | None:
        """Why the dense training collapsed, if it did so for every seed; None otherwise."""
        reasons = [collapsed(record) for record in self.records.where(arm="dense")]
        return reasons[0] if reasons and all(reasons) else None
