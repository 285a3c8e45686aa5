"""Ways of pruning side by side: what each costs and is worth (Kalibhat et al., 2020, table 2)."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import numpy as np

from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.costs.flops import count_flops, training_flops
from tf_tickets.costs.pruning import pruning_flops
from tf_tickets.costs.timing import step_seconds
from tf_tickets.lab.data.dataset import training_batches
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.methods.scoring import SCORINGS, num_pruning_steps
from tf_tickets.runs.folder import read_settings
from tf_tickets.search.early_bird import rebuild_slim


@dataclasses.dataclass(frozen=True)
class Row:
    """One way of pruning, at one sparsity, over all seeds.

    Attributes:
        method: "unpruned", a `--method` of find_tickets.py, or "early-bird-mixed".
        weight_sparsity: fraction of the kernels' weights that is gone, in [0, 1).
        values: the deciding metric, one value for each seed.
        weights: trainable parameters that are kept.
        training_flops: of the training of one ticket, what its pruning takes included.
        search_flops: of all trainings and pruning that it took to find it, besides.
        seconds: of the training of one ticket: its steps, at the time that a step takes once it is
            compiled, whole and slim models timed in turns.
        search_seconds: of all trainings that it took to find it, besides.
        images_per_second: of the training of one ticket.
        peak_memory_bytes: the most memory that its process held until its training ended. Of one
            method it never falls: TensorFlow keeps what it has freed, and the unpruned network was
            trained before in the same process. It bounds what a training takes from above.

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
    peak_memory_bytes: float

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


def rows_of_run(
    method: str,
    records: Sequence[dict],
    folder: pathlib.Path,
    experiment: Experiment,
    metric: str,
    *,
    rounds: int,
    seeds: Sequence[int],
    step_of_whole: float | None = None,
) -> list[Row]:
    """Return the rows of one run: unpruned first, then each round's winning arm.

    Args:
        method: what the run was made by.
        records: lines of its results.jsonl, which holds what earlier commands asked for, too.
        folder: the run.
        experiment: of the run's recipe.
        metric: the deciding metric.
        rounds: the last round that is asked for.
        seeds: those that are asked for, in the order of each row's `values`.
        step_of_whole: seconds of a step of the whole model, in which the seconds are told, where
            other runs of the same model and precision are to be compared: a machine is not as
            fast at all times. Measured where it is None.
    """
    records = [
        record
        for seed in seeds
        for record in records
        if record["seed"] == seed and record["round"] <= rounds
        if record["arm"] in ("dense", "winning")
    ]
    costs = _Costs(method, folder, experiment, records, step_of_whole)
    return [
        _row([record for record in records if record["round"] == number], records, costs, metric)
        for number in range(rounds + 1)
    ]


def _row(of_round, records, costs, metric):
    before = [costs.stages_before(record, records) for record in of_round]
    method = costs.method if of_round[0]["round"] else "unpruned"
    return Row(
        method=method,
        weight_sparsity=_mean(record["weight_sparsity"] for record in of_round),
        values=tuple(record["metrics"][metric] for record in of_round),
        weights=_mean(costs.weights(record) for record in of_round),
        training_flops=_mean(costs.flops(record) for record in of_round),
        search_flops=_mean(sum(map(costs.flops, stages)) for stages in before),
        seconds=_mean(costs.seconds(record) for record in of_round),
        search_seconds=_mean(sum(map(costs.seconds, stages)) for stages in before),
        images_per_second=_mean(costs.num_images(r) / costs.seconds(r) for r in of_round),
        peak_memory_bytes=_mean(record["peak_memory_bytes"] for record in of_round),
    )


def _mean(values):
    return float(np.mean(list(values)))


class _Costs:
    """What the stages of one run cost, by the rules of `costs`."""

    def __init__(self, method, folder, experiment, records, step_of_whole):
        self.method = method
        self._folder = folder
        self._experiment = experiment
        self._rewind_step = read_settings(folder)["rewind_step"]
        self._model = experiment.build(0)
        self._batch_size = experiment.recipe.batch_size
        # By a record's ticket; empty where tickets are no smaller models.
        self._slims = {r["ticket"]: self._slim(r) for r in records if self._is_slimmed(r)}
        seen = step_seconds({None: self._model, **self._slims}, first_batches(experiment))
        told = 1 if step_of_whole is None else step_of_whole / seen[None]
        self._step_seconds = {key: told * seconds for key, seconds in seen.items()}

    def seconds(self, record) -> float:
        """Return what the steps of a stage's training take."""
        whole = self._step_seconds[None]
        if not self._is_slimmed(record):
            return self._num_steps(record) * whole
        after = self._num_steps(record) - record["drawn_step"]
        return record["drawn_step"] * whole + after * self._step_seconds[record["ticket"]]

    def stages_before(self, record, records) -> list[dict]:
        """Return the stages that a ticket was found by: all rounds before, if it is iterative."""
        if self.method != "imp":
            return []
        return [r for r in records if r["seed"] == record["seed"] and r["round"] < record["round"]]

    def weights(self, record) -> int:
        """Return the parameters that are kept; what a slim model has lost is not counted twice."""
        masked = 0 if self._is_slimmed(record) else record["prunable"] - record["kept"]
        return record["params"] - masked

    def num_images(self, record) -> int:
        """Return on how many images a stage was trained."""
        return self._num_steps(record) * self._experiment.images_per_step

    def flops(self, record) -> int:
        """Return the FLOPs of a stage's training and of its pruning."""
        if record["arm"] == "dense":
            return self._training(self._model, self._num_steps(record))
        if self._is_slimmed(record):
            return self._early_bird(record)
        thresholds = num_pruning_steps(self.method)
        operations = {"mask_multiply": self._num_steps(record), "global_threshold": thresholds}
        pruning = pruning_flops(operations, record["prunable"]) + self._scoring()
        return self._training(self._model, self._num_steps(record)) + pruning

    def _early_bird(self, record):
        drawings = [drawing["distances"] for drawing in record["distances"]]
        operations = {
            "global_threshold": len(drawings),
            "mask_distance": sum(map(len, drawings)),
            "channel_surgery": 1,
        }
        pruning = pruning_flops(operations, ChannelRanking(self._model).num_channels)
        after = self._num_steps(record) - record["drawn_step"]
        dense = self._training(self._model, record["drawn_step"])
        return dense + self._training(self._slims[record["ticket"]], after) + pruning

    def _slim(self, record):
        stage = self._folder / pathlib.Path(record["ticket"]).parent
        files = (stage / f"{name}.safetensors" for name in ("ticket", "trained"))
        return rebuild_slim(self._experiment.build, *files)

    def _scoring(self):
        if self.method not in SCORINGS:
            return 0
        forward = count_flops(self._model, 1 if self.method == "synflow" else self._batch_size)
        operations = {self.method: SCORINGS[self.method]}
        return pruning_flops(operations, forward_flops=forward.forward)

    def _num_steps(self, record):
        """Return the steps of a stage; the dense network's lead to the rewind point and on."""
        rewound = self.method == "imp" and record["arm"] == "winning"
        return record["curve"][-1]["step"] - (self._rewind_step if rewound else 0)

    def _training(self, model, num_steps):
        return training_flops(model, num_steps, self._batch_size)

    def _is_slimmed(self, record):
        return self.method.startswith("early-bird") and record["arm"] == "winning"


def first_batches(experiment: Experiment) -> Callable:
    """Return a function of a number that returns so many batches of the training images."""

    def batches(num_steps):
        return training_batches(
            experiment.train_images,
            experiment.images_per_step,
            seed=0,
            start_step=0,
            stop_step=num_steps,
        )

    return batches
