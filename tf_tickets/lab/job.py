"""A run is a function of a config: the way from there to a filled run folder."""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import tensorflow as tf

from tf_tickets import engines
from tf_tickets.errors import DivergedError, FileError, SettingError
from tf_tickets.files import sha256_of
from tf_tickets.lab.config import RunConfig
from tf_tickets.lab.description import commit, differences, machine, versions
from tf_tickets.lab.ending import Ending
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.judging import judging_plan
from tf_tickets.lab.keep import keep_ticket
from tf_tickets.lab.pictures import write_strip
from tf_tickets.lab.precision import dtype_policy
from tf_tickets.lab.prepared import Prepared, check
from tf_tickets.lab.run_view import Run
from tf_tickets.lab.show.figures import draw_figures
from tf_tickets.lab.show.page import write_page
from tf_tickets.lab.workshop import Workshop
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder, find_run, read_origin
from tf_tickets.runs.shared import shared_folder
from tf_tickets.strategy import is_chief

HERE = EngineOptions(engine="here")
_MOST_THREADS = 1001  # one more than can be asked for


def run(config: RunConfig, output="saved_models", engine: EngineOptions = HERE) -> Run:
    """Make a run, or what is not done of it yet, and return it.

    Args:
        config: what to do.
        output: the folder in which the run folder is made, under a name that the config decides.
        engine: where the trainings are made.

    Returns:
        The Run, with its figures drawn, its page written, its ticket kept and exported.

    Raises:
        SettingError: if a value cannot work.
        FileError: if the data cannot be had, or the folder not be written.
        DivergedError: if the dense training of every seed collapses; the folder keeps the records.
    """
    return execute([config], output, engine)[0]


def execute(
    configs: Sequence[RunConfig], output="saved_models", engine: EngineOptions = HERE
) -> list[Run]:
    """Make several runs at once, and return them; their trainings share one queue.

    Args:
        configs: what to do.
        output, engine: as `run` takes them.

    Returns:
        A Run for each config, as `run` returns it.

    Raises:
        SettingError, FileError, DivergedError: as `run` does.
    """
    _check_kinds(configs, engine)
    return make(prepare_all(configs, output, engine), engine)


def _check_kinds(configs, engine):
    if not isinstance(configs, Sequence) or not all(isinstance(c, RunConfig) for c in configs):
        raise SettingError("What is to be made must be RunConfigs, such as RunConfig(model='vae').")
    if not isinstance(engine, EngineOptions):
        raise SettingError(f"`engine` must be EngineOptions. Received: a {type(engine).__name__}")


class Watcher:
    """Learns how runs go on; the methods do nothing here."""

    def run_begins(self, job: "Job") -> None:
        """The run folder is this process's own."""

    def observers(self, job: "Job") -> Sequence[engines.Observer]:
        """Return who learns of the stages of a run."""
        return ()

    def trainings_begin(self, words: str) -> None:
        """The trainings begin; `words` say how many go side by side, and where."""

    def run_ends(self, job: "Job") -> None:
        """All of a run is made; not called if every dense training collapsed."""


class Job:
    """A run that is about to be made.

    Args:
        prepared: the config, brought to life.
        output: the folder in which the run folder is made.
        threads: of each training, if neither the config nor a run that goes on says how many.

    Attributes:
        prepared: as above.
        threads: of each training.
        folder: the RunFolder, not entered.
        notes: what was adapted, and what is not as it was, in words.
    """

    def __init__(self, prepared: Prepared, output, threads: int):
        self.prepared = prepared
        settings = identity(prepared.config, prepared.experiment)
        recipe, method = prepared.experiment.recipe, prepared.config.method
        name = method.run_name(recipe.model, recipe.dataset)
        found = None
        if not prepared.config.threads:
            found = find_run(output, name, settings, "threads", range(1, _MOST_THREADS))
        self.threads = found["threads"] if found else threads
        settings["threads"] = self.threads
        origin = {
            "config": prepared.asked.to_dict(),
            "metric": prepared.metric,
            "departures": prepared.config.departures,
            "machine": machine(),
            "commit": commit(),
        }
        if prepared.trial:
            origin["precision"] = prepared.trial.as_dict()
        self.folder = RunFolder.named(output, name, settings, origin)
        self.notes = [*prepared.notes, *self._notes_of_machine()]

    def _notes_of_machine(self):
        if not (self.folder.path / paths.RUN).exists():
            return []
        try:
            changed = differences(read_origin(self.folder.path).get("machine", {}))
        except FileError:  # entering the folder mends it or says so
            return []
        return [f"{change}: what is trained now may have other bits" for change in changed]

    @property
    def is_chief(self) -> bool:
        """Whether this process writes and prints."""
        return is_chief(self.prepared.experiment.strategy)

    @property
    def run(self) -> Run:
        """A view of the run folder."""
        return Run(self.folder.path, self.prepared.config, self.prepared.metric)

    @contextlib.contextmanager
    def entered(self, watcher: Watcher) -> Iterator["EnteredJob"]:
        """Hold the run folder, and give what is to be made.

        Args:
            watcher: learns of it, if this process is the chief.
        """
        prepared = self.prepared
        with shared_folder(self.folder, prepared.experiment.strategy) as folder:
            if self.is_chief:
                watcher.run_begins(self)
                self.run.save_config(prepared.asked)
            yield EnteredJob(self, folder, watcher)

    def finish(self, folder: RunFolder) -> None:
        """Write what is seen of a run: real pictures, the ticket it keeps, figures, the page."""
        experiment, run = self.prepared.experiment, self.run
        write_strip(experiment.real_pictures(), folder.path / paths.REAL)
        if run.why_worthless:
            return  # there is nothing to compare with: see `make`
        if run.arm == "winning" and run.ticket_stage:
            with dtype_policy(experiment.recipe.precision):
                build, slims = experiment.build_on_one_device, run.config.method.slims
                keep_ticket(folder, build, run.ticket_stage, slims)
        draw_figures(run)
        write_page(run)


class EnteredJob:
    """A run whose folder is held, and the plans by which it is made.

    Args:
        job: the run.
        folder: of the run, entered.
        watcher: learns of it, if this process is the chief.

    Attributes:
        training: the plan to train it.
        plans: that, and the one to judge what was trained by other features or more samples, if
            that was asked for.
    """

    def __init__(self, job: Job, folder: RunFolder, watcher: Watcher):
        prepared = job.prepared
        self.training = prepared.search.plan(prepared.config.seeds, folder)
        self.training.workshop = Workshop.of(prepared)
        self.training.threads = job.threads
        self.plans = [self.training]
        if prepared.config.method.ends_early:
            self.training.is_wanted = Ending(job.run).is_wanted
        if not job.is_chief:
            return
        if prepared.config.judging.way:
            self.plans.append(judging_plan(prepared, self.training))
        self.training.observers = watcher.observers(job)

        def finish():
            job.finish(folder)
            if not job.run.why_worthless:
                watcher.run_ends(job)

        self.plans[-1].finish = finish


def prepare_all(
    configs: Sequence[RunConfig],
    output,
    engine: EngineOptions,
    strategy: tf.distribute.Strategy | None = None,
) -> list[Job]:
    """Return the jobs of several configs, with one number of threads for all that are new.

    Args:
        configs, output, engine: as `execute` takes them.
        strategy: the TensorFlow strategy that the configs name, if it had to be made before.
    """
    checked = [check(config, strategy) for config in configs]
    prepared = [each.prepare() for each in checked]  # none is, if another cannot work
    return [Job(each, output, _threads(each, engine, prepared)) for each in prepared]


def _threads(prepared, engine, everything):
    """Return the threads of a training of a new run."""
    given = prepared.config.threads
    if engine.resolved(prepared.config.strategy).engine == "here":
        return given or engines.threads_in_use()
    plans = [each.search.plan(each.config.seeds, None) for each in everything]
    return _share(engine, plans, given).threads


def _share(engine, plans, threads):
    """Return how this machine is divided among the trainings of all plans."""
    width, gpus = engines.Queue(plans).width, len(tf.config.list_physical_devices("GPU"))
    return engines.share(width, engine.workers, threads, engine.workers_per_gpu, gpus)


def make(jobs: Sequence[Job], engine: EngineOptions, watcher: Watcher | None = None) -> list[Run]:
    """Make the runs of several jobs, and return them.

    Args:
        jobs: as `prepare_all` returns them.
        engine: where the trainings are made.
        watcher: learns of it.
    """
    watcher = watcher or Watcher()
    engine = engine.resolved(jobs[0].prepared.config.strategy)
    for at_once in _of_different_folders(jobs):
        with contextlib.ExitStack() as stack:
            entered = [stack.enter_context(job.entered(watcher)) for job in at_once]
            plans = [plan for each in entered for plan in each.plans]
            made = _engine(engine, plans, jobs[0].threads)
            threads = jobs[0].threads
            each = "one thread" if threads == 1 else f"{threads} threads"
            watcher.trainings_begin(f"{made}, {each} each")
            engines.execute(plans, made)
    for job in jobs:
        if job.is_chief:
            _refuse_worthless(job.run)
    return [job.run for job in jobs]


def _refuse_worthless(run):
    if run.why_worthless:
        raise DivergedError(
            "The dense training of every seed collapsed, so there is nothing to prune or compare "
            f"with. {run.why_worthless} Try a lower `learning_rate`, a larger `batch_size`, the "
            "`precision` float32, more `epochs`, or `retries`."
        )


def _of_different_folders(jobs) -> Iterator[list[Job]]:
    """Yield jobs that can be made at once; of those that are the same one is enough."""
    left = list(jobs)
    while left:
        at_once = {}
        for job in left:
            at_once.setdefault(job.folder.path, job)
        yield list(at_once.values())
        made = {path: job.prepared.config for path, job in at_once.items()}
        left = [job for job in left if job.prepared.config != made[job.folder.path]]


def _engine(options, plans, threads) -> engines.Engine:
    """Return the engine that the options describe."""
    if options.engine == "here":
        return engines.Here()
    if options.engine == "ray":
        return engines.OnRay(
            options.address, options.workers, threads or 1, options.workers_per_gpu
        )
    gpus = len(tf.config.list_physical_devices("GPU"))
    workers = _share(options, plans, threads).workers
    return engines.Processes(workers, gpus, options.workers_per_gpu)


def identity(config: RunConfig, experiment: Experiment) -> dict:
    """Return all that changes the bits of a stage; its hash is part of the run folder's name.

    More rounds, seeds or arms only add stages, and the metric and its tolerance only choose.

    Args:
        config: of the run, adapted to its training.
        experiment: of it.
    """
    recipe = dataclasses.asdict(experiment.recipe)
    del recipe["metric"]
    training = config.training
    known = {*training.of_recipe, *training.of_model}
    settings = {
        "recipe": recipe,
        "model_options": config.card.resolved_options(experiment.recipe.network),
        "training": {k: v for k, v in dataclasses.asdict(training).items() if k not in known},
        "method": config.method.identity(),
        "train": experiment.train_images.digest,
        "validation": experiment.validation_images.digest,
        "test": experiment.test_images.digest,
        "versions": versions(),
    }
    if config.strategy != "none":  # sums in another order are other bits
        replicas = experiment.strategy.num_replicas_in_sync
        settings["strategy"] = {"name": config.strategy, "replicas": replicas}
    if config.extensions:
        settings["extensions"] = [sha256_of(path) for path in config.extensions]
    return settings
