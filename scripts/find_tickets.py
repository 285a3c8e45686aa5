"""Find winning tickets in an autoencoder, VAE or GAN: `python scripts/find_tickets.py --model vae`.

`--help` lists the options; the same command is `tf-tickets find` after an installation.
"""

from tf_tickets.lab.commands.console import exit_with_one_line
from tf_tickets.lab.commands.find import main

if __name__ == "__main__":
    exit_with_one_line(main)
