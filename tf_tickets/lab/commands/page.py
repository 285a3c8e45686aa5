"""Write the page of runs anew: `python scripts/write_page.py saved_models/RUN`.

A page is one HTML file in the run folder, `page.html`, made from that folder alone: the verdict,
curves to point at, tables, images, settings, costs and the command that repeats the run. Every run
writes its own at its end.
"""

import argparse
import sys

from tf_tickets.lab.commands.console import start_tensorflow


def main():
    """Read which runs, and write their pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="a run folder")
    folders = parser.parse_args(sys.argv[1:]).runs
    start_tensorflow()
    from tf_tickets.lab.run_view import Run
    from tf_tickets.lab.show.page import write_page

    for folder in folders:
        print(write_page(Run.open(folder)))
