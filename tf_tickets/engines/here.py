"""The engine of a single process: this one makes one stage after another."""

import concurrent.futures

from tf_tickets.engines.resources import use_threads
from tf_tickets.engines.workroom import Workroom


class Here:
    """Makes all stages in this process, in their order."""

    in_turn = True

    def __str__(self):
        return "one after another in this process"

    def __enter__(self):
        self._room = Workroom()
        return self

    def __exit__(self, *exception):
        self._room.close()

    def idle(self):
        """Return the one worker."""
        return ["here"]

    def submit(self, worker, order):
        """Make the stage, and return a future that is done."""
        future = concurrent.futures.Future()
        plan = order.plan
        try:
            if plan.threads is not None:
                use_threads(plan.threads)
            made = self._room.make(
                order.number, plan.workshop, plan.folder, order.stage, order.path, order.report
            )
            future.set_result(made)
        except Exception as error:
            future.set_exception(error)
        return future

    def pass_on_progress(self):
        """Do nothing: this process has reported itself."""
