"""When a search by rounds may end: no verdict can reach a later round."""

from collections.abc import Sequence

from tf_tickets.engines.stage import Stage
from tf_tickets.lab.metrics import METRICS
from tf_tickets.runs.records import Records
from tf_tickets.search.verdict import last_round_to_ask


class Ending:
    """Says which stages of a run are still wanted: see `last_round_to_ask`.

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

        It is never known if the metric that decides is none of those that trainings end with.
        """
        run = self._run
        if any(run.metric not in r["metrics"] for r in records if not r.get("collapsed")):
            return None
        higher_is_better = bool(METRICS[run.metric].higher_is_better)
        return last_round_to_ask(
            records, run.metric, higher_is_better, run.arm, seeds=run.config.seeds
        )
