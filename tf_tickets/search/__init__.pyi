from .arms import Arm, Random, Shuffled, Start, Transferred, Winning
from .bench import Bench
from .early_bird import EarlyBirdSearch, rebuild_slim
from .early_stopping import early_stopping_steps, followed_metric, watched_metrics
from .own_loop import LoopedEarlyBird, LoopedPruning
from .round_masks import AsSparseAs, ByMagnitude, ByScore, Draw
from .task import Task
from .ticket_search import TicketSearch
from .verdict import (
    Comparison,
    Verdict,
    follow_curve,
    judge,
    last_round_to_ask,
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
    "Verdict",
    "Winning",
    "early_stopping_steps",
    "follow_curve",
    "followed_metric",
    "judge",
    "last_round_to_ask",
    "mean_metrics",
    "rebuild_slim",
    "watched_metrics",
]
