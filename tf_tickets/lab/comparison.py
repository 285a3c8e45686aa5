"""Ways of pruning side by side: what each costs, and how good its tickets are.

Source: Kalibhat et al., 2021, arXiv:2010.02350, table 2 and fig. 7.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.costs.flops import count_flops, training_flops
from tf_tickets.costs.timing import step_seconds
from tf_tickets.lab.data.dataset import training_batches
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.keep import trained_model
from tf_tickets.lab.methods import Method
from tf_tickets.lab.precision import dtype_policy
from tf_tickets.lab.prepared import recipe_of
from tf_tickets.lab.run_view import Run
from tf_tickets.lab.ways import Way
from tf_tickets.runs.records import Records


@dataclasses.dataclass(frozen=True)
class Row:
    """One way of pruning, at one sparsity, over all seeds.

    Attributes:
        method: "unpruned", or the name of a way in `WAYS`.
        weight_sparsity: fraction of the kernels' weights that is gone, in [0, 1).
        values: the deciding metric, one value for each seed.
        weights: trainable parameters that are kept.
        training_flops: of the training of one ticket, what its pruning takes included.
        search_flops: of all trainings and pruning that it took to find it, besides.
        seconds: of the training of one ticket: its steps, at the time that a step takes once it is
            compiled, whole and slim models timed in turns.
        search_seconds: of all trainings that it took to find it, besides.
        images_per_second: of the training of one ticket.

    All but `values` are means over the seeds.
    """

    method: str
    weight_sparsity: float
    values: tuple[float, ...]
    weights: float
    training_flops: float
    search_flops: float
    seconds: float
    search_seconds: float
    images_per_second: float

    @property
    def mean(self) -> float:
        """The metric's mean over the seeds."""
        return float(np.mean(self.values))

    @property
    def spread(self) -> float | None:
        """The metric's standard deviation over the seeds (n - 1), or None of one seed."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def as_dict(self) -> dict:
        """Return the row as JSON can hold it."""
        return {**dataclasses.asdict(self), "mean": self.mean, "spread": self.spread}


def compare(runs: Mapping[Way, Run], asked: Sequence[str]) -> list[Row]:
    """Return the rows of all ways, unpruned first.

    Steps are timed here, so nothing else should be trained meanwhile.

    Args:
        runs: way -> its finished run; the first shows the unpruned network.
        asked: names of the ways to show.
    """
    rows, reference = [], None
    for way, run in runs.items():
        of_run, seconds = rows_of_run(way, run, None if way.is_mixed else reference)
        if reference is None:  # the first run, which shows the unpruned network
            reference = seconds
            rows += of_run[:1]
        rows += of_run[1:] if way.name in asked else []
    return rows


def rows_of_run(
    way: Way, run: Run, reference_step_seconds: float | None = None
) -> tuple[list[Row], float]:
    """Return the rows of one run, unpruned first, and the seconds of an unpruned step.

    Args:
        way: what the run was made by.
        run: a finished run.
        reference_step_seconds: step time of the unpruned model in another run of the same model and
            precision, used to rescale all times, because a machine's speed varies between runs.
    """
    recipe = recipe_of(run.config)
    data = run.config.data
    with dtype_policy(recipe.precision):
        experiment = Experiment(recipe, data.limit, data.data_dir)
        method, records = run.config.method, run.records
        costs = Costs(method, records, run.path, experiment, reference_step_seconds)
    return rows_of(way.name, records, costs, run.metric), costs.whole_step_seconds


def rows_of(name: str, records: Records, costs: "Costs", metric: str) -> list[Row]:
    """Return the row of the dense network, and one for each round's winning arm.

    Args:
        name: of the way of pruning.
        records: of a run.
        costs: of the same.
        metric: the one that decides.
    """
    groups = records.where(arm="dense").by("round") | records.where(arm="winning").by("round")
    return [
        _row(name if number else "unpruned", group, records, costs, metric)
        for number, group in groups.items()
    ]


def _row(name, group, records, costs, metric):
    before = [costs.stages_before(record, records) for record in group]
    return Row(
        method=name,
        weight_sparsity=_mean(group.field("weight_sparsity")),
        values=tuple(group.values(metric)),
        weights=_mean(map(costs.weights, group)),
        training_flops=_mean(map(costs.flops, group)),
        search_flops=_mean(sum(map(costs.flops, stages)) for stages in before),
        seconds=_mean(map(costs.seconds, group)),
        search_seconds=_mean(sum(map(costs.seconds, stages)) for stages in before),
        images_per_second=_mean(costs.num_images(r) / costs.seconds(r) for r in group),
    )


def _mean(values):
    return float(np.mean(list(values)))


class Costs:
    """What the stages of one run cost, by the rules of `costs.flops`.

    Args:
        method: of the run.
        records: of the run.
        folder: the run folder, in which slim tickets are.
        experiment: of the run's recipe.
        reference_step_seconds: as `rows_of_run` takes it.

    Attributes:
        batch_size: images of one update.
        whole_step_seconds: of a step of the unpruned model.
    """

    def __init__(
        self,
        method: Method,
        records: Records,
        folder: pathlib.Path,
        experiment: Experiment,
        reference_step_seconds: float | None = None,
    ):
        self.batch_size = experiment.recipe.batch_size
        self._method = method
        self._folder = folder
        self._experiment = experiment
        self._model = experiment.build(0)
        slims = [record for record in records if self._is_slim(record)]
        self._slims = {record["ticket"]: self._slim(record) for record in slims}
        found = step_seconds({None: self._model, **self._slims}, first_batches(experiment))
        ratio = 1 if reference_step_seconds is None else reference_step_seconds / found[None]
        self._step_seconds = {key: ratio * seconds for key, seconds in found.items()}
        self.whole_step_seconds = self._step_seconds[None]

    @property
    def num_channels(self) -> int:
        """How many channels of the model may go."""
        return ChannelRanking(self._model).num_channels

    def forward_flops(self, batch_size: int) -> int:
        """Return the FLOPs of a forward pass of the unpruned model."""
        return count_flops(self._model, batch_size).forward

    def num_steps(self, record: dict) -> int:
        """Return the steps that a stage took; the dense network's lead to the rewind point too."""
        skipped = self._method.steps_skipped(record)
        return record["curve"][-1]["step"] - skipped

    def num_images(self, record: dict) -> int:
        """Return on how many images a stage was trained."""
        return self.num_steps(record) * self._experiment.images_per_step

    def seconds(self, record: dict) -> float:
        """Return what the steps of a stage's training take."""
        if not self._is_slim(record):
            return self.num_steps(record) * self.whole_step_seconds
        after = self.num_steps(record) - record["drawn_step"]
        slim_step = self._step_seconds[record["ticket"]]
        return record["drawn_step"] * self.whole_step_seconds + after * slim_step

    def stages_before(self, record: dict, records: Records) -> list[dict]:
        """Return the stages that a ticket was found by: all rounds before, if it is iterative."""
        if not self._method.iterates or getattr(self._method, "one_shot", False):
            return []
        of_seed = records.where(seed=record["seed"])
        return [
            each
            for each in of_seed
            if each["round"] < record["round"] and each["arm"] in ("dense", "winning")
        ]

    def weights(self, record: dict) -> int:
        """Return the parameters that are kept; what a slim model has lost is not counted twice."""
        masked = 0 if self._is_slim(record) else record["prunable"] - record["kept"]
        return record["params"] - masked

    def flops(self, record: dict) -> int:
        """Return the FLOPs of a stage's training and of its pruning."""
        steps = self.num_steps(record)
        if record["arm"] == "dense":
            return self._training(self._model, steps)
        pruning = self._method.pruning_flops(record, self)
        if not self._is_slim(record):
            return self._training(self._model, steps) + pruning
        dense = self._training(self._model, record["drawn_step"])
        slim = self._slims[record["ticket"]]
        return dense + self._training(slim, steps - record["drawn_step"]) + pruning

    def _slim(self, record) -> keras.Model:
        stage = self._folder / pathlib.Path(record["ticket"]).parent
        return trained_model(stage, self._experiment.build, slims=True)

    def _training(self, model, num_steps):
        return training_flops(model, num_steps, self.batch_size)

    def _is_slim(self, record):
        return self._method.slims and record["arm"] == "winning"


def first_batches(experiment: Experiment) -> Callable:
    """Return a function of a number that returns so many training batches.

    Args:
        experiment: whose images they are of.
    """

    def batches(count: int):
        images, size = experiment.train_images, experiment.images_per_step
        return training_batches(images, size, seed=0, start_step=0, stop_step=count)

    return batches
