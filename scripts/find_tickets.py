"""Find winning tickets in an autoencoder, VAE or GAN: `python scripts/find_tickets.py --model vae`.

Trains the dense network, then prunes, rewinds and retrains it round by round, beside a random
control, for several seeds; or prunes the initial weights, with `--method snip` and others; or
removes channels early in training, with `--method early-bird`. Ends with a table, figures, a saved
ticket and a small SavedModel in a run folder. The same command goes on where it was broken off.
"""

import dataclasses
import json
import sys

import tf_tickets as tt
from tf_tickets.lab.commands import common as commands
from tf_tickets.lab.commands.common import AT_INITIALIZATION, AUTOENCODERS, DATASETS, GANS, refuse
from tf_tickets.lab.commands.parser import exit_with_one_line, option, parse

_EARLY_BIRD = (
    *("channel_sparsity", "mask_distance", "draw_every", "scale_penalty", "whole_groups"),
    "round_to",
)
_NOT_EARLY_BIRD = (
    *("rounds", "rate", "one_shot", "component", "discriminator_init"),
    *("distill_discriminator", "rewind_step", "retries"),
)


@dataclasses.dataclass(frozen=True)
class Options(commands.SearchOptions):
    """What can be chosen; what is None comes from the recipe of the model and data set."""

    model: str = option("vae", "the network to prune", AUTOENCODERS + GANS)
    dataset: str = option("digits", "the images to train on", DATASETS)
    image_size: int | None = option(None, "height and width in pixels (default: by recipe)")
    width: int | None = option(None, "filters of the outermost layers (default: by recipe)")
    method: str = option(
        "imp",
        "what a round prunes: by magnitude what the round before has trained; or channels, once it "
        "has settled in training which matter; or the initial weights, by what they are worth "
        "before any training",
        ("imp", "early-bird", *AT_INITIALIZATION),
    )
    rounds: int = option(20, "pruning rounds after the dense one")
    rate: float = option(0.2, "fraction of the remaining weights that a round prunes")
    one_shot: bool = option(False, "prune the dense network at once to each round's sparsity")
    component: str = option(
        "both", "what to prune", ("both", "encoder", "decoder", "generator", "discriminator")
    )
    pool: str | None = option(
        None,
        "what is ranked together: all weights or channels of the model, or those of each component "
        "or layer (default: model; for early-bird layer)",
        ("model", "component", "layer"),
    )
    discriminator_init: str = option(
        "rewind",
        "what the discriminator of a round starts from: the rewind point, what the round before "
        "has trained, or fresh weights",
        ("rewind", "trained", "fresh"),
    )
    distill_discriminator: bool = option(
        False, "let the trained dense discriminator teach those of the rounds"
    )
    channel_sparsity: tuple[float, ...] = option(
        (0.3, 0.5, 0.7), "fraction of the channels that early-bird tickets lose, a round for each"
    )
    mask_distance: float = option(
        0.1, "an early-bird ticket is drawn when its masks differ by less from the last five"
    )
    draw_every: int | None = option(
        None,
        "optimizer steps between two drawings of early-bird masks (default: a fiftieth of the "
        "training, at most an epoch)",
    )
    scale_penalty: float = option(
        1e-4, "weight of the L1 norm of the normalisations' scales until the ticket is drawn"
    )
    whole_groups: bool = option(
        False, "let early-bird tickets lose channels that several normalisations share, too"
    )
    round_to: int = option(1, "round the widths of early-bird tickets up to multiples of this")
    seeds: tuple[int, ...] = option((0, 1, 2), "each repeats the whole search")
    arms: tuple[str, ...] = option(
        ("winning", "random"),
        "the controls: random has the same masks and fresh weights, shuffled the same weights and "
        "each layer's mask shuffled",
        ("winning", "random", "shuffled"),
    )
    strategy: str = option(
        "none",
        "what trains a model together: all GPUs of this machine, or all workers of the cluster in "
        "TF_CONFIG, each of which gets this same command",
        ("none", "mirrored", "multi-worker"),
    )
    describe: bool = option(False, "print the network and recipe as JSON, and stop")

    def __post_init__(self):
        """Check what needs no TensorFlow to be checked."""
        super().__post_init__()
        for name in ("image_size", "width", "rounds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                refuse(name, "must be at least 1", value)
        if not 0 < self.rate < 1:
            refuse("rate", "must lie between 0 and 1", self.rate)
        commands.refuse_repeated_seeds(self.seeds)
        if "winning" not in self.arms:
            refuse("arms", "must include winning, whose masks the others take", self.arms)
        self._check_what_only_some_models_have()
        self._check_what_only_some_methods_have()

    def _check_what_only_some_models_have(self):
        gan = self.model in GANS
        parts = ("generator", "discriminator") if gan else ("encoder", "decoder")
        if self.component not in ("both", *parts):
            expected = f"must be both, {' or '.join(parts)} for --model {self.model}"
            refuse("component", expected, self.component)
        of_gans = ("discriminator_init", "distill_discriminator")
        self.refuse_options_of_gans(self.model, of_gans)
        if self.pool == "component" and self.component != "both":
            expected = f"must be model where only the {self.component} is pruned"
            refuse("pool", expected, self.pool)
        if self.component == "discriminator" and self.discriminator_init == "fresh":
            expected = "must be rewind or trained where only the discriminator is pruned"
            refuse("discriminator_init", expected, self.discriminator_init)
        if self.model == "wgan" and self.distill_discriminator:
            expected = "is for verdicts that are probabilities, not those of wgan"
            refuse("distill_discriminator", expected, self.distill_discriminator)

    def _check_what_only_some_methods_have(self):
        self._check_early_bird()
        if self.method in AT_INITIALIZATION:
            for name, default in (
                ("one_shot", False),
                ("discriminator_init", "rewind"),
                ("distill_discriminator", False),
            ):
                if getattr(self, name) != default:
                    expected = f"is for --method imp, which trains first, not for {self.method}"
                    refuse(name, expected, getattr(self, name))
            if self.rewinds_to != 0:
                expected = f"must be 0 where initial weights are pruned, as by {self.method}"
                refuse("rewind_step", expected, self.rewind_step)
        trained = self.discriminator_init == "trained" and self.component != "generator"
        if "shuffled" in self.arms and trained:
            expected = "shuffled keeps weights that have no trained values to start from"
            refuse("arms", f"{expected} by --discriminator-init trained", " ".join(self.arms))

    def _check_early_bird(self):
        chosen = {field.name for field in dataclasses.fields(self) if self._is_chosen(field)}
        if self.method != "early-bird":
            for name in sorted(chosen & set(_EARLY_BIRD)):
                refuse(name, "is for --method early-bird", f"--method {self.method}")
            return
        for name in sorted(chosen & set(_NOT_EARLY_BIRD)):
            refuse(name, "means nothing to --method early-bird", getattr(self, name))
        commands.refuse_channel_sparsity(self.channel_sparsity)
        if not 0 < self.mask_distance <= 1:
            refuse("mask_distance", "must be above 0 and at most 1", self.mask_distance)
        if not self.scale_penalty >= 0:
            refuse("scale_penalty", "must be at least 0", self.scale_penalty)
        for name in ("draw_every", "round_to"):
            value = getattr(self, name)
            if value is not None and value < 1:
                refuse(name, "must be at least 1", value)
        if "shuffled" in self.arms:
            refuse("arms", "has no shuffled control of early-bird tickets", self.arms)

    def _is_chosen(self, field):
        return getattr(self, field.name) != field.default

    @property
    def rewinds_to(self):
        if self.method != "imp" and self.rewind_step is None:
            return 0
        return super().rewinds_to

    @property
    def ranked_by(self):
        """The pools of weights or channels that are ranked together."""
        # In trainings as short as here a threshold for all layers starves some of them: the scales
        # are near where they began, and differ less within a layer than layers do.
        return self.pool or ("layer" if self.method == "early-bird" else "model")

    @property
    def network(self):
        return super().network | ({} if self.width is None else {"width": self.width})

    @property
    def scope(self):
        """What may be pruned, as `tt.prunable` takes it."""
        return None if self.component == "both" else self.component


def main():
    """Read the options, find the tickets, and show them."""
    options = parse(Options, sys.argv[1:], __doc__.splitlines()[0])
    strategy = commands.start_tensorflow(options.strategy)
    _agree_on_options(options, strategy)
    recipe = commands.resolve_recipe(
        options, options.model, options.dataset, image_size=options.image_size
    )
    metric = commands.decisive_metric(options, recipe)
    if not options.describe:
        _find(options, recipe, metric, strategy)
    elif tt.is_chief(strategy):
        named = {"model": recipe.model, "dataset": recipe.dataset}
        described = {**named, **tt.describe(recipe, options.scope, options.data_dir)}
        print(json.dumps({**described, "recipe": dataclasses.asdict(recipe)}))


def _agree_on_options(options, strategy):
    chosen = dataclasses.asdict(options)
    for name in ("data_dir", "output", "json"):  # may be a matter of the machine
        del chosen[name]
    tt.check_agreement(strategy, chosen, "Give all the same options.")


def _find(options, recipe, metric, strategy):
    console = commands.new_console()
    experiment = tt.Experiment(
        recipe,
        options.limit,
        options.data_dir,
        options.inception,
        distill_discriminator=options.distill_discriminator,
        strategy=strategy,
    )
    method = "one-shot" if options.one_shot else options.method
    name = f"{recipe.model}-{recipe.dataset}-{method}"
    folder = commands.new_folder(options, name, _settings(options, experiment))
    search = _search(options, experiment)
    with tt.shared_folder(folder, strategy) as folder:
        records = commands.run(search, experiment, options.seeds, folder, console)
        if not tt.is_chief(strategy):
            return
        comparisons = tt.compare_arms(
            records, metric, options.tolerance, tt.metrics.METRICS[metric].higher_is_better
        )
        winner = tt.choose_winning_ticket(comparisons)
        chosen = winner or tt.results.sparsest(comparisons)
        stage = f"seed-{options.seeds[0]}/round-{chosen.round:02d}/winning"
        early_bird = options.method == "early-bird"
        exported = tt.results.save_ticket(folder, experiment, stage, slim=early_bird)
        tt.results.draw_figures(folder, experiment, records, metric, winner and winner.round)
        if early_bird:
            figure = folder.path / "figures" / "mask_distance.png"
            tt.plots.mask_distances(records, options.mask_distance, figure)
    console.print(*tt.results.tables(records, comparisons, metric, winner), sep="\n")
    _print_outcome(console, metric, winner, chosen, folder, exported)
    if options.json:
        print(json.dumps(_outcome(records, folder, winner, exported)))


def _settings(options, experiment):
    """Return what changes the result of a stage."""
    names = (
        "rate",
        "one_shot",
        "component",
        "discriminator_init",
        "distill_discriminator",
    )
    if options.method == "early-bird":
        names = _EARLY_BIRD
    chosen = {name: getattr(options, name) for name in names} | {"pool": options.ranked_by}
    if options.method != "imp":  # without it, as in the runs from before there were others
        chosen["method"] = options.method
    if options.strategy != "none":  # sums in another order are other bits
        replicas = experiment.strategy.num_replicas_in_sync
        chosen["strategy"] = {"name": options.strategy, "replicas": replicas}
    return {**commands.common_settings(options, experiment), **chosen}


def _search(options, experiment):
    if options.method == "early-bird":
        return _early_bird(options, experiment)
    gan = options.model in GANS
    scores = {}
    if options.method in AT_INITIALIZATION:
        score = tt.InitialScores(experiment.recipe, experiment.train_images, options.method)
        scores = {"score": score, "score_steps": score.num_steps}
    return commands.new_search(
        tt.TicketSearch,
        options,
        experiment,
        schedule=tt.IterativeSparsity(options.rate, options.rounds),
        rounds=options.rounds,
        rewind_step=options.rewinds_to,
        retries=options.retries,
        scope=options.scope,
        pool=options.ranked_by,
        starts={"discriminator": options.discriminator_init} if gan else {},
        arms=options.arms,
        one_shot=options.one_shot,
        **scores,
    )


def _early_bird(options, experiment):
    # To be refused now, not after minutes in which the classifier of the metrics is trained.
    ranking = tt.ChannelRanking(experiment.build(seed=0), options.whole_groups, options.ranked_by)
    for sparsity in options.channel_sparsity:
        ranking.masks(sparsity)
    often = max(1, experiment.num_steps // 50)
    return commands.new_search(
        tt.EarlyBirdSearch,
        options,
        experiment,
        channel_sparsities=options.channel_sparsity,
        draw_every=options.draw_every or min(often, experiment.steps_per_epoch),
        delta=options.mask_distance,
        scale_penalty=options.scale_penalty,
        round_to=options.round_to,
        whole_groups=options.whole_groups,
        pool=options.ranked_by,
        arms=options.arms,
    )


def _print_outcome(console, metric, winner, chosen, folder, exported):
    if winner:
        line = (
            f"Winning ticket: round {winner.round}, {winner.weight_sparsity:.2%} of the weights "
            f"removed; {metric} {winner.mean:.4g} against {winner.random:.4g} at random"
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
    commands.print_line(console, line)
    made = [folder.path / name for name in ("results.jsonl", "winning_ticket", "figures")]
    for path in (*made, exported):
        commands.print_line(console, f"  {path}")


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
