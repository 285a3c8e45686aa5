"""What makes a stage, in the process where it is made: an open workshop, and a report."""

import contextlib
import sys
import time

from tf_tickets.engines.stage import Stage


class Workroom:
    """Keeps the workshop of one plan open, as long as stages of that plan are asked for.

    A workshop holds a compiled model. To trace it anew takes longer than a small training.
    """

    def __init__(self):
        self._number = None
        self._make = None
        self._report = None
        self._open = contextlib.ExitStack()

    def make(self, number: int, workshop, folder, stage: Stage, path, report) -> tuple[dict, float]:
        """Make one stage, and return its record and the seconds that it took.

        Args:
            number: of the plan.
            workshop: of the plan.
            folder: the run folder in which the stage's sources are.
            stage: of the plan.
            path: the folder into which the stage's files are written.
            report: is called with each Progress of the stage.
        """
        begun = time.perf_counter()
        self._report = report
        if self._number != number:
            self.close()
            self._make = self._open.enter_context(workshop(folder, self._pass_on))
            self._number = number
        try:
            return self._make(stage, path), time.perf_counter() - begun
        except BaseException:  # the workshop has to learn of it: what it checks at its end is moot
            self._number = self._make = None
            self._open.__exit__(*sys.exc_info())
            raise

    def _pass_on(self, progress):
        self._report(progress)

    def close(self):
        """Close the workshop that is open."""
        self._number = self._make = None
        self._open.close()
