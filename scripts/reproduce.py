"""Reproduce a paper: `python scripts/reproduce.py kalibhat2021 figure-4 --scale cpu`.

`--help` lists the options; the same command is `tf-tickets reproduce` after an installation.
"""

import sys

try:
    from tf_tickets.lab.commands.console import run_command
except KeyboardInterrupt:  # later ones are the command's own
    sys.stderr.write("reproduce.py: error: Interrupted.\n")
    sys.exit(130)

if __name__ == "__main__":
    run_command("reproduce")
