"""Ways of pruning side by side: what each costs and is worth (Kalibhat et al., table 2)."""

import dataclasses
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.costs.flops import count_flops, pruning_flops, training_flops
from tf_tickets.lab.data.dataset import training_batches
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.methods.scoring import SCORINGS, num_pruning_steps
from tf_tickets.runs import paths
from tf_tickets.runs.folder import read_settings
from tf_tickets.runs.records import Records, deviation, mean
from tf_tickets.search.early_bird import rebuild_slim

_TURNS = 5
_STEPS_PER_TURN = 6


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
        return mean(self.values)

    @property
    def spread(self) -> float | None:
        """The metric's standard deviation over the seeds (n - 1), or None of one seed."""
        return deviation(self.values)

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
    of_seeds = [record for seed in seeds for record in Records(records).where(seed=seed)]
    arms = ("dense", "winning")
    records = Records(r for r in of_seeds if r["round"] <= rounds and r["arm"] in arms)
    costs = _Costs(method, folder, experiment, records, step_of_whole)
    return [_row(group, records, costs, metric) for group in records.by("round").values()]


def _row(of_round, records, costs, metric):
    before = [costs.stages_before(record, records) for record in of_round]
    method = costs.method if of_round[0]["round"] else "unpruned"
    return Row(
        method=method,
        weight_sparsity=mean(of_round.field("weight_sparsity")),
        values=tuple(of_round.values(metric)),
        weights=mean(map(costs.weights, of_round)),
        training_flops=mean(map(costs.flops, of_round)),
        search_flops=mean(sum(map(costs.flops, stages)) for stages in before),
        seconds=mean(map(costs.seconds, of_round)),
        search_seconds=mean(sum(map(costs.seconds, stages)) for stages in before),
        images_per_second=mean(costs.num_images(r) / costs.seconds(r) for r in of_round),
        peak_memory_bytes=mean(of_round.field("peak_memory_bytes")),
    )


class _Costs:
    """What the stages of one run cost, by the rules of `metrics.flops`."""

    def __init__(self, method, folder, experiment, records, step_of_whole):
        self.method = method
        self._folder = folder
        self._experiment = experiment
        self._rewind_step = read_settings(folder)["rewind_step"]
        self._model = experiment.build(0)
        self._batch_size = experiment.recipe.batch_size
        # By a record's ticket; empty where tickets are no smaller models.
        self._slims = {r["ticket"]: self._slim(r) for r in records if self._is_slimmed(r)}
        seen = step_seconds({None: self._model, **self._slims}, experiment)
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
        return rebuild_slim(self._experiment.build, stage / paths.TICKET, stage / paths.TRAINED)

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


def step_seconds(models: Mapping, experiment: Experiment) -> dict:
    """Return the median seconds of a training step of each model, timed in turns.

    The step is the one that `fit` compiles, on batches of the training images. What `fit` does
    besides, such as to begin a data set, is not in the time: among a few steps it would weigh far
    more than in a training, and as much for a small model as for a large one.

    Args:
        models: key -> a compiled model of the experiment's recipe, whole or slim.
        experiment: whose images they are trained on.
    """
    turns = {key: _turn_of(model, experiment) for key, model in models.items()}
    for turn in turns.values():
        turn()  # traces, and warms up
    seen = {key: [] for key in models}
    for _ in range(_TURNS):
        for key, turn in turns.items():
            begun = time.perf_counter()
            turn()
            seen[key].append((time.perf_counter() - begun) / _STEPS_PER_TURN)
    return {key: float(np.median(seconds)) for key, seconds in seen.items()}


def _turn_of(model, experiment):
    """Return a function that takes the next few training steps of a model."""
    num_steps = (1 + _TURNS) * _STEPS_PER_TURN
    batches = training_batches(
        experiment.train_images,
        experiment.images_per_step,
        seed=0,
        start_step=0,
        stop_step=num_steps,
    )
    iterator = iter(batches)
    step = model.make_train_function() or model.train_function

    def turn():
        for _ in range(_STEPS_PER_TURN):
            logs = step(iterator)
        tf.nest.map_structure(np.asarray, logs)  # waits for a device that works on its own

    return turn
