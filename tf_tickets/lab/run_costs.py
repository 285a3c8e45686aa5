"""What the stages of a run cost: FLOPs by the rules of `costs.flops`, and seconds as measured."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import keras

from tf_tickets.channels.criterion import penalised_scales
from tf_tickets.channels.ranking import ChannelRanking
from tf_tickets.costs.flops import count_flops, training_flops
from tf_tickets.costs.timing import StepTime, time_steps
from tf_tickets.lab.data.dataset import training_batches
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.keep import trained_model
from tf_tickets.lab.methods import Method
from tf_tickets.lab.precision import dtype_policy
from tf_tickets.pruning.hold import holding
from tf_tickets.runs.records import Records
from tf_tickets.tickets.ticket import Ticket


class StepCosts:
    """What a training step of each kind costs, those of all runs timed in one window, in turns.

    Models of one precision whose weights have the same shapes are of one kind, if they are trained
    alike. So the masked models of all ways are timed once, and the slim ones once for each width.
    """

    def __init__(self):
        self._models, self._flops, self._times = {}, {}, {}
        self._contexts = contextlib.ExitStack()

    def add(
        self,
        how: str,
        policy: str,
        model: keras.Model,
        batch_size: int,
        within: Callable = contextlib.nullcontext,
    ) -> tuple:
        """Add a model, and return the key of its kind.

        Args:
            how: it is trained: "whole", "masked", "penalized" or "slim".
            policy: the dtype policy that it was built by.
            model: compiled.
            batch_size: images of one update.
            within: function that returns the context in which it is trained.
        """
        shapes = tuple(tuple(weight.shape) for weight in model.trainable_variables)
        key = (how, policy, shapes)
        if key not in self._models:
            self._models[key] = model
            self._flops[key] = training_flops(model, 1, batch_size)
            self._contexts.enter_context(within())
        return key

    def measure(self, batches: Callable) -> None:
        """Time the steps of all models that were added.

        Args:
            batches: as `time_steps` takes it.
        """
        with self._contexts:
            self._times = time_steps(self._models, batches)

    def flops(self, key: tuple) -> int:
        """Return the FLOPs of a step."""
        return self._flops[key]

    def time(self, key: tuple) -> StepTime:
        """Return how long steps take; there once they were measured."""
        return self._times[key]


@dataclasses.dataclass(frozen=True)
class Part:
    """Some of the steps of a training, all of one kind.

    Attributes:
        key: of their kind.
        num_steps: how many they are.
    """

    key: tuple
    num_steps: int


class RunCosts:
    """What the stages of one run cost.

    Args:
        method: of the run.
        records: of the run; only those of finished trainings are asked about.
        folder: the run folder, in which the tickets are.
        experiment: of the run's recipe.
        steps: to which the models of the run are added.

    Attributes:
        batch_size: images of one update.
    """

    def __init__(
        self,
        method: Method,
        records: Records,
        folder: pathlib.Path,
        experiment: Experiment,
        steps: StepCosts,
    ):
        self.batch_size = experiment.recipe.batch_size
        self._method = method
        self._folder = folder
        self._experiment = experiment
        self._steps = steps
        self._policy = experiment.recipe.precision
        with dtype_policy(self._policy):
            self._model = experiment.build(0)
            self._whole = self._add("whole", self._model)
            pruned = [record for record in records if record["arm"] != "dense"]
            if method.slims:
                self._before = self._penalized()
                self._slims = {r["ticket"]: self._add("slim", self._slim(r)) for r in pruned}
            elif pruned:
                self._before = self._masked(pruned[-1])

    def _add(self, how, model, within=contextlib.nullcontext):
        return self._steps.add(how, self._policy, model, self.batch_size, within)

    def _masked(self, record):
        model = self._experiment.build(0)
        masks = Ticket.load(self._folder / record["ticket"]).masks
        return self._add("masked", model, lambda: holding(model, masks))

    def _penalized(self):
        """Add the whole model as it is trained until an early-bird ticket is drawn."""
        model, weight = self._experiment.build(0), self._method.scale_penalty
        ranking = ChannelRanking(model, self._method.whole_groups)
        return self._add("penalized", model, lambda: penalised_scales(model, ranking, weight))

    def _slim(self, record):
        stage = self._folder / pathlib.Path(record["ticket"]).parent
        return trained_model(stage, self._experiment.build, slims=True)

    @property
    def num_channels(self) -> int:
        """How many channels of the model may go."""
        return ChannelRanking(self._model).num_channels

    def forward_flops(self, batch_size: int) -> int:
        """Return the FLOPs of a forward pass of the unpruned model."""
        return count_flops(self._model, batch_size).forward

    def num_steps(self, record: dict) -> int:
        """Return the steps that a stage took itself, which may begin at a rewind point."""
        return last_step(record) - self._method.steps_skipped(record)

    def num_images(self, record: dict) -> int:
        """Return on how many images a ticket was trained, to its rewind point and from there."""
        return last_step(record) * self._experiment.images_per_step

    def weights(self, record: dict) -> int:
        """Return the parameters that are kept; what a slim model has lost is not counted twice."""
        masked = 0 if self._method.slims else record["prunable"] - record["kept"]
        return record["params"] - masked

    def to_rewind_point(self, record: dict) -> list[Part]:
        """Return the steps that the dense network took for a stage that begins after them."""
        skipped = self._method.steps_skipped(record)
        return [Part(self._whole, skipped)] if skipped else []

    def parts(self, record: dict) -> list[Part]:
        """Return the steps that a stage took itself, by their kinds."""
        steps = self.num_steps(record)
        if record["arm"] == "dense":
            return [Part(self._whole, steps)]
        if not self._method.slims:
            return [Part(self._before, steps)]
        drawn = record.get("drawn_step", 0)  # a control is slim from the start
        slim = Part(self._slims[record["ticket"]], steps - drawn)
        return [Part(self._before, drawn), slim] if drawn else [slim]

    def pruning_flops(self, record: dict) -> int:
        """Return the FLOPs of a stage's pruning; that of a control is the ticket's."""
        is_ticket = record["arm"] == "winning"
        return self._method.pruning_flops(record, self) if is_ticket else 0

    def flops(self, record: dict) -> int:
        """Return the FLOPs of a stage's own steps and of its pruning."""
        return self.flops_of(self.parts(record)) + self.pruning_flops(record)

    def flops_of(self, parts: list[Part]) -> int:
        """Return the FLOPs of some steps."""
        return sum(part.num_steps * self._steps.flops(part.key) for part in parts)

    def seconds_of(self, parts: list[Part]) -> float:
        """Return the seconds of some steps, traced already."""
        return sum(part.num_steps * self._steps.time(part.key).seconds for part in parts)

    def tracing_seconds(self, record: dict) -> float:
        """Return what the first steps of a stage take on top, of each kind that it has."""
        return sum(self._steps.time(part.key).tracing_seconds for part in self.parts(record))

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


def last_step(record: Mapping) -> int:
    """Return the optimizer step at which a training ended."""
    return record["curve"][-1]["step"]


def first_batches(experiment: Experiment) -> Callable:
    """Return a function of a number that returns so many training batches.

    Args:
        experiment: whose images they are of.
    """

    def batches(count: int):
        images, size = experiment.train_images, experiment.images_per_step
        return training_batches(images, size, seed=0, start_step=0, stop_step=count)

    return batches
