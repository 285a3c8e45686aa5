"""One training of a search: its steps, its time, and its metrics on the way."""

import contextlib
import math
import time
from collections.abc import Iterator

import keras
import numpy as np

from tf_tickets.costs.memory import peak_memory_bytes
from tf_tickets.engines.stage import Stage
from tf_tickets.errors import DivergedError, SettingError, check_json
from tf_tickets.names import variable_names
from tf_tickets.optimizers import optimizers_of
from tf_tickets.search.convergence import converged_metrics
from tf_tickets.search.task import Task
from tf_tickets.search.verdict import follow_curve
from tf_tickets.tickets.snapshot import take_snapshot

_NOT_TRAINED = "Not trained: "


class Training:
    """One training of a stage: its steps, its time, and its metrics on the way.

    Args:
        task: whose `train` and `evaluate` are called.
        data_seed: decides the batch of each step.
        not_before: evaluations before this optimizer step are left out: the arms that rewind are
            never there, and all arms are to be looked at equally often.

    Attributes:
        step: optimizer steps that are behind the model.
        curve: step and metrics of each evaluation so far.
        collapsed: why the training collapsed, in a sentence; None if it did not.
    """

    def __init__(self, task: Task, data_seed: int, not_before: int = 0):
        self.step = 0
        self.curve: list[dict] = []
        self.collapsed: str | None = None
        self._task = task
        self._data_seed = data_seed
        grid = (
            round(task.num_steps * number / task.evaluations)
            for number in range(1, task.evaluations + 1)
        )
        self._due = [step for step in grid if step >= not_before]
        self._protocol: dict = {}
        self._test: dict = {}
        self._seconds = {"draw": 0.0, "training": 0.0, "evaluation": 0.0}

    def go_on(self, model: keras.Model, last_step: int) -> None:
        """Train a model, which need not be that of the steps before, and evaluate when it is due.

        Raises:
            DivergedError: if a weight or a metric becomes NaN or infinite.
            SettingError: if the task evaluates to something else than metrics.
        """
        while self._due and self._due[0] <= last_step:
            self.advance(model, self._due.pop(0))
            with self.counted("evaluation"):
                metrics = self._evaluate(model)
            self.curve.append({"step": self.step, "metrics": metrics})
        self.advance(model, last_step)

    def _evaluate(self, model) -> dict:
        task = self._task
        if self._due and task.watch:
            return _finite_metrics("watch", task.watch(model))
        metrics, self._protocol = _pair("evaluate", task.evaluate(model))
        if task.test and not self._due:
            test_metrics, test_protocol = _pair("test", task.test(model))
            self._test = {"test_metrics": test_metrics, "test_protocol": test_protocol}
        return metrics

    @contextlib.contextmanager
    def counted(self, what: str) -> Iterator[None]:
        """Count the time of a `with` block.

        Args:
            what: "draw", "training" or "evaluation".
        """
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[what] += time.perf_counter() - begun

    def advance(self, model: keras.Model, last_step: int) -> None:
        """Train a model without evaluations; raises as `go_on` does."""
        if self.step < last_step:
            with self.counted("training"):
                self._task.train(model, self._data_seed, self.step, last_step)
            self.step = last_step
        refuse_non_finite(model)

    @property
    def metrics(self) -> dict:
        """The metrics at the end of the training; none if it has not come to its end."""
        ended = self.curve and self.curve[-1]["step"] == self._task.num_steps
        return self.curve[-1]["metrics"] if ended else {}

    @contextlib.contextmanager
    def may_collapse(self) -> Iterator[None]:
        """Take a DivergedError inside a `with` block for what has come of the training."""
        try:
            yield
        except DivergedError as error:
            sentence = str(error).partition(". ")[0]  # what follows is advice
            self.collapsed = sentence if sentence.endswith(".") else f"{sentence}."

    def check(self) -> None:
        """Raise DivergedError if the task says that what was trained is worth nothing."""
        if self._task.check:
            self._task.check(self.metrics)

    def result(self) -> dict:
        """Return what the stage's record holds of its training."""
        return {
            "metrics": self.metrics,
            "protocol": self._protocol,
            **self._test,
            "curve": self.curve,
            "best": follow_curve(self.curve, self._task.directions),
            "converged": converged_metrics(self.curve, self._task.directions),
            "collapsed": self.collapsed,
            "draw_seconds": round(self._seconds["draw"], 3),
            "seconds": round(self._seconds["training"], 3),
            "evaluation_seconds": round(self._seconds["evaluation"], 3),
            "peak_memory_bytes": peak_memory_bytes(),
        }


def _pair(name, answer) -> tuple[dict, dict]:
    """Return the metrics and the protocol that a task's `evaluate` or `test` has answered."""
    if not (isinstance(answer, tuple | list) and len(answer) == 2):
        raise SettingError(
            f"`{name}` must return a pair, (metrics: name -> float, protocol: dict). "
            f"Received: {answer!r}"
        )
    check_json(f"the protocol of {name}", answer[1])
    return _finite_metrics(name, answer[0]), answer[1]


def _finite_metrics(name, metrics) -> dict[str, float]:
    """Return metrics as Python's floats, which JSON can hold."""
    try:
        found = {str(metric): float(value) for metric, value in metrics.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise SettingError(
            f"`{name}` must return metrics, name -> float. Received: {metrics!r}"
        ) from error
    for metric, value in found.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"Training diverged: its {metric} is {value}. Nothing was pruned on it, and what "
                "was found before is kept. Try a lower learning rate, a larger batch, or float32."
            )
    return found


def built_optimizers(model: keras.Model) -> dict[str, np.ndarray]:
    """Return the state of a model's optimizers before any step, as a part of a snapshot."""
    for optimizer in optimizers_of(model):
        if not optimizer.built:
            with model.distribute_strategy.scope():
                optimizer.build(model.trainable_variables)
    state = take_snapshot(model, optimizer=True)
    return {name: value for name, value in state.items() if name.startswith("optimizer/")}


def why_not_trained(source: Stage, reason: str) -> str:
    """Return why a stage is not trained that would be made from one which collapsed.

    Args:
        source: that stage.
        reason: why it collapsed, or was not trained itself.
    """
    if reason.startswith(_NOT_TRAINED):
        return reason
    return f"{_NOT_TRAINED}{source.name} collapsed, from which it would have been made."


def refuse_non_finite(model: keras.Model) -> None:
    """Raise DivergedError if a trained weight is NaN or infinite."""
    for name, variable in variable_names(model).items():
        if variable.trainable and not np.isfinite(variable.numpy()).all():
            raise DivergedError(
                f"Training diverged: {name} is NaN or infinite. Nothing was pruned on it, and what "
                "was found before is kept. Try a lower learning rate, a larger batch, float32, or "
                "the batches in another order."
            )
