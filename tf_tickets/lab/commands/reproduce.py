"""Reproduce a paper: `python scripts/reproduce.py kalibhat2021 figure-4 --scale cpu`.

Makes the runs that the figures and tables need, draws them, and tests what the paper claims. Runs
that are there already are shared. If the command is broken off, the same command goes on where it
stopped.
"""

import dataclasses
import sys

from tf_tickets.errors import SettingError
from tf_tickets.lab.commands.console import new_console, print_line, start_tensorflow
from tf_tickets.lab.commands.parser import Parser
from tf_tickets.lab.commands.watch import make
from tf_tickets.lab.engine_options import EngineOptions
from tf_tickets.lab.options import Options, option
from tf_tickets.lab.papers import PAPERS


@dataclasses.dataclass(frozen=True)
class Asked(Options):
    """What to reproduce, and how large."""

    all: bool = option(False, "all figures and tables of the paper")
    scale: str = option("smoke", "how large the runs are; --list says which there are")
    list: bool = option(False, "print the figures, tables, claims and scales, and stop")
    plan: bool = option(False, "print what the runs would take, and stop")
    flops_per_second: float = option(
        1e13, "of the machine, in training; --plan divides by it", above=0
    )
    output: str = option("saved_models", "where run folders and the paper's folder are made")


def main():
    """Read the options, make the runs, and show what they say."""
    parser = Parser(__doc__.splitlines()[0])
    parser.add_argument("paper", choices=list(PAPERS), help="the paper")
    parser.add_argument("exhibits", nargs="*", metavar="exhibit", help="such as figure-4")
    parser.add_options("reproduction", Asked)
    parser.add_options("engine", EngineOptions)
    arguments = parser.parse_args(sys.argv[1:])
    asked, paper = parser.made("reproduction", arguments), PAPERS[arguments.paper]
    engine = parser.made("engine", arguments).resolved("none")
    console = new_console()
    if asked.list:
        _list(paper, console)
        return
    exhibits, scale = _exhibits(paper, arguments.exhibits, asked), paper.scale(asked.scale)
    start_tensorflow(threads=engine.threads_here(None))
    if asked.plan:
        _plan(exhibits, scale, asked.flops_per_second, console)
        return
    _reproduce(paper, scale, exhibits, asked.output, engine, console)


def _exhibits(paper, names, asked):
    if not names and not asked.all and not asked.plan:
        raise SettingError(f"Name a figure or table of {paper.name}, or give --all; see --list.")
    return paper.chosen(names)


def _list(paper, console):
    print_line(console, f"{paper.title}. {paper.citation}")
    for exhibit in paper.exhibits:
        print_line(console, f"  {exhibit.name:<24} {exhibit.title}")
    print_line(console, "Scales:")
    for scale in paper.scales:
        print_line(console, f"  {scale.name:<24} {scale.title}")
    print_line(console, "Claims:")
    for claim in paper.claims:
        print_line(console, f"  {claim.name:<44} {claim.says}")


def _plan(exhibits, scale, flops_per_second, console):
    from tf_tickets.lab.papers.paper import studies_of
    from tf_tickets.lab.papers.plan import plan
    from tf_tickets.lab.show.planned import plan_table

    planned = plan(studies_of(exhibits), scale)
    console.print(plan_table(planned, flops_per_second))


def _reproduce(paper, scale, exhibits, output, engine, console):
    from tf_tickets.lab.papers.reproduce import reproduce
    from tf_tickets.lab.show.planned import claims_table

    def drawn(exhibit):
        print_line(console, f"Drawn: {exhibit.title}")

    def made(configs, ended):
        return make(configs, output, console, engine, ended=ended)

    done = reproduce(paper, scale, exhibits, output, made, drawn)
    if done.findings:
        console.print(claims_table(paper, done.findings))
    print_line(console, f"  {done.folder}")
