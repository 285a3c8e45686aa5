"""Write the page of runs anew: `python scripts/write_page.py saved_models/RUN`.

The same command is `tf-tickets page` after an installation.
"""

import sys

try:
    from tf_tickets.lab.commands.console import run_command
except KeyboardInterrupt:  # later ones are the command's own
    sys.stderr.write("write_page.py: error: Interrupted.\n")
    sys.exit(130)

if __name__ == "__main__":
    run_command("page")
