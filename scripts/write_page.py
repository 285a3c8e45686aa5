"""Write the page of runs anew: `python scripts/write_page.py saved_models/RUN`.

The same command is `tf-tickets page` after an installation.
"""

from tf_tickets.lab.commands.console import exit_with_one_line
from tf_tickets.lab.commands.page import main

if __name__ == "__main__":
    exit_with_one_line(main)
