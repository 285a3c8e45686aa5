"""Compare ways of pruning side by side: `python scripts/compare_pruning.py --model dcgan-table2`.

Unpruned, iterative magnitude pruning, early-bird tickets in full and mixed precision, and pruning
at initialization, at equal sparsities, each with its metric, weights, FLOPs and seconds. Each way
is a run. If the command is broken off, the same command goes on where it stopped.
"""

import dataclasses
import json
import sys

from tf_tickets.errors import SettingError
from tf_tickets.lab.commands.console import new_console, print_line, start_tensorflow
from tf_tickets.lab.commands.run_parser import Output, RunParser
from tf_tickets.lab.commands.watch import make
from tf_tickets.lab.methods import IterativeMagnitude
from tf_tickets.lab.options import option
from tf_tickets.lab.ways import WAYS, configs_of
from tf_tickets.runs import paths


@dataclasses.dataclass(frozen=True)
class Comparing(Output):
    """What to compare, and where the result goes."""

    methods: tuple[str, ...] = option(tuple(WAYS), "the ways to compare with unpruned", tuple(WAYS))
    rounds: tuple[int, ...] = option(
        (3, 7),
        "rounds of 20 %, after which iterative pruning is compared with the other ways at the same "
        "sparsity: 3 remove 48.8 % of the weights, 7 remove 79 %",
        at_least=1,
        at_most=100,  # which leaves 2 of 10^10 weights
    )


def main():
    """Read the options, make the runs, and show them side by side."""
    parser = RunParser(
        sys.argv[1:],
        __doc__.splitlines()[0],
        Comparing,
        method=IterativeMagnitude(),
        model_flag=("--model", "dcgan-table2"),
        leave_out=(
            *("arms", "strategy", "rounds", "rate", "component", "pool", "one_shot", "all_rounds"),
            *("skip_dense", "random_redraws", "rewind_optimizer", "start"),
        ),
    )
    config, arguments = parser.parse()
    asked, engine = parser.output(arguments), parser.engine(arguments, config)
    configs = _configs(config, asked)
    start_tensorflow(threads=engine.threads_here(config.threads))
    from tf_tickets.lab.comparison import compare
    from tf_tickets.lab.show.compared import comparison_tables, write_comparison
    from tf_tickets.runs.folder import RunFolder

    console = new_console()
    runs = make(list(configs.values()), asked.output, console, engine)
    rows = compare(dict(zip(configs, runs, strict=True)), asked.methods, sorted(set(asked.rounds)))
    name, metric = f"compare-{config.model}-{config.dataset}", runs[0].metric
    folder = RunFolder.named(asked.output, name, {"runs": [run.path.name for run in runs]}).path
    write_comparison(folder, rows, metric, f"{config.model} on {config.dataset}")
    for table in comparison_tables(rows, metric):
        console.print(table, "")
    for name in (paths.COMPARE_TABLE, paths.COMPARE_ROWS, paths.FIGURES):
        print_line(console, f"  {folder / name}")
    if asked.json:
        print(json.dumps([row.as_dict() for row in rows]))


def _configs(config, asked):
    """Return the runs to make by their ways; SettingError if one cannot work."""
    if config.training.precision not in (None, "float32"):
        raise SettingError(
            "`precision` is always float32 here; mixed precision is one of the ways, "
            f"early-bird-mixed. Received: precision={config.training.precision}"
        )
    return configs_of(config, asked.methods, sorted(set(asked.rounds)))
