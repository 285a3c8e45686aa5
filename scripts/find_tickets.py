"""Find winning tickets in an autoencoder or VAE: `python scripts/find_tickets.py --model vae`.

Trains the dense network, then prunes, rewinds and retrains it round by round, beside a random
control, for several seeds. Ends with a table, figures, a saved ticket and a sparse SavedModel in a
run folder. The same command goes on where it was broken off.
"""

import dataclasses
import json
import logging
import pathlib
import sys
import warnings

import rich.console

import tf_tickets as tt
from tf_tickets.cli import exit_with_one_line, option, parse, quiet_start
from tf_tickets.errors import SettingError


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen; what is None comes from the recipe of the model and data set."""

    model: str = option(
        "vae",
        "the network to prune",
        ("linear-ae", "conv-ae", "vae", "beta-vae", "resnet-vae"),
    )
    dataset: str = option(
        "digits", "the images to train on", ("digits", "mnist", "cifar10", "celeb_a")
    )
    data_dir: str | None = option(None, "folder of tensorflow_datasets (default: $TFDS_DATA_DIR)")
    limit: int | None = option(
        None, "use only so many training images, and at most as many test images"
    )
    image_size: int | None = option(None, "height and width in pixels (default: by recipe)")
    rounds: int = option(20, "pruning rounds after the dense one")
    rate: float = option(0.2, "fraction of the remaining weights that a round prunes")
    one_shot: bool = option(False, "prune the dense network at once to each round's sparsity")
    rewind_step: int = option(10, "optimizer step that survivors return to")
    epochs: int | None = option(None, "passes over the data in each training (default: by recipe)")
    batch_size: int | None = option(None, "images per optimizer step (default: by recipe)")
    component: str = option("both", "what to prune", ("both", "encoder", "decoder"))
    seeds: tuple[int, ...] = option((0, 1, 2), "each repeats the whole search")
    arms: tuple[str, ...] = option(
        ("winning", "random"),
        "random is the control: same masks, fresh weights",
        ("winning", "random"),
    )
    metric: str | None = option(
        None,
        "the metric that decides which ticket wins (default: reconstruction_loss for an "
        "autoencoder; fcd, or fid with --inception, for a VAE)",
    )
    tolerance: float = option(
        0.1, "how much worse than dense a winning ticket may be, as a fraction"
    )
    inception: str | None = option(None, "Inception network for FID: a TF-Hub address or a folder")
    precision: str | None = option(
        None,
        "Keras dtype policy; auto asks the hardware (default: by recipe)",
        ("auto", "float32", "mixed_float16", "mixed_bfloat16"),
    )
    output: str = option("saved_models", "where the run folder is made")
    describe: bool = option(False, "print the network and recipe as JSON, and stop")
    json: bool = option(False, "end with one line of JSON on stdout")

    def __post_init__(self):
        """Check what needs no TensorFlow to be checked."""
        for name in ("limit", "rounds", "epochs", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                _refuse(name, "must be at least 1", value)
        if not 0 < self.rate < 1:
            _refuse("rate", "must lie between 0 and 1", self.rate)
        if not self.tolerance >= 0:
            _refuse("tolerance", "must be at least 0", self.tolerance)
        if self.rewind_step < 0:
            _refuse("rewind_step", "must be at least 0", self.rewind_step)
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            _refuse("seeds", "must be different numbers, none below 0", self.seeds)
        if "winning" not in self.arms:
            _refuse("arms", "must include winning, whose masks random takes", self.arms)


def _refuse(name, expected, value):
    raise SettingError(f"argument --{name.replace('_', '-')}: {expected}. Received: {value}")


def main():
    """Read the options, find the tickets, and show them."""
    options = parse(Options, sys.argv[1:], __doc__.splitlines()[0])
    warnings.showwarning = _one_line_warning
    with quiet_start():
        import keras
        import tensorflow as tf

        tf.zeros(())  # the first use of a device prints too
    logging.getLogger("absl").setLevel(logging.ERROR)  # other packages' deprecations
    recipe = tt.recipes.resolve(
        options.model,
        options.dataset,
        image_size=options.image_size,
        epochs=options.epochs,
        batch_size=options.batch_size,
        metric=options.metric,
        precision=options.precision,
    )
    recipe = dataclasses.replace(recipe, precision=tt.resolve_precision(recipe.precision))
    keras.config.set_dtype_policy(recipe.precision)
    metric = tt.decisive_metric(recipe.metric, options.inception)
    if options.describe:
        named = {"model": recipe.model, "dataset": recipe.dataset}
        print(
            json.dumps(
                {
                    **named,
                    **tt.describe(recipe, _scope(options)),
                    "recipe": dataclasses.asdict(recipe),
                }
            )
        )
    else:
        _find(options, recipe, metric)


def _one_line_warning(message, *_):
    print(f"{pathlib.Path(sys.argv[0]).name}: warning: {message}", file=sys.stderr)


def _find(options, recipe, metric):
    # Without markup: a path may hold brackets.
    width = None if sys.stdout.isatty() else 100
    console = rich.console.Console(width=width, markup=False, emoji=False)
    experiment = tt.Experiment(recipe, options.limit, options.data_dir, options.inception)
    settings = _settings(options, recipe, experiment)
    name = f"{recipe.model}-{recipe.dataset}-{'one-shot' if options.one_shot else 'imp'}"
    origin = {"options": dataclasses.asdict(options), "machine": tt.machine()}
    folder = tt.RunFolder.named(options.output, name, settings, origin)
    bar = tt.ProgressBar(experiment.num_steps, rich.console.Console(stderr=True))
    search = _search(options, experiment, [bar, tt.TensorBoardLog(folder.path / "tensorboard")])
    with folder:
        console.print(f"Run folder: {folder.path}", highlight=False, soft_wrap=True)
        console.print(f"Settings: {json.dumps(settings)}", highlight=False, soft_wrap=True)
        with bar:
            experiment.load_features(bar.training_classifier)
            records = search.run(options.seeds, folder)
        comparisons = tt.compare_arms(
            records, metric, options.tolerance, tt.metrics.HIGHER_IS_BETTER[metric]
        )
        winner = tt.choose_winning_ticket(comparisons)
        chosen = winner or tt.report.sparsest(comparisons)
        stage = f"seed-{options.seeds[0]}/round-{chosen.round:02d}/winning"
        exported = tt.report.save_ticket(folder, experiment, stage)
        tt.report.draw_figures(folder, experiment, records, metric, winner and winner.round)
    console.print(tt.report.table(records, comparisons, metric, winner))
    _print_outcome(console, metric, winner, chosen, folder, exported)
    if options.json:
        print(json.dumps(_outcome(records, folder, winner, exported)))


def _settings(options, recipe, experiment):
    """Return what changes the result of a stage.

    More rounds, seeds or arms only add stages, and the metric and its tolerance only choose.
    """
    training = dataclasses.asdict(recipe)
    training.pop("metric")
    return {
        "recipe": training,
        "train": experiment.train_images.digest,
        "test": experiment.test_images.digest,
        "rate": options.rate,
        "one_shot": options.one_shot,
        "rewind_step": options.rewind_step,
        "component": options.component,
        "inception": options.inception,
        "versions": tt.versions(),
    }


def _search(options, experiment, observers):
    experiment.callbacks += observers
    return tt.IterativeMagnitudePruning(
        experiment.build,
        experiment.train,
        experiment.evaluate,
        num_steps=experiment.num_steps,
        schedule=tt.IterativeSparsity(options.rate, options.rounds),
        rounds=options.rounds,
        rewind_step=options.rewind_step,
        scope=_scope(options),
        arms=options.arms,
        one_shot=options.one_shot,
        illustrate=experiment.illustrate,
        observers=observers,
    )


def _scope(options):
    return None if options.component == "both" else options.component


def _print_outcome(console, metric, winner, chosen, folder, exported):
    if winner:
        line = (
            f"Winning ticket: round {winner.round}, {winner.weight_sparsity:.2%} of the weights "
            f"removed; {metric} {winner.winning:.4g} against {winner.random:.4g} at random"
            f"{'' if winner.p is None else f', p = {winner.p:.2g}'}."
        )
        if winner.p is None:
            line += " Fewer than three seeds: chance is not ruled out."
    elif chosen.random is None:
        line = (
            f"Without the random arm no ticket can be said to win. Kept the ticket of round "
            f"{chosen.round}, the sparsest that matches dense or else the last, to look at."
        )
    else:
        line = (
            f"No winning ticket: in no round is {metric} within the tolerance of dense and random "
            f"worse. Kept the ticket of round {chosen.round} to look at."
        )
    console.print(line, highlight=False, soft_wrap=True)
    made = [folder.path / name for name in ("results.jsonl", "winning_ticket", "figures")]
    for path in (*made, exported):
        console.print(f"  {path}", highlight=False, soft_wrap=True)


def _outcome(records, folder, winner, exported):
    """Return the run as one JSON object."""
    outcome = {
        "run": str(folder.path),
        "dense": tt.mean_metrics(records, 0, "dense"),
        "winning_ticket": None,
        "export": str(exported),
    }
    if winner:
        outcome["winning_ticket"] = {
            "round": winner.round,
            "weight_sparsity": winner.weight_sparsity,
            "metrics": tt.mean_metrics(records, winner.round, "winning"),
            "p": winner.p,
        }
    return outcome


if __name__ == "__main__":
    exit_with_one_line(main)
