"""What the scripts that search have in common: options, setting up, running, printing."""

import dataclasses
import json
import logging
import math
import os
import pathlib
import sys
import warnings
from collections.abc import Sequence

import rich.console

import tf_tickets as tt
from tf_tickets.errors import SettingError
from tf_tickets.lab.commands.parser import option, quiet_start

AUTOENCODERS = ("linear-ae", "conv-ae", "vae", "beta-vae", "resnet-vae")
GANS = ("dcgan", "dcgan-table2", "dcgan-shared", "sngan", "wgan", "resnet-dcgan", "sngan-resnet")
AT_INITIALIZATION = ("snip", "grasp", "synflow", "magnitude", "random")
DATASETS = tuple(tt.data.DATASETS)

_OF_GANS = ("critic_steps", "gradient_penalty", "ema_decay")

# A GAN reconstructs no images, and it has a loss for each of its networks instead of one.
_NOT_OF_GANS = ("loss", "reconstruction_loss", "classifier_accuracy")


@dataclasses.dataclass(frozen=True)
class SearchOptions:
    """How the trainings of a search are done and judged; None comes from a recipe."""

    data_dir: str | None = option(
        None, "folder of tensorflow_datasets (default: $TFDS_DATA_DIR), or of images"
    )
    limit: int | None = option(
        None, "use only so many training images, and at most as many test images (default: all)"
    )
    epochs: int | None = option(None, "passes over the data in each training (default: by recipe)")
    batch_size: int | None = option(None, "images per optimizer step (default: by recipe)")
    learning_rate: float | None = option(None, "of all optimizers (default: by recipe)")
    critic_steps: int | None = option(
        None, "updates of a GAN's discriminator per update of its generator (default: by recipe)"
    )
    gradient_penalty: float | None = option(
        None,
        "its weight in the discriminator's loss, in place of clipping; 0 for none (default: by "
        "recipe)",
    )
    ema_decay: float | None = option(
        None, "of the average of a generator's weights by which it samples (default: by recipe)"
    )
    rewind_step: int | None = option(
        None,
        "optimizer step that survivors return to (default: 10; 0 for pruning at initialisation)",
    )
    evaluations: int | None = option(
        None, "how often a training is evaluated, at equal distances (default: by recipe)"
    )
    retries: int = option(
        0, "how often a training that diverged is begun again, over batches in another order"
    )
    metric: str | None = option(
        None,
        "the metric that decides which ticket wins (default: reconstruction_loss for an "
        "autoencoder; fcd, or fid with --inception, for a VAE or GAN)",
    )
    tolerance: float = option(
        0.1, "how much worse than dense a winning ticket may be, as a fraction"
    )
    inception: str | None = option(
        None,
        "Inception network for FID: a TF-Hub address or a folder (default: none, but a classifier "
        "trained on the data set)",
    )
    precision: str | None = option(
        None,
        "Keras dtype policy; auto asks the hardware (default: by recipe)",
        ("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    output: str = option("saved_models", "where the run folder is made")
    json: bool = option(False, "end with one line of JSON on stdout")

    def __post_init__(self):
        """Check what needs no TensorFlow to be checked."""
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                refuse(name, "must be a finite number", value)
        for name in ("limit", "epochs", "batch_size", "critic_steps", "evaluations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                refuse(name, "must be at least 1", value)
        for name in ("tolerance", "rewind_step", "retries", "gradient_penalty"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                refuse(name, "must be at least 0", value)
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            refuse("ema_decay", "must be in [0, 1)", self.ema_decay)
        if self.learning_rate is not None and not self.learning_rate > 0:
            refuse("learning_rate", "must be above 0", self.learning_rate)

    def refuse_options_of_gans(self, model: str, names: Sequence[str] = ()) -> None:
        """Raise SettingError over an option that is given, but means nothing for this model.

        Args:
            model: a name of `models.NAMES`.
            names: of options for GANs, besides those of all searches.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name in (*names, *_OF_GANS):
            if model not in GANS and getattr(self, name) != defaults[name]:
                expected = f"is for GANs ({', '.join(GANS)}), which {model} is not"
                refuse(name, expected, getattr(self, name))

    @property
    def rewinds_to(self) -> int:
        """The optimizer step that survivors return to."""
        return 10 if self.rewind_step is None else self.rewind_step

    @property
    def network(self) -> dict:
        """What is set in the networks and the model, beside what the recipe says."""
        options = {name: getattr(self, name) for name in _OF_GANS}
        return {name: value for name, value in options.items() if value is not None}


def refuse(name: str, expected: str, value) -> None:
    """Raise SettingError over the value of one option."""
    raise SettingError(f"argument --{name.replace('_', '-')}: {expected}. Received: {value}")


def refuse_repeated_seeds(seeds) -> None:
    """Raise SettingError unless the seeds are different numbers, none below 0."""
    if len(set(seeds)) < len(seeds) or min(seeds) < 0:
        refuse("seeds", "must be different numbers, none below 0", seeds)


def refuse_channel_sparsity(sparsities) -> None:
    """Raise SettingError unless the channel sparsities are rising numbers in [0, 1)."""
    if not all(0 <= s < 1 for s in sparsities) or list(sparsities) != sorted(set(sparsities)):
        refuse("channel_sparsity", "must be rising numbers in [0, 1)", sparsities)


def start_tensorflow(strategy: str = "none"):
    """Load TensorFlow in silence, and let warnings be one line each.

    Args:
        strategy: as `tt.resolve_strategy` takes it, which has to be asked first of all.

    Returns:
        The strategy.
    """
    warnings.showwarning = _one_line_warning
    if strategy == "multi-worker" and os.environ.get("TF_CONFIG"):
        # TensorFlow waits in silence, and was seen to do so for more than eight minutes.
        _print_error("waiting until all workers of TF_CONFIG are started")
    with quiet_start():
        import tensorflow as tf

        resolved = tt.resolve_strategy(strategy)
        tf.zeros(())  # the first use of a device prints too
    for name in ("absl", "tensorflow"):  # deprecations, and advice on retracing
        logging.getLogger(name).setLevel(logging.ERROR)
    return resolved


def _one_line_warning(message, *_):
    _print_error(f"warning: {message}")


def _print_error(message):
    print(f"{pathlib.Path(sys.argv[0]).name}: {message}", file=sys.stderr)


def resolve_recipe(options: SearchOptions, model: str, dataset: str, **overrides):
    """Return the recipe that the options ask for, and set Keras to its precision.

    Args:
        options: of the command.
        model: a name of `models.NAMES`.
        dataset: a name of `data.DATASETS`.
        **overrides: fields of Recipe, in place of the recipe's own.

    Raises:
        SettingError: if a value cannot work, or the model has no such option.
    """
    import keras

    recipe = tt.recipes.resolve(
        model,
        dataset,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        evaluations=options.evaluations,
        metric=options.metric,
        precision=options.precision,
        **overrides,
    )
    recipe = dataclasses.replace(
        recipe,
        network={**recipe.network, **options.network},
        precision=tt.resolve_precision(recipe.precision),
    )
    keras.config.set_dtype_policy(recipe.precision)
    # Built to be refused now, not after minutes in which the classifier of the metrics is trained.
    shape = tt.data.image_shape(recipe.dataset, recipe.image_size, options.data_dir)
    tt.models.build(recipe.model, shape, **recipe.network)
    return recipe


def decisive_metric(options: SearchOptions, recipe) -> str:
    """Return the name of the metric that decides which ticket wins.

    Raises:
        SettingError: if there is no such metric, or the recipe's model has none of it.
    """
    absent = _NOT_OF_GANS if recipe.model in GANS else ()
    metric = tt.decisive_metric(recipe.metric, options.inception, absent)
    offers = {"samples"} if recipe.model in GANS else {"reconstructions"}
    features = "inception" if options.inception else "classifier"
    has_labels = tt.data.DATASETS[recipe.dataset].at(options.data_dir).num_classes >= 2
    tt.metrics.check_metric(metric, offers, features, has_labels)
    return metric


def common_settings(options: SearchOptions, experiment) -> dict:
    """Return what changes the result of any stage, of a search of any kind.

    More rounds, seeds or arms only add stages, and the metric and its tolerance only choose.
    """
    training = dataclasses.asdict(experiment.recipe)
    training.pop("metric")
    built = tt.models.resolved_options(experiment.recipe.model, experiment.recipe.network)
    # How a GAN is trained is not in its name; without it the others, as in runs from before.
    told = experiment.recipe.model in GANS or built.get("beta", 1) != 1
    return {
        "recipe": training,
        **({"model_options": built} if told else {}),
        "train": experiment.train_images.digest,
        "test": experiment.test_images.digest,
        "rewind_step": options.rewinds_to,
        "retries": options.retries,
        "inception": options.inception,
        "versions": tt.versions(),
    }


def new_search(search, options: SearchOptions, experiment, **specifics):
    """Return a search of an experiment.

    Args:
        search: the class, such as `tt.TicketSearch`.
        options: of the command.
        experiment: a `tt.Experiment`.
        **specifics: what the one script sets.
    """
    _check_steps(options, experiment)
    cards = tt.metrics.METRICS.values()
    return search(
        experiment.build,
        experiment.train,
        experiment.evaluate,
        num_steps=experiment.num_steps,
        evaluations=experiment.recipe.evaluations,
        higher_is_better=[card.name for card in cards if card.higher_is_better],
        undirected=[card.name for card in cards if card.higher_is_better is None],
        refuse=tt.metrics.refuse_collapse,
        prepare=experiment.prepare,
        illustrate=experiment.illustrate,
        **specifics,
    )


def _check_steps(options, experiment):
    """Refuse what lies outside a training, naming the option though it may not be given."""
    steps = experiment.num_steps
    for name, value, most in (
        ("rewind_step", options.rewinds_to, steps - 1),
        ("evaluations", experiment.recipe.evaluations, steps),
    ):
        if value > most:
            default = "" if getattr(options, name) is not None else ", the default"
            expected = f"must be at most {most} where a training has {steps} steps"
            advice = f"Give a smaller --{name.replace('_', '-')} or more --epochs"
            refuse(name, expected, f"{value}{default}. {advice}.")


def new_folder(options: SearchOptions, name: str, settings: dict):
    """Return the run folder of these settings."""
    origin = {"options": dataclasses.asdict(options), "machine": tt.machine()}
    return tt.RunFolder.named(options.output, name, settings, origin)


def run(search, experiment, seeds, folder, console) -> list[dict]:
    """Run a search in its entered folder; return the records. The chief shows the progress."""
    if not tt.is_chief(experiment.strategy):
        experiment.load_features()
        return search.run(seeds, folder)
    bar = tt.ProgressBar(experiment.num_steps, rich.console.Console(stderr=True))
    observers = [bar, tt.TensorBoardLog(folder.path / "tensorboard")]
    experiment.callbacks += observers
    search.observers = [*search.observers, *observers]
    print_line(console, f"Run folder: {folder.path}")
    print_line(console, f"Settings: {json.dumps(folder.settings)}")
    epochs = experiment.recipe.epochs
    print_line(console, f"A training: {experiment.num_steps} optimizer steps, {epochs} epochs")
    with bar:
        experiment.load_features(bar.training_classifier)
        return search.run(seeds, folder)


def new_console():
    """Return the console for stdout; without markup, as a path may hold brackets."""
    width = None if sys.stdout.isatty() else 110
    return rich.console.Console(width=width, markup=False, emoji=False)


def print_line(console, text: str) -> None:
    """Print one line, which a narrow terminal wraps."""
    console.print(text, highlight=False, soft_wrap=True)
