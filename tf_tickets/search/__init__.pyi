from .arms import Arm, Random, Shuffled, Start, Transferred, Winning
from .bench import Bench
from .early_bird import EarlyBirdSearch, rebuild_slim
from .own_loop import LoopedEarlyBird, LoopedPruning
from .round_masks import AsSparseAs, ByMagnitude, ByScore, Draw
from .task import Task
from .ticket_search import TicketSearch
from .verdict import (
    Comparison,
    choose_winning_ticket,
    compare_arms,
    follow_curve,
    mean_metrics,
)

__all__ = [
    "Arm",
    "AsSparseAs",
    "Bench",
    "ByMagnitude",
    "ByScore",
    "Comparison",
    "Draw",
    "EarlyBirdSearch",
    "LoopedEarlyBird",
    "LoopedPruning",
    "Random",
    "Shuffled",
    "Start",
    "Task",
    "TicketSearch",
    "Transferred",
    "Winning",
    "choose_winning_ticket",
    "compare_arms",
    "follow_curve",
    "mean_metrics",
    "rebuild_slim",
]
