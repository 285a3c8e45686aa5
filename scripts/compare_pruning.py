"""Compare ways of pruning side by side: `python scripts/compare_pruning.py --model dcgan-table2`.

`--help` lists the options; the same command is `tf-tickets compare` after an installation.
"""

from tf_tickets.lab.commands.compare import main
from tf_tickets.lab.commands.console import exit_with_one_line

if __name__ == "__main__":
    exit_with_one_line(main)
