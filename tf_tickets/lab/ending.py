"""When a search by rounds may end: no verdict can reach a later round."""

import functools
from collections.abc import Sequence

import numpy as np

from tf_tickets.engines.stage import Stage
from tf_tickets.lab.metrics import METRICS
from tf_tickets.runs.folder import read_origin

MOST_TOLERANCE = 0.2


class Ending:
    """Says which stages of a run are still wanted.

    A verdict asks the rounds in turn, and stops at the first whose tickets are worse than dense.
    Once a round's are so on average, by more than any tolerance that is shown, it cannot pass.

    The metric is the one that the run was first asked for, so that one that is finished trains
    nothing if it is asked for another. Of a metric that trainings do not end with, or that may be
    negative, no search ends early.

    Args:
        run: a `Run`.
    """

    def __init__(self, run):
        self._run = run
        self._known: tuple[int, int | None] = (0, None)

    def is_wanted(self, stage: Stage, records: Sequence[dict]) -> bool:
        """Return whether a stage has to be made: see `engines.Plan`."""
        if len(records) != self._known[0]:
            self._known = len(records), self._last_round(records)
        last = self._known[1]
        return last is None or stage.round <= last

    def _last_round(self, records) -> int | None:
        values = {(r["round"], r["arm"], r["seed"]): r["metrics"] for r in records}
        seeds, metric = self._run.config.seeds, self._metric
        for number in range(1, self._run.config.method.num_rounds + 1):
            try:
                dense = [values[0, "dense", seed][metric] for seed in seeds]
                ticket = [values[number, "winning", seed][metric] for seed in seeds]
            except KeyError:
                return None
            if _is_worse(ticket, dense, METRICS[metric].higher_is_better):
                return number
        return None

    @functools.cached_property
    def _metric(self) -> str:
        return read_origin(self._run.path).get("metric", self._run.metric)


def _is_worse(ticket, dense, higher_is_better) -> bool:
    if min(*ticket, *dense) <= 0:  # a ratio would say nothing
        return False
    loss = np.mean(np.log(np.divide(ticket, dense)))
    return bool((-loss if higher_is_better else loss) > np.log1p(MOST_TOLERANCE))
