"""The ways of pruning: a card for each, which loads no TensorFlow."""

from tf_tickets.lab.methods.at_initialization import AtInitialization
from tf_tickets.lab.methods.baselines import MagnitudeAtInit, RandomAtInit
from tf_tickets.lab.methods.early_bird import EarlyBird
from tf_tickets.lab.methods.grasp import Grasp
from tf_tickets.lab.methods.imp import IterativeMagnitude
from tf_tickets.lab.methods.method import Method
from tf_tickets.lab.methods.snip import Snip
from tf_tickets.lab.methods.synflow import Synflow
from tf_tickets.lab.methods.transfer import Transfer
from tf_tickets.lab.registry import Registry

__all__ = [
    "METHODS",
    "AtInitialization",
    "EarlyBird",
    "Grasp",
    "IterativeMagnitude",
    "MagnitudeAtInit",
    "Method",
    "RandomAtInit",
    "Snip",
    "Synflow",
    "Transfer",
]

# In the order in which commands list them.
METHODS = Registry(
    "method",
    [
        *(IterativeMagnitude, EarlyBird, Snip, Grasp, Synflow),
        *(MagnitudeAtInit, RandomAtInit, Transfer),
    ],
)
