"""Kalibhat, Balaji and Feizi, 2021: Winning Lottery Tickets in Deep Generative Models.

The experiments of arXiv:2010.02350, as cards. The paper gives no learning rates, epochs or latent
sizes; `docs/departures.md` says where those of the recipes are from. Numbers of the paper were read
off its text, tables and figures.
"""

from tf_tickets.lab.papers.kalibhat2021.claims import CLAIMS
from tf_tickets.lab.papers.kalibhat2021.exhibits import EXHIBITS
from tf_tickets.lab.papers.kalibhat2021.scales import CPU, PAPER, SMOKE
from tf_tickets.lab.papers.paper import Paper

KALIBHAT2021 = Paper(
    "kalibhat2021",
    "Winning Lottery Tickets in Deep Generative Models",
    "Kalibhat, Balaji and Feizi, AAAI 2021, arXiv:2010.02350",
    EXHIBITS,
    CLAIMS,
    (SMOKE, CPU, PAPER),
)
