"""What a figure of a run is: when it can be drawn, and how."""

import dataclasses
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of a run, drawn from its folder alone.

    Attributes:
        name: of its file, without ".png"; `{metric}` in it stands for the run's deciding metric.
        applies: says of a `Run` whether it has what the figure shows.
        draw: draws the figure of a `Run`, and writes it to a path.
    """

    name: str
    applies: Callable
    draw: Callable

    def file_name(self, run) -> str:
        """Return the name of the file that shows a run.

        Args:
            run: a `Run`.
        """
        return f"{self.name.format(metric=run.metric)}.png"


def subject(run) -> str:
    """Return what a run is of: its model and data set, and whose tickets it has.

    Args:
        run: a `Run`.
    """
    of_what = f"{run.config.model} on {run.config.dataset}"
    return f"{of_what}, tickets of {run.source}" if run.source else of_what


def marked(run) -> dict:
    """Return which ticket a figure marks, and as what, as `metric_against_sparsity` takes it.

    Args:
        run: a `Run`.
    """
    found = run.verdict.comparison
    return {"marked_round": found and found.round, "arm": run.arm, "mark": run.verdict.kind}
