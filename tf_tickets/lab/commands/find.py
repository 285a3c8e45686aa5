"""Find winning tickets in an autoencoder, VAE or GAN: `python scripts/find_tickets.py --model vae`.

Trains the dense network, then prunes, rewinds and retrains it round by round, beside a random
control, for several seeds. `--method` chooses other ways of pruning. Ends with a table, a page,
figures, a saved ticket and a small SavedModel in a run folder. If the command is broken off, the
same command goes on where it stopped.
"""

import dataclasses
import json
import sys

from tf_tickets.lab.commands.console import new_console, start_tensorflow
from tf_tickets.lab.commands.run_parser import Output, RunParser
from tf_tickets.lab.commands.watch import make, show
from tf_tickets.lab.options import option
from tf_tickets.runs import paths


@dataclasses.dataclass(frozen=True)
class FindOutput(Output):
    """Where a result goes, or what to print instead of searching."""

    describe: bool = option(False, "print the network and recipe as JSON, and stop")


def main():
    """Read the options, find the tickets, and show them."""
    parser = RunParser(sys.argv[1:], __doc__.splitlines()[0], FindOutput)
    config, arguments = parser.parse()
    output, engine = parser.output(arguments), parser.engine(arguments, config)
    if output.describe:
        start_tensorflow()
        _describe(config)
        return
    strategy = start_tensorflow(config.strategy, engine.threads_here(config.threads))
    console = new_console()
    for run in make([config], output.output, console, engine, strategy):
        files = (
            paths.PAGE,
            paths.RESULTS,
            paths.WINNING_TICKET,
            paths.FIGURES,
            f"{paths.EXPORT}/{paths.SAVED_MODEL}",
        )
        show(run, console, files, output.json)


def _describe(config):
    from tf_tickets.lab.description import describe
    from tf_tickets.lab.prepared import recipe_of

    recipe = recipe_of(config)
    scope = config.method.scope(config.card.family)
    described = {"model": recipe.model, "dataset": recipe.dataset}
    described |= describe(recipe, scope, config.data.data_dir)
    described |= {"recipe": dataclasses.asdict(recipe), "departures": config.departures}
    print(json.dumps(described))
