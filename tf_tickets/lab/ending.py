"""When a search by rounds may end: no verdict can reach a later round."""

import functools
from collections.abc import Sequence

from tf_tickets.engines.stage import Stage
from tf_tickets.lab.metrics import METRICS
from tf_tickets.runs.folder import read_origin
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import last_round_to_ask


class Ending:
    """Says which stages of a run are still wanted: see `last_round_to_ask`.

    The metric is the one that the run was first asked for, so that one that is finished trains
    nothing if it is asked for another. By a metric that trainings do not end with no search ends
    early.

    Args:
        run: a `Run`.
    """

    def __init__(self, run):
        self._run = run
        self._known: tuple[int, int | None] = (0, None)

    def is_wanted(self, stage: Stage, records: Sequence[dict]) -> bool:
        """Return whether a stage has to be made: see `engines.Plan`."""
        if len(records) != self._known[0]:
            self._known = len(records), self.last_round(Records(records))
        last = self._known[1]
        return last is None or stage.round <= last

    def last_round(self, records: Records) -> int | None:
        """Return the last round that has to be made; None if that is not known.

        Args:
            records: of the stages that are done.
        """
        run, metric = self._run, self._metric
        if any(metric not in r["metrics"] for r in records if not r.get("collapsed")):
            return None
        higher_is_better = bool(METRICS[metric].higher_is_better)
        return last_round_to_ask(records, metric, higher_is_better, run.arm, seeds=run.config.seeds)

    @functools.cached_property
    def _metric(self) -> str:
        return read_origin(self._run.path).get("metric", self._run.metric)
