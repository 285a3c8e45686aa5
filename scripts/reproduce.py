"""Reproduce a paper: `python scripts/reproduce.py kalibhat2021 figure-4 --scale cpu`.

`--help` lists the options; the same command is `tf-tickets reproduce` after an installation.
"""

from tf_tickets.lab.commands.console import exit_with_one_line
from tf_tickets.lab.commands.reproduce import main

if __name__ == "__main__":
    exit_with_one_line(main)
