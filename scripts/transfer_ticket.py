"""Train a ticket in another model: `python scripts/transfer_ticket.py --from RUN --to dcgan`.

`--help` lists the options; the same command is `tf-tickets transfer` after an installation.
"""

from tf_tickets.lab.commands.console import exit_with_one_line
from tf_tickets.lab.commands.transfer import main

if __name__ == "__main__":
    exit_with_one_line(main)
