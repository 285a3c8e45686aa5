"""Compare ways of pruning side by side: `python scripts/compare_pruning.py --model dcgan-table2`.

`--help` lists the options; the same command is `tf-tickets compare` after an installation.
"""

import sys

try:
    from tf_tickets.lab.commands.console import run_command
except KeyboardInterrupt:  # later ones are the command's own
    sys.stderr.write("compare_pruning.py: error: Interrupted.\n")
    sys.exit(130)

if __name__ == "__main__":
    run_command("compare")
