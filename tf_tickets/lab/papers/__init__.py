"""Papers as cards: their experiments, figures, tables and claims, and what reproduces them."""

from tf_tickets.lab.papers.kalibhat2021 import KALIBHAT2021
from tf_tickets.lab.papers.paper import Paper, Study
from tf_tickets.lab.papers.scale import Scale
from tf_tickets.lab.registry import Registry

__all__ = ["PAPERS", "Paper", "Scale", "Study"]

PAPERS = Registry("paper", [KALIBHAT2021])
