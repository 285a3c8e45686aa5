"""Where the trainings of runs are made: the options, and the engine that they describe."""

import dataclasses
from importlib.util import find_spec

from tf_tickets.lab.options import Options, option, refuse

ENGINES = ("here", "processes", "ray")


@dataclasses.dataclass(frozen=True)
class EngineOptions(Options):
    """Where the trainings are made, and how many at once. It changes no result."""

    engine: str | None = option(
        None,
        "where the trainings are made: one after another in this process, in several processes of "
        "this machine, or in a Ray cluster (default: processes; here if a strategy is given)",
        ENGINES,
    )
    workers: int | None = option(
        None,
        "trainings side by side (default: as many as there is work and room for)",
        at_least=1,
        at_most=1000,
    )
    workers_per_gpu: int = option(1, "trainings that share a GPU", at_least=1, at_most=1000)
    address: str | None = option(
        None, "of a Ray cluster, such as auto or 10.0.0.1:6379 (default: a cluster on this machine)"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.engine == "here" and (self.workers or 1) > 1:
            refuse("workers", "must be 1 if the engine is here", self.workers)
        if self.engine != "ray" and self.address is not None:
            refuse("address", "is for the engine ray", self.address)

    def threads_here(self, threads: int | None) -> int | None:
        """Return the threads that this process has to have; None if it trains nothing itself.

        Args:
            threads: of a training, as a RunConfig says.
        """
        return threads if self.engine == "here" else None

    def resolved(self, strategy: str) -> "EngineOptions":
        """Return the options with an engine.

        Args:
            strategy: the name of what trains one model on several devices.

        Raises:
            SettingError: if the engine and the strategy cannot go together, or Ray is not there.
        """
        engine = self.engine or ("here" if strategy != "none" else "processes")
        if engine != "here" and strategy != "none":
            refuse("engine", f"must be here if the strategy is {strategy}", engine)
        if engine == "ray" and find_spec("ray") is None:
            expected = "can be ray only if Ray is installed: pip install 'tf-tickets[ray]'"
            refuse("engine", expected, engine)
        return dataclasses.replace(self, engine=engine)
