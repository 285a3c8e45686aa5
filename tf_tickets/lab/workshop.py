"""Where the stages of a run are made, in whatever process."""

import contextlib
import dataclasses
import time
from collections.abc import Iterator

from tf_tickets.engines import Make, Progress
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.precision import dtype_policy
from tf_tickets.lab.prepared import Prepared, prepare
from tf_tickets.lab.training import StepCounter

_SECONDS_BETWEEN_REPORTS = 1.0


class Workshop:
    """Makes the stages of a run: see `tf_tickets.engines.Plan`.

    It can be pickled. In another process it prepares the config anew, and in this one it takes what
    was prepared already.

    Args:
        config: what to do.
        prepared: of the same config, if this process has it.
    """

    def __init__(self, config: RunConfig, prepared: Prepared | None = None):
        self._config = config
        self._prepared = prepared

    @classmethod
    def of(cls, prepared: Prepared) -> "Workshop":
        """Return the workshop of what was prepared, for machines of any kind."""
        return cls(config_for_any_machine(prepared), prepared)

    def __reduce__(self):
        return Workshop, (self._config,)

    @contextlib.contextmanager
    def __call__(self, folder, report) -> Iterator[Make]:
        """Build the model, and give the function that makes a stage."""
        prepared = self._prepared or prepare(self._config)
        experiment = prepared.experiment
        experiment.callbacks = [Reporter(report)]
        plan = prepared.search.plan(prepared.config.seeds, folder)
        policy = experiment.recipe.precision

        def tell(steps_done, num_steps):
            what = "training the classifier behind the metrics"
            report(Progress(0, doing=f"{what}, {steps_done / num_steps:.0%}"))

        with contextlib.ExitStack() as stack:
            with dtype_policy(policy):
                # Here, as its bits depend on the threads of those that train.
                experiment.load_features(tell)
                make = stack.enter_context(plan.workshop(folder, report))

            def make_by_policy(stage, path):
                with dtype_policy(policy):
                    return make(stage, path)

            yield make_by_policy


def config_for_any_machine(prepared: Prepared) -> RunConfig:
    """Return the config that was prepared, its precision chosen by this machine."""
    precision = prepared.experiment.recipe.precision
    training = dataclasses.replace(prepared.asked.training, precision=precision)
    return dataclasses.replace(prepared.asked, training=training)


class Reporter(StepCounter):
    """Reports how far a training is: once a second, and at the end of each epoch.

    Args:
        report: is called with each Progress.
    """

    def __init__(self, report):
        super().__init__()
        self._report = report
        self._last = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Count optimizer steps."""
        super().on_train_batch_end(batch, logs)
        if time.monotonic() - self._last >= _SECONDS_BETWEEN_REPORTS:
            self._send(None)

    def on_epoch_end(self, epoch, logs=None):
        """Report the losses of an epoch."""
        self._send({name: float(value) for name, value in (logs or {}).items()})

    def _send(self, losses):
        self._report(Progress(self.steps, losses))
        self.steps, self._last = 0, time.monotonic()
