"""Compare ways of pruning side by side: `python scripts/compare_pruning.py --model dcgan-table2`.

The paper's table 2 and figure 7: unpruned, iterative magnitude pruning, early-bird tickets in full
and mixed precision, and pruning at initialisation, each with its metric, weights, FLOPs, seconds
and memory. Each way is a run of find_tickets.py in a process of its own, which trains the unpruned
network too: peak memory is that of this process. The same command goes on where it was broken off.
"""

import ctypes
import dataclasses
import json
import pathlib
import signal
import subprocess
import sys

import tf_tickets as tt
from tf_tickets.errors import FileError
from tf_tickets.lab.commands import common as commands
from tf_tickets.lab.commands.common import AUTOENCODERS, DATASETS, GANS, refuse
from tf_tickets.lab.commands.parser import exit_with_one_line, option, parse
from tf_tickets.lab.show.compared import write_comparison

EARLY_BIRD = ("early-bird", "early-bird-global", "early-bird-mixed")
METHODS = ("imp", *EARLY_BIRD, "snip", "grasp", "synflow")
_OURS = ("methods", "channel_sparsity", "rounds", "json", "precision", "model", "dataset")
# What find_tickets.py refuses where it means nothing.
_ONLY_OF = {"rewind_step": ("imp",), "retries": ("imp", "snip", "grasp", "synflow")}


@dataclasses.dataclass(frozen=True)
class Options(commands.SearchOptions):
    """What can be chosen; what is None comes from the recipe of the model and data set."""

    model: str = option("dcgan-table2", "the network to prune", AUTOENCODERS + GANS)
    dataset: str = option("digits", "the images to train on", DATASETS)
    width: int | None = option(None, "filters of the outermost layers (default: by recipe)")
    methods: tuple[str, ...] = option(METHODS, "the ways to compare with unpruned", METHODS)
    rounds: int = option(7, "rounds of iterative pruning, each of 20 %; 7 remove 79 %")
    channel_sparsity: tuple[float, ...] = option(
        (0.3, 0.5, 0.7), "fractions of the channels that early-bird tickets lose"
    )
    seeds: tuple[int, ...] = option((0, 1, 2), "each repeats all trainings")

    def __post_init__(self):
        """Check what needs no TensorFlow to be checked."""
        super().__post_init__()
        commands.refuse_repeated_seeds(self.seeds)
        commands.refuse_channel_sparsity(self.channel_sparsity)
        for name in ("width", "rounds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                refuse(name, "must be at least 1", value)
        if self.precision not in (None, "float32"):
            expected = "is float32, beside which mixed precision is one of the ways"
            refuse("precision", expected, self.precision)

    @property
    def network(self):
        return super().network | ({} if self.width is None else {"width": self.width})


def main():
    """Read the options, make the runs, and show them side by side."""
    options = parse(Options, sys.argv[1:], __doc__.splitlines()[0])
    # Every run trains the unpruned network too; one in full precision shows it.
    methods = [method for method in options.methods if not _is_mixed(method)] or ["imp"]
    unpruned = methods[0]
    to_run = dict.fromkeys((unpruned, *options.methods))
    runs = {method: _run(options, method) for method in to_run}
    commands.start_tensorflow()
    options = dataclasses.replace(options, precision="float32")
    import keras

    recipe = commands.resolve_recipe(options, options.model, options.dataset)
    metric = commands.decisive_metric(options, recipe)
    experiment = tt.Experiment(recipe, options.limit, options.data_dir)
    rows, step_of_whole = [], None
    for method, folder in runs.items():
        precision = "auto" if _is_mixed(method) else "float32"
        keras.config.set_dtype_policy(tt.resolve_precision(precision))
        records = tt.read_results(folder / "results.jsonl")
        made = tt.comparison.rows_of_run(
            method,
            records,
            folder,
            experiment,
            metric,
            rounds=_num_rounds(options, method),
            seeds=options.seeds,
            step_of_whole=step_of_whole if not _is_mixed(method) else None,
        )
        if step_of_whole is None:
            step_of_whole = experiment.images_per_step / made[0].images_per_second
        rows += made[:1] if method == unpruned else []
        rows += made[1:] if method in options.methods else []
    name = f"compare-{recipe.model}-{recipe.dataset}"
    folder = tt.RunFolder.named(options.output, name, [run.name for run in runs.values()]).path
    _show(options, recipe, rows, metric, folder)


def _is_mixed(method):
    return method.endswith("-mixed")


def _num_rounds(options, method) -> int:
    """Return how many rounds one way takes; one where only its unpruned network is shown."""
    if method in EARLY_BIRD:
        return len(options.channel_sparsity)
    return options.rounds if method == "imp" and method in options.methods else 1


def _run(options, method) -> pathlib.Path:
    """Make one run, or find it done, and return its folder."""
    ran = subprocess.run(
        [sys.executable, str(pathlib.Path(__file__).with_name("find_tickets.py"))]
        + _flags(options, method),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        preexec_fn=_end_with_parent,
    )
    if ran.returncode:
        raise FileError(f"The run by {method} ended with status {ran.returncode}; see above.")
    return pathlib.Path(json.loads(ran.stdout.splitlines()[-1])["run"])


def _end_with_parent():
    """Let the kernel end this process when the one that started it is killed.

    It would go on in the run folder, where the same command, given again, could not work.
    """
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _flags(options, method) -> list[str]:
    """Return the options of one way's find_tickets.py."""
    early_bird = method in EARLY_BIRD
    flags = ["--json", "--arms", "winning", "--method", "early-bird" if early_bird else method]
    flags += ["--model", options.model, "--dataset", options.dataset]
    flags += ["--precision", "auto" if _is_mixed(method) else "float32"]
    if method == "early-bird-global":  # one threshold for all layers, as the paper has it
        flags += ["--pool", "model"]
    if early_bird:
        flags += ["--channel-sparsity", *map(str, options.channel_sparsity)]
    else:
        flags += ["--rounds", str(_num_rounds(options, method))]
        if method != "imp":  # at once to where the iterative rounds lead
            flags += ["--rate", str(1 - 0.8**options.rounds)]
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        meant = method in _ONLY_OF.get(field.name, (method,))
        if field.name not in _OURS and value != field.default and meant:
            values = value if isinstance(value, tuple) else (value,)
            flags += [f"--{field.name.replace('_', '-')}", *map(str, values)]
    return flags


def _show(options, recipe, rows, metric, folder):
    """Print the table; write it as Markdown and JSON, and draw the figures."""
    console = commands.new_console()
    title = f"{recipe.model} on {recipe.dataset}"
    write_comparison(folder, rows, metric, title)
    console.print(tt.tables.comparison_table(rows, metric))
    for name in ("compare.md", "compare.json", "figures"):
        commands.print_line(console, f"  {folder / name}")
    if options.json:
        print(json.dumps([row.as_dict() for row in rows]))


if __name__ == "__main__":
    exit_with_one_line(main)
