"""Train a ticket in another model: `python scripts/transfer_ticket.py --from RUN --to dcgan`.

`--help` lists the options; the same command is `tf-tickets transfer` after an installation.
"""

import sys

try:
    from tf_tickets.lab.commands.console import run_command
except KeyboardInterrupt:  # later ones are the command's own
    sys.stderr.write("transfer_ticket.py: error: Interrupted.\n")
    sys.exit(130)

if __name__ == "__main__":
    run_command("transfer")
