"""A run is a function of a config: the way from there to a filled run folder."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import keras

from tf_tickets.errors import SettingError
from tf_tickets.files import sha256_of
from tf_tickets.lab import metrics
from tf_tickets.lab.config import RunConfig, load_extensions
from tf_tickets.lab.data import DATASETS, image_shape
from tf_tickets.lab.description import machine, versions
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.keep import keep_ticket
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.options import refuse
from tf_tickets.lab.pictures import write_strip
from tf_tickets.lab.precision import dtype_policy, resolve_precision
from tf_tickets.lab.recipes import Recipe, resolve
from tf_tickets.lab.run_view import Run
from tf_tickets.lab.show.figures import draw_figures
from tf_tickets.runs import paths
from tf_tickets.runs.folder import RunFolder
from tf_tickets.runs.shared import shared_folder
from tf_tickets.search import Observer
from tf_tickets.strategy import is_chief, resolve_strategy

# What can decide without labels, and so without a classifier of them.
_OF_ANY_IMAGES = "reconstruction_loss"


def run(config: RunConfig, output="saved_models") -> Run:
    """Make a run, or what is not done of it yet, and return it.

    Args:
        config: what to do.
        output: the folder in which the run folder is made, under a name that the config decides.

    Returns:
        The Run, with its figures drawn, its ticket kept and exported.

    Raises:
        SettingError: if a value cannot work.
        FileError: if the data cannot be had, or the folder not be written.
        DivergedError: if a training diverges; what was finished before is kept.
    """
    return Job(config, output).make()


class Job:
    """A run that is about to be made.

    Args:
        config: what to do.
        output: the folder in which the run folder is made.
        strategy: the TensorFlow strategy that the config names, if it had to be made before.

    Raises:
        SettingError: if a value cannot work.
        FileError: if the data cannot be had.

    Attributes:
        config: with all that its method decides besides.
        experiment: the recipe with its data.
        metric: the name of the metric that decides.
        notes: what was adapted to a short training or to the data, in words.
        folder: the RunFolder, not entered.
    """

    def __init__(self, config: RunConfig, output="saved_models", strategy=None):
        load_extensions(config.extensions)
        self._asked = config
        config = config.method.completed(config)
        strategy = strategy or resolve_strategy(config.strategy)
        recipe = recipe_of(config)
        self.metric = metric_of(config, recipe)
        with dtype_policy(recipe.precision):
            # To be refused now, not after minutes in which the metrics' classifier is trained.
            shape = image_shape(recipe.dataset, recipe.image_size, config.data.data_dir)
            config.method.check_model(MODELS[recipe.model].build(shape, **recipe.network), config)
            self.experiment = Experiment(
                recipe,
                config.data.limit,
                config.data.data_dir,
                config.judging.inception,
                getattr(config.training, "distill_discriminator", False),
                strategy,
            )
            self.config, self.notes = _fitted(config, self.experiment)
            self.notes += _note_of_model(self._asked.model, config.model)
            self.notes += _note_of_metric(self.metric, config, recipe)
            self._search = self.config.method.search(self.experiment, self.config)
        settings = identity(self.config, self.experiment)
        name = self.config.method.run_name(recipe.model, recipe.dataset)
        origin = {"config": self._asked.to_dict(), "machine": machine()}
        self.folder = RunFolder.named(output, name, settings, origin)

    def make(
        self,
        observers: Sequence[Observer] = (),
        progress: Callable[[int, int], None] | None = None,
        begins: Callable[[], None] | None = None,
    ) -> Run:
        """Make the stages that are not done yet, and what follows from them.

        Args:
            observers: learn of every stage; those that are Keras callbacks, of every batch too.
            progress: as `Experiment.load_features` takes it.
            begins: called by the chief once the run folder is its own and the workers agree.
        """
        callbacks = [each for each in observers if isinstance(each, keras.callbacks.Callback)]
        self.experiment.callbacks += callbacks
        run = Run(self.folder.path, self.config, self.metric)
        with self._entered() as folder:
            if self.is_chief:
                if begins is not None:
                    begins()
                run.save_config(self._asked)
            self.experiment.load_features(progress)
            self._search.run(self.config.seeds, folder, observers)
            if self.is_chief:
                self._finish(run, folder)
        return run

    @property
    def is_chief(self) -> bool:
        """Whether this process writes and prints."""
        return is_chief(self.experiment.strategy)

    @contextlib.contextmanager
    def _entered(self) -> Iterator[RunFolder]:
        with (
            dtype_policy(self.experiment.recipe.precision),
            shared_folder(self.folder, self.experiment.strategy) as folder,
        ):
            yield folder

    def _finish(self, run, folder):
        """Write what is seen of a run: real pictures, the ticket that is kept, the figures."""
        write_strip(self.experiment.real_pictures(), folder.path / paths.REAL)
        if run.arm == "winning":
            build, slims = self.experiment.build_on_one_device, self.config.method.slims
            keep_ticket(folder, build, run.ticket_stage, slims)
        draw_figures(run)


def recipe_of(config: RunConfig) -> Recipe:
    """Return the recipe that a config asks for, its precision chosen for this machine.

    Raises:
        SettingError: if the model has no such option.
    """
    training = config.training
    recipe = resolve(
        config.model,
        config.dataset,
        image_size=config.data.image_size,
        metric=config.judging.metric,
        **training.recipe_fields(),
    )
    network = {**recipe.network, **config.network, **training.network_options()}
    precision = resolve_precision(recipe.precision)
    return dataclasses.replace(recipe, network=network, precision=precision)


def metric_of(config: RunConfig, recipe: Recipe) -> str:
    """Return the name of the metric that decides which ticket wins.

    If none was asked for and the recipe's is not measured of the data, reconstructions decide.

    Raises:
        SettingError: if there is no such metric, or it is not measured of the model or the data.
    """
    card = DATASETS[recipe.dataset].at(config.data.data_dir)
    has_labels = (card.num_classes or 0) >= 2
    features = "inception" if config.judging.inception else "classifier" if has_labels else None
    situation = (config.card.family.offers, features, has_labels)
    name = _usual_metric(config, recipe)
    try:
        metrics.check_metric(name, *situation)
    except SettingError:
        can_decide = _OF_ANY_IMAGES in metrics.measured_metrics(*situation)
        if config.judging.metric is not None or not can_decide:
            raise
        return _OF_ANY_IMAGES
    return name


def _usual_metric(config, recipe):
    if recipe.metric == "frechet":
        return "fid" if config.judging.inception else "fcd"
    return recipe.metric


def _note_of_metric(name, config, recipe):
    usual = _usual_metric(config, recipe)
    return [] if name == usual else [f"metric {name}: {usual} is not measured of these images"]


def _note_of_model(asked, made):
    return [] if asked == made else [f"model {made}: the tickets do not fit {asked}"]


def _fitted(config, experiment):
    """Fit the method and the experiment's recipe to the length of a training.

    Returns:
        The config with that method, and what was adapted, in words.
    """
    steps, recipe = experiment.num_steps, experiment.recipe
    method, notes = config.method.adapted(steps, experiment.steps_per_epoch)
    if recipe.evaluations > steps:
        if config.training.evaluations is not None:
            expected = f"must be at most {steps}, as a training has {steps} steps"
            refuse("evaluations", expected, recipe.evaluations)
        experiment.recipe = dataclasses.replace(recipe, evaluations=steps)
        notes = [*notes, f"evaluations {steps}: a training has {steps} steps"]
    return dataclasses.replace(config, method=method), notes


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
        "test": experiment.test_images.digest,
        "inception": config.judging.inception,
        "versions": versions(),
    }
    if config.strategy != "none":  # sums in another order are other bits
        replicas = experiment.strategy.num_replicas_in_sync
        settings["strategy"] = {"name": config.strategy, "replicas": replicas}
    if config.extensions:
        settings["extensions"] = [sha256_of(path) for path in config.extensions]
    return settings
