"""Find winning tickets in an autoencoder, VAE or GAN: `python scripts/find_tickets.py --model vae`.

`--help` lists the options; the same command is `tf-tickets find` after an installation.
"""

import sys

try:
    from tf_tickets.lab.commands.console import run_command
except KeyboardInterrupt:  # later ones are the command's own
    sys.stderr.write("find_tickets.py: error: Interrupted.\n")
    sys.exit(130)

if __name__ == "__main__":
    run_command("find")
