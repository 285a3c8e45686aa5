"""Train a ticket in another model: `python scripts/transfer_ticket.py --from RUN --to dcgan`.

Takes the tickets that a VAE's decoder found to the generator of a GAN, or those of a generator to
a decoder, round by round, with the rest of the other model dense. Beside them it trains the other
model's own tickets of the same sparsity, and as a control the transferred masks with fresh weights.

A transferred ticket starts from the weights that its survivors had at the rewind step of the run
that it is of, and is trained for all steps, as fresh weights are; the model's own tickets are
trained for those after the rewind step.

Ends with a table and figures of all three in a run folder. The same command goes on where it was
broken off.
"""

import dataclasses
import json
import pathlib
import sys

import tf_tickets as tt
from tf_tickets.errors import FileError, SettingError
from tf_tickets.lab.commands import common as commands
from tf_tickets.lab.commands.common import AUTOENCODERS, DATASETS, GANS, refuse
from tf_tickets.lab.commands.parser import exit_with_one_line, option, parse

# The part of a model that makes images out of codes.
_PART = {**dict.fromkeys(AUTOENCODERS, "decoder"), **dict.fromkeys(GANS, "generator")}
# What has to be the same in both models; one that a run leaves to the network's default too.
_SIZES = ("width", "latent_dim")
# Table 1's DCGAN is too large to share a decoder with the VAE; its smaller variant does.
_VARIANT = {("vae", "dcgan"): "dcgan-shared", ("beta-vae", "dcgan"): "dcgan-shared"}
_SHARING = {"vae", "beta-vae", "dcgan-shared"}


@dataclasses.dataclass(frozen=True)
class Options(commands.SearchOptions):
    """What can be chosen; what is None comes from the run or from the recipe."""

    source: str | None = option(
        None,
        "the run folder of find_tickets.py that the tickets are of; they start from the weights "
        "of its rewind step and are trained for all steps",
        flag="--from",
    )
    to: str | None = option(
        None,
        "the model that they are for; dcgan is taken as dcgan-shared for those of a VAE",
        AUTOENCODERS + GANS,
    )
    dataset: str | None = option(None, "the images to train on (default: the run's)", DATASETS)
    limit: int | None = option(
        None,
        "use only so many training images, and at most as many test images (default: as the run "
        "on its data set, all of another)",
    )
    rounds: int | None = option(None, "only so many of the run's rounds (default: all)")
    seeds: tuple[int, ...] | None = option(None, "only these of the run's seeds (default: all)")

    def __post_init__(self):
        """Check what needs no TensorFlow to be checked."""
        super().__post_init__()
        for flag, value in (("from", self.source), ("to", self.to)):
            if value is None:
                raise SettingError(f"argument --{flag} is required")
        self.refuse_options_of_gans(self.to)
        if self.rounds is not None and self.rounds < 1:
            refuse("rounds", "must be at least 1", self.rounds)
        if self.seeds is not None:
            commands.refuse_repeated_seeds(self.seeds)


def main():
    """Read the options, transfer the tickets, and show how they do."""
    options = parse(Options, sys.argv[1:], __doc__.splitlines()[0])
    commands.start_tensorflow()
    source = _Source(options)
    recipe = source.target_recipe(options)
    metric = commands.decisive_metric(options, recipe)
    source.meet(recipe)
    console = commands.new_console()
    limit = source.limit(options)
    experiment = tt.Experiment(recipe, limit, options.data_dir, options.inception)
    settings = {**commands.common_settings(options, experiment), "transferred": source.settings}
    name = f"{source.model}-to-{recipe.model}-{recipe.dataset}"
    folder = commands.new_folder(options, name, settings)
    search = commands.new_search(
        tt.TicketSearch,
        options,
        experiment,
        rounds=source.rounds,
        rewind_step=options.rewinds_to,
        retries=options.retries,
        scope=_PART[recipe.model],
        transferred=source.ticket,
    )
    if recipe.model != options.to:
        line = f"--to {options.to} is taken as {recipe.model}, whose generator is a VAE's decoder"
        commands.print_line(console, line)
    with folder:
        records = commands.run(search, experiment, source.seeds, folder, console)
        higher = tt.metrics.HIGHER_IS_BETTER[metric]
        comparisons = tt.compare_arms(records, metric, options.tolerance, higher, "transferred")
        chosen = tt.choose_winning_ticket(comparisons)
        number = chosen and chosen.round
        tt.results.draw_figures(
            folder, experiment, records, metric, number, "transferred", source.model
        )
    _show(console, options, records, comparisons, chosen, metric, folder)


class _Source:
    """The run whose tickets are transferred."""

    def __init__(self, options):
        self.path = pathlib.Path(options.source)
        self.settings = tt.read_settings(self.path)
        if "component" not in self.settings:
            refuse("from", "must be a run of find_tickets.py", self.path)
        recipe = {**self.settings["recipe"], "metric": "frechet"}
        self.recipe = tt.recipes.Recipe(**recipe)
        self.model = self.recipe.model
        found = [r for r in tt.read_results(self.path / "results.jsonl") if r["arm"] == "winning"]
        if not found:
            raise FileError(
                f"{self.path} has no finished round. Let find_tickets.py go on with it."
            )
        self.seeds = options.seeds or tuple(sorted({record["seed"] for record in found}))
        self.rounds = options.rounds or max(record["round"] for record in found)
        self._check_found({(record["seed"], record["round"]) for record in found})

    def _check_found(self, found):
        for seed in self.seeds:
            for number in range(1, self.rounds + 1):
                if (seed, number) not in found:
                    raise FileError(
                        f"{self.path} has no ticket of seed {seed}, round {number}. Choose other "
                        "--seeds or --rounds, or let find_tickets.py finish the run."
                    )

    def target_recipe(self, options):
        """Return the recipe of the model that the tickets are for, as wide as the run's."""
        target = _VARIANT.get((self.model, options.to), options.to)
        dataset = options.dataset or self.recipe.dataset
        network = tt.recipes.resolve(target, dataset).network
        if target != "linear-ae":  # has no such options; `meet` says which layers differ
            network = {**network, **{name: self.recipe.network.get(name) for name in _SIZES}}
        return commands.resolve_recipe(
            options,
            target,
            dataset,
            image_size=self.recipe.image_size,
            network={name: value for name, value in network.items() if value is not None},
        )

    def meet(self, recipe):
        """Build the part that both models have; SettingError where it is not of the same layers."""
        shapes = [tt.data.image_shape(r.dataset, r.image_size) for r in (self.recipe, recipe)]
        self._models = [
            tt.models.build(r.model, shape, **r.network)
            for r, shape in zip((self.recipe, recipe), shapes, strict=True)
        ]
        self._parts = [_PART[r.model] for r in (self.recipe, recipe)]
        try:
            self.ticket(self.seeds[0], self.rounds)
        except SettingError as error:
            if {self.model, recipe.model} <= _SHARING:
                raise
            raise SettingError(
                f"A ticket of {self.model} cannot go to {recipe.model}. {error} Those that move "
                f"between each other are of {', '.join(sorted(_SHARING))}."
            ) from error

    def limit(self, options):
        """Return how many training images to use: on the run's data set as many as the run did."""
        if options.limit is None and options.dataset in (None, self.recipe.dataset):
            return tt.read_origin(self.path).get("options", {}).get("limit")
        return options.limit

    def ticket(self, seed: int, number: int):
        """Return one round's ticket, for the other model."""
        path = self.path / f"seed-{seed}/round-{number:02d}/winning/ticket.safetensors"
        return tt.transfer_ticket(tt.Ticket.load(path), *self._models, *self._parts)


def _show(console, options, records, comparisons, chosen, metric, folder):
    console.print(*tt.results.tables(records, comparisons, metric, chosen), sep="\n")
    if chosen:
        p = "" if chosen.p is None else f", p = {chosen.p:.2g}"
        line = (
            f"Sparsest transferred ticket that wins: round {chosen.round}, "
            f"{chosen.weight_sparsity:.2%} of the weights removed; {metric} {chosen.mean:.4g} "
            f"against {chosen.random:.4g} with fresh weights{p}."
        )
    else:
        line = (
            f"In no round is the transferred ticket's {metric} within the tolerance of dense and "
            "that of fresh weights worse."
        )
    commands.print_line(console, line)
    for name in ("results.jsonl", "figures"):
        commands.print_line(console, f"  {folder.path / name}")
    if options.json:
        outcome = {
            "run": str(folder.path),
            "dense": tt.mean_metrics(records, 0, "dense"),
            "rounds": [dataclasses.asdict(comparison) for comparison in comparisons],
        }
        print(json.dumps(outcome))


if __name__ == "__main__":
    exit_with_one_line(main)
