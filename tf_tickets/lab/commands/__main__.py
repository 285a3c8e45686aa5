"""`tf-tickets find`, `compare`, `transfer`, `reproduce`, `page`: the scripts, once installed."""

import sys

from tf_tickets.lab.commands.console import run_command

COMMANDS = ("find", "compare", "transfer", "reproduce", "page")


def main():
    """Run the command that the first word names."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    if word not in COMMANDS:
        asked = word in ("-h", "--help")
        usage = f"usage: tf-tickets {{{','.join(COMMANDS)}}} [options]"
        print(usage, file=sys.stdout if asked else sys.stderr)
        sys.exit(0 if asked else 2)
    sys.argv = [f"tf-tickets {word}", *sys.argv[2:]]
    run_command(word)


if __name__ == "__main__":
    main()
