"""A config brought to life: its recipe, its data, its search, and what was adapted to them."""

import dataclasses

import tensorflow as tf

from tf_tickets.errors import SettingError
from tf_tickets.lab import metrics
from tf_tickets.lab.config import RunConfig, load_extensions
from tf_tickets.lab.data import DATASETS, image_shape
from tf_tickets.lab.experiment import Experiment
from tf_tickets.lab.models import MODELS
from tf_tickets.lab.options import refuse
from tf_tickets.lab.precision import dtype_policy, resolve_mixed
from tf_tickets.lab.precision_trial import Trial, try_precisions
from tf_tickets.lab.recipes import Recipe, resolve
from tf_tickets.strategy import mean_of_workers, resolve_strategy

# What can decide without labels, and so without a classifier of them.
_OF_ANY_IMAGES = "reconstruction_loss"


@dataclasses.dataclass(frozen=True, eq=False)
class Prepared:
    """A config brought to life; made by `prepare` and `Checked.prepare`.

    Attributes:
        asked: the config as it was given.
        config: with all that its method decides besides.
        experiment: the recipe with its data.
        search: as its method returns it.
        metric: the name of the metric that decides.
        notes: what was adapted to a short training, to the data or to the machine, in words.
        trial: of precisions, if the faster one was asked for.
    """

    asked: RunConfig
    config: RunConfig
    experiment: Experiment
    search: object
    metric: str
    notes: list[str]
    trial: Trial | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Checked:
    """A config that can work, before data is loaded; made by `check`.

    Attributes:
        asked: the config as it was given.
        config: with all that its method decides besides.
        recipe: that it asks for.
        metric: the name of the metric that decides.
        strategy: the TensorFlow strategy that it is trained by.
    """

    asked: RunConfig
    config: RunConfig
    recipe: Recipe
    metric: str
    strategy: tf.distribute.Strategy

    def prepare(self) -> Prepared:
        """Bring the config to life; errors are those of the function `prepare`."""
        config, recipe = self.config, self.recipe
        experiment = Experiment(
            recipe,
            config.data.limit,
            config.data.data_dir,
            getattr(config.training, "distill_discriminator", False),
            self.strategy,
        )
        fitted, notes = _fitted(config, experiment)
        notes += _note_of_model(self.asked.model, config.model)
        notes += _note_of_metric(self.metric, config, recipe)
        trial = _trial_of(experiment)
        if trial:
            experiment.recipe = dataclasses.replace(experiment.recipe, precision=trial.policy)
            notes.append(str(trial))
        with dtype_policy(experiment.recipe.precision):
            search = fitted.method.search(experiment, fitted)
        return Prepared(self.asked, fitted, experiment, search, self.metric, notes, trial)


def prepare(asked: RunConfig, strategy: tf.distribute.Strategy | None = None) -> Prepared:
    """Bring a config to life.

    Args:
        asked: what to do.
        strategy: the TensorFlow strategy that the config names, if it had to be made before.

    Raises:
        SettingError: if a value cannot work.
        FileError: if the data cannot be had.
    """
    return check(asked, strategy).prepare()


def check(asked: RunConfig, strategy: tf.distribute.Strategy | None = None) -> Checked:
    """Return a config with what its method decides, its recipe, and the metric that decides.

    What cannot work is refused here, before data is loaded and minutes go into the metrics'
    classifier. Arguments and errors are those of `prepare`.
    """
    load_extensions(asked.extensions)
    # Before anything else uses TensorFlow.
    strategy = strategy or resolve_strategy(asked.strategy)
    config = asked.method.completed(asked)
    recipe = recipe_of(config)
    _check_domains(config, DATASETS[recipe.dataset])
    metric = metric_of(config, recipe)
    with dtype_policy("float32"):
        shape = image_shape(recipe.dataset, recipe.image_size, config.data.data_dir)
        config.method.check_model(MODELS[recipe.model].build(shape, **recipe.network), config)
    return Checked(asked, config, recipe, metric, strategy)


def _check_domains(config, card):
    translates = "translations" in config.card.family.offers
    if translates and not card.domains:
        known = [each.name for each in DATASETS.values() if each.domains]
        expected = f"must have two domains for {config.model}: one of {', '.join(known)}"
        refuse("dataset", expected, card.name)
    if translates and config.judging.num_samples is not None:
        expected = f"means nothing for {config.model}, which translates all images and samples none"
        refuse("num_samples", expected, config.judging.num_samples)
    if card.domains and not translates:
        expected = f"must be of one kind of images for {config.model}, which translates none"
        refuse("dataset", expected, card.name)


def _trial_of(experiment) -> Trial | None:
    """Return the trial of precisions, if the recipe asks for the faster one."""
    if experiment.recipe.precision != "auto":
        return None
    shape = experiment.train_images.image_shape
    found = try_precisions(experiment.recipe, shape, experiment.images_per_step)
    # Workers that train together have to take the same, on whatever machine each of them is.
    seconds = mean_of_workers(experiment.strategy, list(found.seconds.values()))
    return Trial(dict(zip(found.seconds, seconds, strict=True)))


def recipe_of(config: RunConfig) -> Recipe:
    """Return the recipe that a config asks for.

    Its precision may be "auto", which is resolved by a trial when the config is prepared.

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
    precision = resolve_mixed(recipe.precision)
    return dataclasses.replace(recipe, network=network, precision=precision)


def metric_of(config: RunConfig, recipe: Recipe) -> str:
    """Return the name of the metric that decides which ticket wins.

    If none was asked for and the recipe's is not measured of the data, reconstructions decide.

    Raises:
        SettingError: if there is no such metric, or it is not measured of the model or the data.
    """
    card = DATASETS[recipe.dataset].at(config.data.data_dir)
    has_labels = (card.num_classes or 0) >= 2 or bool(card.domains)
    features = ["inception"] if config.judging.inception else []
    features += ["classifier"] if has_labels else []
    offers = {*config.card.family.offers, *(["truth"] if card.has_truth else [])}
    situation = (offers, features, has_labels)
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
