"""What a search asks of a model and its data."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import keras

from tf_tickets.errors import SettingError, check_count, check_function, check_mapping, check_whole

_OPTIONAL = ("watch", "test", "check", "prepare", "illustrate")


@dataclasses.dataclass(frozen=True)
class Task:
    """How a model is built, trained and judged: all that a search knows of it.

    Args:
        build: `build(seed)` returns a new compiled model whose weights are drawn from the seed.
        train: `train(model, seed, start_step, stop_step)` trains for these optimizer steps, with
            batches that depend on the seed and the step alone.
        evaluate: `evaluate(model)` returns (metrics: name -> float, protocol: dict). Whatever is
            chosen is chosen by these metrics, so they should be of validation images.
        num_steps: optimizer steps of a whole training.
        evaluations: how often a training is evaluated, at equal distances, the last time at its
            end. No arm is evaluated before the rewind step. With four or more, records say whether
            trainings had converged.
        watch: `watch(model)` returns the metrics that a training is followed by before its end;
            None for all that `evaluate` returns. A cheap part of them saves time.
        test: `test(model)` returns the same metrics and protocol of test images, by which nothing
            is chosen: they are what is reported.
        directions: metric -> whether higher is better; None if neither direction is, which leaves
            it without a best value. A metric that is absent is better when lower.
        check: `check(metrics)` raises DivergedError if a network is worth nothing, such as a GAN
            whose samples are all one image. That is a collapse in any arm, as a NaN is.
        prepare: `prepare(model, dense)` is called before each training, when the weights that it
            starts from are set. `dense` holds the trained dense network's weights by variable name;
            None if there are none of this model's shapes.
        illustrate: `illustrate(model, path)` writes a PNG of what the trained model makes.

    Raises:
        SettingError: if what should be a function is none, or a training is evaluated less than
            once or more often than it has steps.
    """

    build: Callable[[int], keras.Model]
    train: Callable[[keras.Model, int, int, int], None]
    evaluate: Callable[[keras.Model], tuple[dict, dict]]
    num_steps: int
    evaluations: int = 1
    watch: Callable[[keras.Model], dict] | None = None
    test: Callable[[keras.Model], tuple[dict, dict]] | None = None
    directions: Mapping[str, bool | None] = dataclasses.field(default_factory=dict)
    check: Callable[[dict], None] | None = None
    prepare: Callable[[keras.Model, Mapping | None], None] | None = None
    illustrate: Callable[[keras.Model, pathlib.Path], None] | None = None

    def __post_init__(self):
        for name in ("train", "evaluate", *_OPTIONAL):
            function = getattr(self, name)
            if function is not None or name not in _OPTIONAL:
                check_function(name, function)
        check_build(self.build)
        check_mapping("directions", self.directions, "metrics to whether higher is better")
        check_count("num_steps", self.num_steps)
        check_whole("evaluations", self.evaluations)
        if not 1 <= self.evaluations <= self.num_steps:
            raise SettingError(
                f"`evaluations` must be from 1 to the {self.num_steps} steps of a training. "
                f"Received: evaluations={self.evaluations}"
            )


def check_build(build: Callable) -> None:
    """Raise SettingError unless the argument `build` is a function, which a model is not."""
    check_function("build", build)
    if isinstance(build, keras.Model):
        raise SettingError(
            "`build` must be a function of a seed that returns a new model. Received: a model"
        )


def check_task(task: Task) -> None:
    """Raise SettingError unless the argument `task` is one."""
    if not isinstance(task, Task):
        raise SettingError(f"`task` must be a tt.search.Task. Received: a {type(task).__name__}")
