"""Train a ticket in another model: `python scripts/transfer_ticket.py --from RUN --to dcgan`.

Takes the tickets that a VAE's decoder found to the generator of a GAN, or those of a generator to
a decoder, round by round, with the rest of the other model dense. Ends with a table, a page and
figures of all arms in a run folder. If the command is broken off, the same command goes on where it
stopped.
"""

import sys

from tf_tickets.lab.commands.console import new_console, start_tensorflow
from tf_tickets.lab.commands.run_parser import RunParser
from tf_tickets.lab.commands.watch import make, show
from tf_tickets.lab.methods import Transfer
from tf_tickets.runs import paths


def main():
    """Read the options, transfer the tickets, and show how they do."""
    parser = RunParser(
        sys.argv[1:],
        __doc__.splitlines()[0],
        method=Transfer(),
        model_flag=("--to", None),
        leave_out=("arms", "strategy"),
    )
    config, arguments = parser.parse()
    output, engine = parser.output(arguments), parser.engine(arguments, config)
    start_tensorflow(threads=engine.threads_here(config.threads))
    console = new_console()
    (run,) = make([config], output.output, console, engine)
    show(run, console, (paths.PAGE, paths.RESULTS, paths.FIGURES), output.json)
