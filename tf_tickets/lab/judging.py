"""Judging what a run has trained by other features or more samples: nothing is trained again."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

from tf_tickets.engines import Make, Plan, Stage
from tf_tickets.lab import metrics
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.keep import trained_model
from tf_tickets.lab.precision import dtype_policy
from tf_tickets.lab.prepared import Prepared, prepare
from tf_tickets.lab.workshop import config_for_any_machine
from tf_tickets.runs import paths
from tf_tickets.tickets.ticket import Ticket


@dataclasses.dataclass(frozen=True)
class Judged(Stage):
    """A stage that judges what another has trained.

    Attributes:
        by: the name of the way of judging.
    """

    by: str

    @property
    def name(self) -> str:
        """The stage's folder within the run."""
        return f"{paths.JUDGED}/{self.by}/{super().name}"

    @property
    def trained(self) -> Stage:
        """The stage that it judges."""
        return Stage(self.seed, self.round, self.arm)


def judging_plan(prepared: Prepared, training: Plan) -> Plan:
    """Return the plan to judge all that a run trains; it may share a queue with the training.

    Args:
        prepared: of the run.
        training: the plan of its trainings.

    Raises:
        FileError: if the Inception network cannot be loaded; better now than after the training.
    """
    if prepared.config.judging.inception:
        metrics.load_inception(prepared.config.judging.inception)
    by = prepared.config.judging.way
    stages = [Judged(stage.seed, stage.round, stage.arm, by) for stage in training.stages]
    workshop = JudgingWorkshop(config_for_any_machine(prepared), prepared)

    def is_wanted(judged, records):
        """Stages that dropped out of a search have nothing to judge."""
        return (training.folder.path / judged.trained.name / paths.RESULT).exists()

    return Plan(
        training.folder,
        stages,
        lambda judged: [judged.trained],
        workshop,
        source_plan=training,
        threads=training.threads,
        is_wanted=is_wanted,
    )


class JudgingWorkshop:
    """Judges the stages of a run: see `tf_tickets.engines.Plan`.

    Args:
        config: of the run, which says by what to judge.
        prepared: of the same config, if this process has it; another prepares the config anew.
    """

    def __init__(self, config: RunConfig, prepared: Prepared | None = None):
        self._config = config
        self._prepared = prepared

    def __reduce__(self):
        return JudgingWorkshop, (self._config,)

    @contextlib.contextmanager
    def __call__(self, folder, report) -> Iterator[Make]:
        """Load the networks behind the metrics, and give the function that judges a stage."""
        prepared = self._prepared or prepare(self._config)
        judging = prepared.config.judging
        experiment, slims = prepared.experiment, prepared.config.method.slims
        validation, test = experiment.evaluators(judging.inception, judging.num_samples)
        with dtype_policy(experiment.recipe.precision):
            whole = experiment.build_on_one_device(0)

        def judge(stage: Judged, path: pathlib.Path) -> dict:
            record = {"seed": stage.seed, "round": stage.round, "arm": stage.arm}
            place = folder.path / stage.trained.name
            if not (place / paths.TRAINED).exists():  # its training collapsed
                return record
            with dtype_policy(experiment.recipe.precision):
                if slims and stage.arm != "dense":
                    model = trained_model(place, experiment.build_on_one_device, slims=True)
                else:
                    model = whole
                    Ticket.load(place / paths.TRAINED).apply(model)
                chosen_by, reported = validation(model), test(model)
            names = ("metrics", "protocol", "test_metrics", "test_protocol")
            found = dict(zip(names, (*chosen_by, *reported), strict=True))
            return {**record, "judged": {stage.by: found}}

        yield judge
